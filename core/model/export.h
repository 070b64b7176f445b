/* Writing a quantized model as a folder that other programs load: auto_round, auto_gptq, auto_awq, compressed-tensors,
 * or plain weights (spec formats 4.1 to 4.6), or GGUF.
 *
 * auto_round: packing_format follows the schemes (spec formats 4.4): all symmetric: auto_round:auto_gptq (v1 zeros);
 * all 4-bit asymmetric: auto_round:auto_awq; anything else: auto_round (v2 zeros). Mixed widths go to extra_config.
 * auto_gptq: zero-points of symmetric models are stored minus one (checkpoint_format gptq). v1 has no zero-point 0,
 * which asymmetric rounding produces, so a model with any asymmetric layer is written as checkpoint_format gptq_v2
 * instead. Unquantized tensors are F16. auto_awq: 4 bits, one scheme for all quantized layers; unquantized tensors are
 * F16. compressed-tensors: integers of 4 and 8 bits, mxfp4, mxfp8, nvfp4, fp8, and mixtures of them. Scales keep their
 * exact values: F16 for integers, F32 for fp8; everything else is stored as it was. fake: the dequantized weights Ŵ in
 * the dtype of the source, no quantization_config; any scheme. int8: srq's own of diffusion models, for its sampler:
 * LAYER.weight I8 in the shape of the original and LAYER.weight_scale F32 [out, groups of a row]. gguf: one file of
 * version 3 with keys and tokenizer for llama.cpp; symmetric integers of 4, 5 and 8 bits and mxfp4, which its types
 * hold to the bit; matrices that are not quantized as they were, vectors F32 (spec formats 5).
 *
 * The bytes depend on model, schemes and codes alone: no time, name or path is in them. */
#ifndef SRQ_MODEL_EXPORT_H
#define SRQ_MODEL_EXPORT_H

#include "core/grid/grid.h"
#include "core/model/model.h"

struct srq_format; /* a row of the table of formats */
const char *srq_format_name(const struct srq_format *f);
const char *srq_format_summary(const struct srq_format *f);

const struct srq_format *srq_format_at(int i); /* NULL past the end */
/* NULL when there is none; `err` lists the names. */
const struct srq_format *srq_format_find(const char *name, struct srq_error *err);

/* Whether a format has words for what a model is, whatever its schemes: -SRQ_EUNSUPPORTED with the reason. Reads the
 * tokenizer where the format holds it, which is asked once, before any work. */
int srq_format_holds(const struct srq_format *f, const struct srq_model *m, struct srq_error *err);
bool srq_format_has_words(const struct srq_format *f);        /* it holds the tokenizer */
bool srq_format_rounds_embedding(const struct srq_format *f); /* it can hold the embedding under a scheme */

/* Whether a format can carry one layer under a scheme; "bf16" always. -SRQ_EUNSUPPORTED with the layer and the
 * reason. */
int srq_format_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                       struct srq_error *err);

#define SRQ_FORMAT_REASON_MAX 240
/* The same for a whole plan: schemes and reason have one entry per model layer. Fills reason[i] (empty: fine) and
 * returns how many layers the format refuses, or a negative code. Beside each layer's own limits: layers that runtimes
 * fuse (srq_layer_info.tie) must share scheme and skip state; a uniform format keeps the scheme that covers most
 * weights. Leaving the refused layers alone ("bf16") gives a plan with no refusals. */
int srq_format_plan(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                    char (*reason)[SRQ_FORMAT_REASON_MAX], struct srq_error *err);

/* Bytes of all tensors of the export, for the disk plan and the report. */
int srq_export_bytes(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                     uint64_t *bytes, struct srq_error *err);

/* Whether every tensor that the format stores in F16 fits into it: -SRQ_ENUMERIC naming the first that does not. Reads
 * them. */
int srq_export_check_values(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                            struct srq_error *err);

struct srq_export_request {
    const struct srq_format *format;
    const struct srq_scheme *schemes; /* one per model layer */
    /* Codes of a layer whose grid is not SRQ_GRID_NONE: valid until the next call. Called twice per layer, for writing
     * and for the check, in the order of the model's layers. */
    int (*codes)(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err);
    void *codes_ctx;
    uint64_t shard_bytes; /* 0: 5 GB */
    bool narrow;          /* F32 weights of layers that are not quantized become BF16 */
    /* Progress in layers (written, then checked: total is twice the number of layers); a non-zero return ends the
     * export with that code. May be NULL. */
    int (*tick)(void *ctx, int64_t done, int64_t total);
    void *tick_ctx;
};

/* Builds the complete folder `dir`, which must not exist; its parent must. Then opens every file again with the strict
 * readers, decodes every row of every layer and compares it with the codes, and compares copied tensors with their
 * source. On failure nothing is left. The model must be a plain one and `dir` outside its folder's own name. */
int srq_export_build(const struct srq_model *m, const struct srq_export_request *r, const char *dir,
                     struct srq_error *err);

/* Gives a finished folder its final name in one step, durably; both must be on one file system. Something that exists
 * under that name is refused with -SRQ_EEXIST, unless `force` is set and it is a folder that holds a model or a report
 * (or nothing): then the two are exchanged and the old one removed. After a crash either `built` is still there and
 * nothing was published, or it is gone (or holds the replaced folder) and the final name is complete. */
int srq_export_publish(const char *built, const char *final_dir, bool force, struct srq_error *err);
/* What cannot come out well, asked before any work: an output that exists, one for which nothing can be made in the
 * nearest folder there is, one that is the model's own folder, holds it or lies in it (`model_dir` may be NULL). */
int srq_export_check_output(const char *final_dir, const char *model_dir, bool force, struct srq_error *err);
/* Makes the folders above a final name, like mkdir -p. */
int srq_export_parents(const char *final_dir, struct srq_error *err);
/* Where to build for a final name: a hidden name beside it. Free with srq_free; NULL when out of memory. */
char *srq_export_temporary(const char *final_dir);

/* All of it: removes what an earlier crash left under the temporary name, builds, publishes. */
int srq_export(const struct srq_model *m, const struct srq_export_request *r, const char *final_dir, bool force,
               struct srq_error *err);

/* Files beside the weights that an export carries along as they are; ends with NULL. */
extern const char *const srq_export_carried[];
/* The same for one model, relative to its folder, with what a pipeline has beside its network; NULL past the end. */
const char *srq_export_carried_name(const struct srq_model *m, int i);
/* Before any work: that those that are there can be copied, and are no git-lfs pointers. */
int srq_export_check_carried(const struct srq_model *m, struct srq_error *err);
uint64_t srq_export_carried_bytes(const struct srq_model *m); /* of those that are there */

#endif
