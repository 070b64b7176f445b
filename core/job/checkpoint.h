/* What survives a kill: results of finished blocks, the state of the running one, results of evaluations. All in the
 * job directory's ckpt/, each file complete or absent. */
#ifndef SRQ_JOB_CHECKPOINT_H
#define SRQ_JOB_CHECKPOINT_H

#include "core/base/fs.h"
#include "core/grid/grid.h"
#include "core/model/model.h"

#include <cjson/cJSON.h>

/* ---- finished blocks: ckpt/block-NNN.safetensors ----------------------------------------------------------------- */

/* How the tuning of a block went; NaN: unknown. Arrays have one entry per layer of the block. */
struct srq_block_result {
    double loss_first, loss_best;
    int64_t best_iter, iters_done; /* best_iter -1: nothing was tuned */
    double elapsed_s, tune_s;      /* the whole block; its tuning loop alone */
    int64_t generation;            /* 1 for the block's first result, larger for each later one */
    int layers;
    double *error_first, *error_best;
    double *saturation; /* share of codes at the ends of the range */
};
int srq_block_result_init(struct srq_block_result *r, int layers, struct srq_error *err); /* all unknown */
void srq_block_result_fini(struct srq_block_result *r);

/* codes[i]: of layer infos[i], NULL where it is left alone; the file keeps their schemes. */
int srq_ckpt_block_write(const char *ckpt, int unit, const struct srq_layer_info *const *infos, int layers,
                         const struct srq_codes *const *codes, const struct srq_block_result *result,
                         struct srq_error *err);
bool srq_ckpt_block_exists(const char *ckpt, int unit);

struct srq_ckpt_block; /* an opened result: codes point into the mapped file */
/* A file that does not hold these layers: -SRQ_EFORMAT. */
int srq_ckpt_block_open(const char *ckpt, int unit, const struct srq_layer_info *const *infos, int layers,
                        struct srq_ckpt_block **out, struct srq_error *err);
const struct srq_scheme *srq_ckpt_block_scheme(const struct srq_ckpt_block *b, int layer); /* that it was made with */
const struct srq_codes *srq_ckpt_block_codes(const struct srq_ckpt_block *b, int layer);   /* NULL: left alone */
const struct srq_block_result *srq_ckpt_block_result(const struct srq_ckpt_block *b);
void srq_ckpt_block_close(struct srq_ckpt_block *b);

/* ---- the running block: ckpt/running.bin ------------------------------------------------------------------------- */

struct srq_running {
    int64_t block, iter;
    uint64_t key;             /* of what its result depends on: generation, schemes, results of the blocks before it */
    double elapsed_s, tune_s; /* spent on the block so far */
    /* of a file opened */
    struct srq_part state; /* of the tuner, in the map */
    struct srq_map map;
};
#define SRQ_RUNNING_PARTS 16
/* `state`: what srq_tuner_save gave, at most SRQ_RUNNING_PARTS parts. */
int srq_running_write(const char *ckpt, const struct srq_running *r, const struct srq_part *state, size_t count,
                      struct srq_error *err);
/* false when there is none for this block and key, or it does not hold. */
bool srq_running_open(const char *ckpt, int block, uint64_t key, struct srq_running *out);
void srq_running_close(struct srq_running *r); /* may be called again */
void srq_running_remove(const char *ckpt);

/* ---- the end of a job -------------------------------------------------------------------------------------------- */

/* Removes what only a resume needs, which is nearly all of the bytes: every file but small facts and pictures. What
 * cannot be removed does not keep the rest from going: the first such is in `err`. */
int srq_ckpt_clear(const char *ckpt, struct srq_error *err);

/* ---- small facts: ckpt/NAME.json --------------------------------------------------------------------------------- */

int srq_fact_write(const char *ckpt, const char *name, const cJSON *fact, struct srq_error *err);
cJSON *srq_fact_read(const char *ckpt, const char *name); /* NULL: none, or damaged */
void srq_fact_remove(const char *ckpt, const char *name);

/* Bytes that a fact vouches for: ckpt/NAME, and their hash for it as text. */
#define SRQ_HASHED_HEX 17
void srq_hashed_text(const void *data, size_t len, char hash[SRQ_HASHED_HEX]);
int srq_hashed_write(const char *ckpt, const char *name, const void *data, size_t len, struct srq_error *err);
/* false when there is none of this hash (NULL: no word of one); else the caller closes *out. */
bool srq_hashed_open(const char *ckpt, const char *name, const char *hash, struct srq_map *out);

#endif
