/* Snapshots of stored states. */
#include "core/flow/snapshot.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC "SRQCHN3"
#define PORTS 64 /* live at once, at most */
#define PARTS 128

struct head {
    char magic[8];
    int64_t unit, dtype, nsamples, seq, stores, ports;
    uint64_t inputs, bytes;
    uint64_t hash; /* of all data */
};

/* What of the stores is to be kept: one part for each live port of each. */
struct contents {
    struct srq_part part[PARTS];
    int count;
};

static int list_contents(const struct srq_snapshot_set *set, int unit, uint64_t inputs, struct head *h,
                         struct contents *c)
{
    const struct srq_states_config *cfg = srq_states_config(set->stores[0]);
    int ports[PORTS + 1], n = srq_states_live(set->stores[0], unit, ports, PORTS + 1);

    if (n > PORTS || n * set->count > PARTS)
        return -SRQ_ELIMIT;
    memset(h, 0, sizeof(*h));
    memcpy(h->magic, MAGIC, sizeof(h->magic));
    h->unit = unit;
    h->dtype = cfg->dtype;
    h->nsamples = cfg->nsamples;
    h->seq = cfg->seq;
    h->stores = set->count;
    h->ports = n;
    h->inputs = inputs;
    c->count = 0;
    for (int s = 0; s < set->count; s++) {
        for (int i = 0; i < n; i++) {
            const struct srq_states *st = set->stores[s];
            size_t bytes = srq_states_sample_bytes(st, ports[i]) * (size_t)cfg->nsamples;

            c->part[c->count++] = (struct srq_part){ srq_states_at(st, ports[i], 0), bytes };
            h->bytes += bytes;
        }
    }
    return 0;
}

static uint64_t hash_of(const struct contents *c)
{
    uint64_t both[2] = { 0, 0 };

    for (int i = 0; i < c->count; i++) {
        both[1] = srq_hash64(c->part[i].data, c->part[i].len);
        both[0] = srq_hash64(both, sizeof(both));
    }
    return both[0];
}

size_t srq_snapshot_bytes(const struct srq_snapshot_set *set, int unit)
{
    struct contents c;
    struct head h;

    return list_contents(set, unit, 0, &h, &c) == 0 ? h.bytes : SIZE_MAX;
}

int srq_snapshot_save(const struct srq_snapshot_set *set, const char *ckpt, int unit, uint64_t inputs,
                      struct srq_error *err)
{
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, unit);
    struct srq_part parts[PARTS + 1];
    struct contents c;
    struct head h;
    int rc = name != NULL ? list_contents(set, unit, inputs, &h, &c) : -SRQ_ENOMEM;

    if (rc != 0) {
        srq_free(name);
        return srq_fail(err, rc, "a snapshot of the inputs of unit %d cannot be written: out of memory", unit);
    }
    h.hash = hash_of(&c);
    parts[0] = (struct srq_part){ &h, sizeof(h) };
    memcpy(parts + 1, c.part, (size_t)c.count * sizeof(*parts));
    rc = srq_write_parts_durable(name, "chain.tmp", parts, (size_t)c.count + 1, 0644, err);
    srq_free(name);
    return rc;
}

static bool snapshot_number(const char *name, int *unit)
{
    char *end;
    long v;

    if (strncmp(name, "chain-", 6) != 0)
        return false;
    v = strtol(name + 6, &end, 10);
    *unit = (int)v;
    return end != name + 6 && strcmp(end, ".bin") == 0 && v >= 0 && v < 1000000;
}

#define SNAPSHOTS_MAX 4096

/* Units that have a snapshot, ascending; returns how many. */
static int list_snapshots(const char *ckpt, int *units)
{
    DIR *dir = opendir(ckpt);
    struct dirent *e;
    int unit, n = 0;

    if (dir == NULL)
        return 0;
    while (n < SNAPSHOTS_MAX && (e = readdir(dir)) != NULL) {
        int at = n;

        if (!snapshot_number(e->d_name, &unit))
            continue;
        for (; at > 0 && units[at - 1] > unit; at--)
            units[at] = units[at - 1];
        units[at] = unit;
        n++;
    }
    closedir(dir);
    return n;
}

static int remove_snapshot(const char *ckpt, int unit)
{
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, unit);
    int rc = name != NULL && (unlink(name) == 0 || errno == ENOENT) ? 0 : -1;

    srq_free(name);
    return rc;
}

void srq_snapshot_thin(const char *ckpt, int newest, int keep)
{
    int units[SNAPSHOTS_MAX], n = list_snapshots(ckpt, units);

    while (n > keep) {
        int drop = -1, least = 0;

        /* The one whose neighbours (unit 0 needs no snapshot) are closest to each other. */
        for (int i = 0; i < n; i++) {
            int gap = (i + 1 < n ? units[i + 1] : units[i]) - (i > 0 ? units[i - 1] : 0);

            if ((units[i] != newest || keep == 0) && (drop < 0 || gap < least)) {
                drop = i;
                least = gap;
            }
        }
        if (drop < 0 || remove_snapshot(ckpt, units[drop]) != 0)
            return;
        for (n--; drop < n; drop++)
            units[drop] = units[drop + 1];
    }
}

int srq_snapshot_forget_behind(const char *ckpt, int unit, struct srq_error *err)
{
    int units[SNAPSHOTS_MAX], n = list_snapshots(ckpt, units), removed = 0;

    for (int i = 0; i < n; i++) {
        if (units[i] <= unit)
            continue;
        if (remove_snapshot(ckpt, units[i]) != 0)
            return srq_fail_field(err, -SRQ_EIO, ckpt, "cannot remove an old snapshot in %s: %s", ckpt,
                                  strerror(errno));
        removed++;
    }
    return removed > 0 ? srq_fsync_dir(ckpt, err) : 0;
}

/* Takes a snapshot in where it holds: *used. One that does not can be done without. */
static int load_one(const struct srq_snapshot_set *set, const char *ckpt, int unit, uint64_t inputs, bool *used,
                    struct srq_error *err)
{
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, unit);
    struct head want, have;
    struct contents c;
    struct srq_map map;
    int rc =
        name != NULL ? srq_map_open(name, &map, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory reading a snapshot");

    *used = false;
    srq_free(name);
    if (rc != 0)
        return rc;
    if (list_contents(set, unit, inputs, &want, &c) == 0 && map.size == sizeof(have) + want.bytes) {
        size_t at = sizeof(have);

        memcpy(&have, map.data, sizeof(have));
        want.hash = have.hash;
        *used = memcmp(&want, &have, sizeof(want)) == 0;
        for (int i = 0; *used && i < c.count; at += c.part[i++].len)
            memcpy((void *)(uintptr_t)c.part[i].data, map.data + at, c.part[i].len);
        *used = *used && have.hash == hash_of(&c);
    }
    srq_map_close(&map);
    return 0;
}

int srq_snapshot_load(const struct srq_snapshot_set *set, const char *ckpt, int most,
                      uint64_t (*inputs)(void *ctx, int unit), void *ctx, int *unit, struct srq_error *err)
{
    int units[SNAPSHOTS_MAX], n = list_snapshots(ckpt, units);

    *unit = -1;
    for (int i = n - 1; i >= 0; i--) {
        bool used;
        int rc;

        if (units[i] > most)
            continue;
        rc = load_one(set, ckpt, units[i], inputs(ctx, units[i]), &used, err);
        if (rc != 0)
            return rc;
        if (used) {
            *unit = units[i];
            return 0;
        }
    }
    return 0;
}
