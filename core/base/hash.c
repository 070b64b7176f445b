/* XXH3 behind our own names. */
#include "core/base/hash.h"

#include "core/base/fs.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

struct srq_hash *srq_hash_create(void)
{
    XXH3_state_t *state = XXH3_createState();

    if (state != NULL)
        XXH3_128bits_reset(state);
    return (struct srq_hash *)state;
}

void srq_hash_add(struct srq_hash *h, const void *data, size_t len)
{
    XXH3_128bits_update((XXH3_state_t *)h, data, len);
}

void srq_hash_add_text(struct srq_hash *h, const char *s)
{
    uint64_t len = strlen(s);

    srq_hash_add(h, &len, sizeof(len));
    srq_hash_add(h, s, len);
}

int srq_hash_add_file(struct srq_hash *h, const char *path, struct srq_error *err)
{
    struct srq_map map;
    int rc = srq_map_open(path, &map, err);

    if (rc != 0)
        return rc;
    srq_hash_add(h, map.data, map.size);
    srq_map_close(&map);
    return 0;
}

void srq_hash_hex(const struct srq_hash *h, char out[SRQ_HASH_HEX])
{
    XXH128_hash_t sum = XXH3_128bits_digest((const XXH3_state_t *)h);

    snprintf(out, SRQ_HASH_HEX, "%016llx%016llx", (unsigned long long)sum.high64, (unsigned long long)sum.low64);
}

void srq_hash_free(struct srq_hash *h)
{
    XXH3_freeState((XXH3_state_t *)h);
}

uint64_t srq_hash64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

int srq_hash64_parts(const struct srq_part *parts, size_t count, uint64_t *out)
{
    XXH3_state_t *state = XXH3_createState();

    if (state == NULL)
        return -SRQ_ENOMEM;
    XXH3_64bits_reset(state);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            XXH3_64bits_update(state, parts[i].data, parts[i].len);
    }
    *out = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return 0;
}
