/* Snapshots of stored states as they enter a unit, on disk: what a walk goes on from without running all units again.
 */
#ifndef SRQ_FLOW_SNAPSHOT_H
#define SRQ_FLOW_SNAPSHOT_H

#include "core/flow/states.h"

/* Some stores of the same shape together. */
struct srq_snapshot_set {
    struct srq_states *const *stores;
    int count;
};

size_t srq_snapshot_bytes(const struct srq_snapshot_set *set, int unit);
/* Durable; its name is CKPT/chain-NNN.bin. `inputs` names the results of the units before that the states came through:
 * other results, other inputs. */
int srq_snapshot_save(const struct srq_snapshot_set *set, const char *ckpt, int unit, uint64_t inputs,
                      struct srq_error *err);
/* Loads the newest for a unit of at most `most` that was made with inputs(ctx, unit); *unit is -1 where there is
 * none. */
int srq_snapshot_load(const struct srq_snapshot_set *set, const char *ckpt, int most,
                      uint64_t (*inputs)(void *ctx, int unit), void *ctx, int *unit, struct srq_error *err);
/* Keeps at most `keep`, that of unit `newest` among them and the others evenly spread; 0: none. */
void srq_snapshot_thin(const char *ckpt, int newest, int keep);
/* Removes, durably, those behind `unit`, which are of no use once that gets another result. */
int srq_snapshot_forget_behind(const char *ckpt, int unit, struct srq_error *err);

#endif
