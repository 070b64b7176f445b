/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). A value is a pure function of (key, stream,
 * index), so that a resumed job draws what the undisturbed one would have drawn. */
#ifndef SRQ_BASE_RNG_H
#define SRQ_BASE_RNG_H

#include <stdint.h>

/* One Philox block: four 32-bit words for counter `ctr` under `key`. */
void srq_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);

uint64_t srq_rng_u64(uint64_t seed, uint64_t stream, uint64_t index);
double srq_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);             /* [0, 1), 53 bits */
uint64_t srq_rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n); /* 0 … n-1, n > 0 */

/* Two independent standard normal numbers from one Philox block, by Box and Muller (1958): with words w0 … w3 of the
 * block of counter (index, stream), u = (w1·2^32 + w0 + 1) / 2^64 in (0, 1] and v = (w3·2^32 + w2) / 2^64,
 * out = sqrt(-2 ln u) · (cos 2πv, sin 2πv). */
void srq_rng_normals(uint64_t seed, uint64_t stream, uint64_t index, double out[2]);

/* Fisher-Yates over perm[0 … n-1] filled with 0 … n-1; the same for the same (seed, stream). */
void srq_rng_shuffle(uint64_t seed, uint64_t stream, int64_t *perm, int64_t n);

#endif
