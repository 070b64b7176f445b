/* What the files of core/model share: a family's description, a model's configuration, the parts of a block. */
#ifndef SRQ_MODEL_INTERNAL_H
#define SRQ_MODEL_INTERNAL_H

#include "core/model/model.h"
#include "core/model/quantized.h"
#include "core/model/rope.h"
#include "core/model/scale_pairs.h"

#define SRQ_NAME_CAP 256 /* tensor names that srq builds itself */

/* ---- families ---------------------------------------------------------------------------------------------------- */

/* Widths that a family's tensors are made of. */
enum srq_dim {
    SRQ_DIM_HIDDEN,
    SRQ_DIM_INTERMEDIATE,
    SRQ_DIM_QUERY, /* heads * head_dim */
    SRQ_DIM_KV,    /* kv_heads * head_dim */
    SRQ_DIM_HEAD,  /* head_dim */
    SRQ_DIM_VOCAB,
};

/* Whether a linear has a bias. */
enum srq_bias {
    SRQ_BIAS_NEVER,
    SRQ_BIAS_ALWAYS,
    SRQ_BIAS_ATTENTION, /* `attention_bias` of config.json */
    SRQ_BIAS_MLP,       /* `mlp_bias` */
};

/* One linear of a block: tensor PREFIX.N.MODULE.weight [out, in]. */
struct srq_linear_row {
    const char *module;
    enum srq_dim out, in;
    enum srq_bias bias;
    const char *tie; /* see struct srq_layer_info */
};

/* One vector of a block (a norm's weight): tensor PREFIX.N.MODULE.weight [dim]. */
struct srq_vector_row {
    const char *module;
    enum srq_dim dim;
};

/* One pair of a block that takes scales (scale_pairs.h). */
struct srq_pair_row {
    char kind;
    bool linear;  /* the producer is a linear, else a vector */
    int producer; /* its place in `linears` or `vectors` */
    enum srq_between between;
    int consumers[SRQ_PAIR_CONSUMERS], count; /* places in `linears` */
};

struct srq_config;

/* One architecture. The order of `linears` is the order of layers in a block. */
struct srq_family {
    const char *model_type;
    const char *prefix, *embed, *norm, *head; /* "model.layers" and the modules outside blocks */
    const struct srq_linear_row *linears;
    int linear_count;
    const struct srq_vector_row *vectors;
    int vector_count;
    const struct srq_pair_row *pairs;
    int pair_count;
    bool tied_default;        /* tie_word_embeddings where the configuration does not say */
    bool partial_rotary;      /* partial_rotary_factor is known */
    int64_t head_dim_default; /* 0: hidden / heads */
    /* Fills config->window of layers that slide; NULL: the family has no windows. */
    int (*windows)(const struct srq_fields *f, struct srq_config *config, struct srq_error *err);
    /* y = block(x), see srq_block_forward. */
    struct srq_var *(*forward)(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int64_t batch, int64_t seq);
};

extern const struct srq_family srq_family_llama, srq_family_mistral, srq_family_qwen2, srq_family_qwen3;
/* The family of a model_type, or NULL. */
const struct srq_family *srq_family_find(const char *model_type);
/* "llama, mistral, …"; returns out. */
char *srq_family_names(char *out, size_t cap);

/* ---- configuration ----------------------------------------------------------------------------------------------- */

struct srq_config {
    char *architecture; /* architectures[0], or "" */
    int64_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab, max_positions;
    double eps;
    bool tied, attention_bias, mlp_bias;
    int64_t *window; /* [layers]; 0: none, else a query sees itself and window-1 keys before it */
    struct srq_rope rope;
};

/* Finds the family and reads its configuration with all bounds of spec formats 7. */
int srq_config_read(const json_t *json, const struct srq_family **family, struct srq_config *out,
                    struct srq_error *err);
void srq_config_fini(struct srq_config *c);
int64_t srq_config_dim(const struct srq_config *c, enum srq_dim dim);
bool srq_config_bias(const struct srq_config *c, enum srq_bias bias);
/* Windows by `layer_types`, where given: "sliding_attention" gets `window` (0: there is none, which is an error).
 * `*given` says whether the key was there. */
int srq_config_layer_types(const struct srq_fields *f, struct srq_config *c, int64_t window, bool *given,
                           struct srq_error *err);

/* ---- model ------------------------------------------------------------------------------------------------------- */

/* A quantizable layer with its storage: the tensor NAME.weight, or packed ones. */
struct srq_layer_entry {
    struct srq_layer_info info;
    bool packed; /* decoded by m->quantized */
    int made_by; /* the pair whose consumer it is; -1: none */
    int makes;   /* the pair whose producer it is; -1: none */
};

struct srq_fold; /* the scales that are folded in */

struct srq_model {
    struct srq_model_info info;
    const struct srq_family *family;
    struct srq_config config;
    struct srq_tensors *tensors;
    struct srq_quantized *quantized; /* NULL in a plain folder */
    struct srq_layer_entry *layers;
    int layer_count;
    enum srq_dtype embed_dtype;
    struct srq_pair_info *pairs; /* of block b: from b * family->pair_count; then E, where there is one */
    int pair_count;
    struct srq_fold *fold; /* NULL: the weights are the stored ones */
    char **notes;          /* sentences for people */
    int note_count;
};

/* notes.c: what of the folder does not fit together */
int srq_model_take_notes(struct srq_model *m, struct srq_error *err);
void srq_model_drop_notes(struct srq_model *m);

/* PREFIX.block.module.suffix; a suffix of "" is left out with its dot. */
void srq_model_block_name(const struct srq_model *m, int block, const char *module, const char *suffix,
                          char name[SRQ_NAME_CAP]);

/* The tensor PREFIX.block.module.suffix of a block. */
bool srq_model_block_tensor(const struct srq_model *m, int block, const char *module, const char *suffix,
                            struct srq_tensor *out);
/* The tensor MODULE.weight, and the head's: the embedding where tied, false where packed. Opening has checked that what
 * the family demands is there. */
bool srq_model_module_tensor(const struct srq_model *m, const char *module, struct srq_tensor *out);
bool srq_model_head_tensor(const struct srq_model *m, struct srq_tensor *out);
/* Rows [row, row+rows) of a linear's weight into dst [rows, in] of dtype F32 or BF16: converted from the map or decoded
 * from a quantized folder. Parallel. */
int srq_model_read_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err);
/* The whole weight; its mapped pages are dropped afterwards. */
int srq_model_read_linear(const struct srq_model *m, int layer, void *dst, enum srq_dtype dtype, struct srq_error *err);
/* srq_convert over the team. Both sides F32, F16 or BF16. */
void srq_convert_parallel(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n);

/* ---- pairs and folding ------------------------------------------------------------------------------------------- */

int srq_pairs_build(struct srq_model *m, struct srq_error *err);
void srq_pairs_fini(struct srq_model *m);

/* Whether the fold changes a layer's weight; false without a fold. */
bool srq_fold_changes(const struct srq_model *m, int layer);
/* Rows [row, row+rows) of a layer's stored weight `src` (its first row is `row`), folded, into dst of dtype F32, F16 or
 * BF16. Parallel. */
void srq_fold_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, const struct srq_tensor *src,
                   void *dst, enum srq_dtype dtype);
/* A layer's bias [out] and a norm's weight, in place. block -1: the final norm. */
void srq_fold_bias(const struct srq_model *m, int layer, float *bias);
void srq_fold_vector(const struct srq_model *m, int block, int vector, float *weight);
/* The folded weight in F32 [out, in]: the fold's own memory, kept until a layer of another block is asked for. */
int srq_fold_weight(const struct srq_model *m, int layer, const struct srq_tensor *stored, struct srq_tensor *out,
                    struct srq_error *err);

/* Any tensor of the folder as the model is now, in its stored dtype: the mapped one, or (`*owned`) folded in memory
 * that srq_free gives back. */
int srq_model_tensor(const struct srq_model *m, const char *name, struct srq_tensor *out, void **owned,
                     struct srq_error *err);

/* ---- block ------------------------------------------------------------------------------------------------------- */

struct srq_block {
    const struct srq_model *model;
    enum srq_dtype compute;
    int index;                  /* the block that is loaded; -1: none yet */
    struct srq_linear *linears; /* [family->linear_count] */
    void **weights;             /* where linears[i]'s own weight is */
    float **biases;             /* NULL where there is none */
    float **vectors;            /* [family->vector_count] */
    uint8_t *memory;            /* all of the above's data */
    size_t bytes;
    char (*names)[SRQ_NAME_CAP]; /* of the linears */
    float *rope_cos, *rope_sin;  /* [rope_seq, rope.dim/2] */
    int64_t rope_seq;
};

/* ---- head -------------------------------------------------------------------------------------------------------- */

#define SRQ_HEAD_TOKENS 1024 /* that go through the head together */

struct srq_head {
    const struct srq_model *model;
    struct srq_linear linear;
    int layer; /* of lm_head in the table; -1 where tied */
    int64_t panel_rows;
    float *norm;   /* [hidden] */
    float *tokens; /* [SRQ_HEAD_TOKENS, hidden], after the norm */
    float *panel;  /* [panel_rows, hidden] */
    float *memory;
    size_t bytes;
};

/* Rows [row, row+rows) of the head in F32: in place where they are stored so, else in the panel. */
int srq_head_rows(const struct srq_head *h, int64_t row, int64_t rows, const float **out, struct srq_error *err);

#endif
