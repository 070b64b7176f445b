/* Fast non-cryptographic fingerprints (XXH3 of libxxhash): equal content, equal hash. Not for authority. */
#ifndef SRQ_BASE_HASH_H
#define SRQ_BASE_HASH_H

#include "core/base/part.h"

#include <srq/error.h>

#include <stddef.h>
#include <stdint.h>

#define SRQ_HASH_HEX 33 /* 32 hex digits and the NUL of a 128-bit hash */

struct srq_hash; /* a running 128-bit hash */

struct srq_hash *srq_hash_create(void); /* NULL when out of memory */
void srq_hash_add(struct srq_hash *h, const void *data, size_t len);
void srq_hash_add_text(struct srq_hash *h, const char *s); /* with its length, so that "ab","c" differs from "a","bc" */
int srq_hash_add_file(struct srq_hash *h, const char *path, struct srq_error *err); /* its content; as srq_map_open */
void srq_hash_hex(const struct srq_hash *h, char out[SRQ_HASH_HEX]);
void srq_hash_free(struct srq_hash *h);

uint64_t srq_hash64(const void *data, size_t len);
/* srq_hash64 of the parts one after the other; 0, or -SRQ_ENOMEM. */
int srq_hash64_parts(const struct srq_part *parts, size_t count, uint64_t *out);

#endif
