/* Philox4x32-10 and what is drawn from it. */
#include "core/base/rng.h"

#include <math.h>

void srq_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;

        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t ctr[4] = { (uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32) };
    uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };

    srq_philox(ctr, key, out);
}

uint64_t srq_rng_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t out[4];

    block(seed, stream, index, out);
    return (uint64_t)out[1] << 32 | out[0];
}

void srq_rng_normals(uint64_t seed, uint64_t stream, uint64_t index, double out[2])
{
    uint32_t w[4];
    double u, v, far;

    block(seed, stream, index, w);
    u = ((double)((uint64_t)w[1] << 32 | w[0]) + 1) * 0x1p-64;
    v = (double)((uint64_t)w[3] << 32 | w[2]) * 0x1p-64;
    far = sqrt(-2 * log(u));
    out[0] = far * cos(2 * 3.14159265358979323846 * v);
    out[1] = far * sin(2 * 3.14159265358979323846 * v);
}

double srq_rng_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(srq_rng_u64(seed, stream, index) >> 11) * 0x1p-53;
}

uint64_t srq_rng_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n)
{
    return (uint64_t)(((__uint128_t)srq_rng_u64(seed, stream, index) * n) >> 64);
}

void srq_rng_shuffle(uint64_t seed, uint64_t stream, int64_t *perm, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)srq_rng_below(seed, stream, (uint64_t)i, (uint64_t)i + 1);
        int64_t t = perm[i];

        perm[i] = perm[j];
        perm[j] = t;
    }
}
