/* The two chains of hidden states that run through the blocks (spec signround 5): full precision, which gives every
 * block its target, and quantized, which gives it its input. Kept in memory or in mapped files. */
#ifndef SRQ_JOB_CHAIN_H
#define SRQ_JOB_CHAIN_H

#include "core/model/model.h"
#include "core/text/samples.h"

struct srq_chains {
    enum srq_dtype dtype;
    int64_t nsamples, seq, hidden;
    size_t bytes;    /* of one chain */
    uint8_t *fp, *q; /* [nsamples, seq, hidden] each; q NULL where only the full-precision chain is wanted */
    bool mapped;
};

/* `dir` NULL: in memory; else in nameless files there, their space reserved. */
int srq_chains_create(const char *dir, bool both, enum srq_dtype dtype, int64_t nsamples, int64_t seq, int64_t hidden,
                      struct srq_chains *out, struct srq_error *err);
void srq_chains_fini(struct srq_chains *c);
/* Both chains become the embedding of the samples. */
int srq_chains_embed(struct srq_chains *c, const struct srq_model *m, const struct srq_samples *s,
                     struct srq_error *err);

/* A snapshot of both chains as they enter `block`, durable; its name is CKPT/chain-NNN.bin. `inputs` names the results
 * of the blocks before it that the quantized chain came through: other results, other inputs. */
int srq_chains_save(const struct srq_chains *c, const char *ckpt, int block, uint64_t inputs, struct srq_error *err);
/* Loads the newest snapshot for a block of at most `most` that was made with inputs(ctx, block); *block is -1 where
 * there is none. */
int srq_chains_load(struct srq_chains *c, const char *ckpt, int most, uint64_t (*inputs)(void *ctx, int block),
                    void *ctx, int *block, struct srq_error *err);
/* Keeps at most `keep` snapshots, that of block `newest` among them and the others evenly spread; 0: none. */
void srq_chains_thin(const char *ckpt, int newest, int keep);
/* Removes, durably, the snapshots behind `block`, which are of no use once that gets another result. */
int srq_chains_forget_behind(const char *ckpt, int block, struct srq_error *err);

/* Runs blocks over a chain, batch by batch, in memory of its own. */
struct srq_forward;
int srq_forward_create(const struct srq_model *m, enum srq_dtype compute, int64_t batch, int64_t seq,
                       struct srq_forward **out, struct srq_error *err);
void srq_forward_free(struct srq_forward *f);
/* Replaces every sample of `chain` by the block's output, in place. tick: NULL, or called between batches; a non-zero
 * return ends with that code, the chain then being half old and half new. */
int srq_forward_run(struct srq_forward *f, struct srq_block *b, struct srq_chains *c, uint8_t *chain,
                    int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, struct srq_error *err);
/* The same without replacing anything: for whoever listens to the block's layers. */
int srq_forward_listen(struct srq_forward *f, struct srq_block *b, struct srq_chains *c, uint8_t *chain,
                       int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, struct srq_error *err);

#endif
