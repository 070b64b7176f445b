/* What the files of core/model share: a family's description, a model's configuration, the parts of a block. */
#ifndef SRQ_MODEL_INTERNAL_H
#define SRQ_MODEL_INTERNAL_H

#include "core/model/model.h"
#include "core/model/quantized.h"
#include "core/model/rope.h"
#include "core/model/scale_pairs.h"

/* ---- families ---------------------------------------------------------------------------------------------------- */

/* Widths that a family's tensors are made of: one of these, or (above 0) the number itself. */
enum srq_dim {
    SRQ_DIM_HIDDEN = -6,
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

/* One linear or convolution of a block: tensor UNIT.MODULE.weight [out, in] or [out, in/kernel², kernel, kernel]. */
struct srq_linear_row {
    const char *module;
    int64_t out, in; /* widths */
    enum srq_bias bias;
    const char *tie;    /* see struct srq_layer_info */
    int kernel;         /* of a convolution; 0: a linear */
    const char *legacy; /* what older checkpoints call the module; NULL: the same */
    bool edge;          /* see struct srq_layer_info */
    int64_t split;      /* the same */
};

/* One vector of a block (a norm's weight): tensor UNIT.MODULE.SUFFIX [dim]. */
struct srq_vector_row {
    const char *module;
    int64_t dim;        /* a width */
    const char *suffix; /* NULL: "weight" */
    float offset;       /* is added to what the tensor holds: 1 where a gain is stored less 1 */
};
static inline const char *srq_vector_suffix(const struct srq_vector_row *v)
{
    return v->suffix != NULL ? v->suffix : "weight";
}

/* One pair of a block that takes scales (scale_pairs.h). */
struct srq_pair_row {
    char kind;
    bool linear;  /* the producer is a linear, else a vector */
    int producer; /* its place in `linears` or `vectors` */
    enum srq_between between;
    int consumers[SRQ_PAIR_CONSUMERS], count; /* places in `linears` */
};

struct srq_config;
struct srq_layout;

/* What a kind of block is made of and computes. The order of `linears` is the order of layers in the block. */
struct srq_block_kind {
    const struct srq_linear_row *linears;
    int linear_count;
    const struct srq_vector_row *vectors;
    int vector_count;
    const struct srq_pair_row *pairs;
    int pair_count;
    /* See srq_block_forward. */
    void (*forward)(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                    int64_t batch, int64_t seq);
    const void *shape; /* the family's own, for `forward` */
};

/* One architecture. */
struct srq_family {
    const char *model_type;                   /* or, of a diffusers component, its _class_name */
    const char *prefix, *embed, *norm, *head; /* "model.layers" and the modules outside blocks; head NULL: a model of
                                                 pictures, whose last block writes what it says */
    const struct srq_block_kind *block;       /* where all are alike, each reading what the one before it wrote */
    /* Where they are not: gives the model its ports and blocks, in the order in which they run. The input and the
     * head's input are `hidden` wide. */
    int (*lay_out)(struct srq_layout *l, const struct srq_config *c);
    float norm_offset;        /* of the norm outside blocks, as in struct srq_vector_row */
    bool embed_scaled;        /* embeddings are multiplied by sqrt(hidden) */
    const char *const *acts;  /* what hidden_act may say, the default first, NULL behind the last; NULL: silu */
    bool tied_default;        /* tie_word_embeddings where the configuration does not say */
    bool partial_rotary;      /* partial_rotary_factor is known */
    int64_t head_dim_default; /* 0: hidden / heads */
    /* Reads a configuration that is not a language model's. */
    int (*read)(const struct srq_fields *f, struct srq_config *config, struct srq_error *err);
    /* Fills config->window of layers that slide; NULL: the family has no windows. */
    int (*windows)(const struct srq_fields *f, struct srq_config *config, struct srq_error *err);
    /* Refuses what keys of the family's own ask for and it does not compute; NULL: it has no such keys. */
    int (*check)(const struct srq_fields *f, struct srq_error *err);
};

/* units.c: a port of this name and width, its number; a block of that kind called PREFIX.N, reading and writing ports.
 * Negative: out of memory, or more than SRQ_UNIT_PORTS. The first port of a language model is there already: 0, the
 * input. */
int srq_layout_port(struct srq_layout *l, const char *name, int64_t cols);
int srq_layout_matrix(struct srq_layout *l, const char *name, int64_t rows, int64_t cols); /* of `rows` a sample */
int srq_layout_block(struct srq_layout *l, const struct srq_block_kind *kind, const int *in, int ins, const int *out,
                     int outs);
/* The same under a name of its own. */
struct srq_layout_unit {
    const char *name;
    const char *tensors; /* what its modules' names begin with, "": nothing */
    const struct srq_block_kind *kind;
    int in[SRQ_UNIT_PORTS], ins, out[SRQ_UNIT_PORTS], outs;
};
int srq_layout_named(struct srq_layout *l, const struct srq_layout_unit *u);

extern const struct srq_family srq_family_llama, srq_family_mistral, srq_family_qwen2, srq_family_qwen3;
extern const struct srq_family srq_family_gemma;
extern const struct srq_family srq_family_unet2d, srq_family_unet2d_condition;
/* The family of a model_type or _class_name, or NULL. */
const struct srq_family *srq_family_find(const char *model_type);
/* For a program that brings one of its own: known from now on, beside those above. One at a time; NULL: none. */
void srq_family_bring(const struct srq_family *f);
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
    struct srq_unet *unet; /* of a U-Net, which has none of the above but an architecture; else NULL */
};

/* Finds the family and reads its configuration with all bounds of spec formats 7. */
int srq_config_read(const json_t *json, const struct srq_family **family, struct srq_config *out,
                    struct srq_error *err);
void srq_config_fini(struct srq_config *c);
int64_t srq_config_dim(const struct srq_config *c, int64_t width);
bool srq_config_bias(const struct srq_config *c, enum srq_bias bias);
/* Windows by `layer_types`, where given: "sliding_attention" gets `window` (0: there is none, which is an error:
 * `why`).
 * `*given` says whether the key was there. */
int srq_config_layer_types(const struct srq_fields *f, struct srq_config *c, int64_t window, const char *why,
                           bool *given, struct srq_error *err);

/* ---- model ------------------------------------------------------------------------------------------------------- */

/* A quantizable layer with its storage: the tensor NAME.weight, or packed ones. */
struct srq_layer_entry {
    struct srq_layer_info info;
    bool packed;              /* decoded by m->quantized */
    struct srq_scheme inputs; /* of a packed one, where it quantizes activations */
    int made_by;              /* the pair whose consumer it is; -1: none */
    int makes;                /* the pair whose producer it is; -1: none */
};

struct srq_unit_entry {
    struct srq_unit_info info;
    const struct srq_block_kind *kind; /* NULL: the head */
    char *tensors;                     /* what its modules' names begin with */
    int pair;                          /* the first of its pairs */
};

struct srq_fold; /* the scales that are folded in */

struct srq_model {
    struct srq_model_info info;
    struct srq_unpacked unpacked;
    char *gguf_note; /* about a GGUF file's keys; or NULL */
    char *weights;   /* the folder of the network inside a diffusers folder; NULL: info.folder */
    const struct srq_family *family;
    struct srq_config config;
    struct srq_tensors *tensors;
    struct srq_tensors *replaced;    /* that take the place of some; NULL: none do */
    struct srq_quantized *quantized; /* NULL in a plain folder */
    struct srq_layer_entry *layers;
    int layer_count;
    struct srq_unit_entry *units;
    int unit_count;
    struct srq_port_info *ports;
    int port_count;
    enum srq_dtype embed_dtype;
    struct srq_scheme embedding; /* its table's, in exports; grid SRQ_GRID_NONE: as it is stored */
    float *embedding_weights;    /* [hidden] what an error in a column of it counts; NULL until it is made */
    struct srq_pair_info *pairs; /* unit by unit; E, where there is one, is the head's */
    int pair_count;
    struct srq_fold *fold; /* NULL: the weights are the stored ones */
    char **notes;          /* sentences for people */
    int note_count;
};

/* units.c: the units and ports, before their layers are known; what each is like, once they are. */
int srq_units_build(struct srq_model *m, struct srq_error *err);
void srq_units_compare(struct srq_model *m);
void srq_units_fini(struct srq_model *m);

bool srq_model_has_config(const char *dir); /* open.c: config.json or model_index.json */

/* diffusers.c: of a folder with a model_index.json the one that holds the network, `*out` the caller's; NULL where the
 * folder itself does, as those of old hubs and those without such an index do. */
int srq_diffusers_network(const char *path, char **out, struct srq_error *err);

/* unet_config.c: the configuration of a UNet2DModel, and of a UNet2DConditionModel; its part in a model's */
int srq_unet_read(const struct srq_fields *f, struct srq_config *c, struct srq_error *err);
int srq_unet_condition_read(const struct srq_fields *f, struct srq_config *c, struct srq_error *err);
void srq_unet_free(struct srq_unet *u);

/* notes.c: what of the folder does not fit together */
int srq_model_take_notes(struct srq_model *m, const json_t *config, struct srq_error *err);
void srq_model_drop_notes(struct srq_model *m);

/* UNIT.module.suffix; a suffix of "" is left out with its dot, and so is a unit whose modules stand alone. */
void srq_model_block_name(const struct srq_model *m, int unit, const char *module, const char *suffix,
                          char name[SRQ_NAME_CAP]);

/* embedding.c: codes of rows of the stored embedding under m->embedding, allocated here; after
 * srq_model_make_embedding. */
int srq_model_embedding_codes(const struct srq_model *m, int64_t row, int64_t rows, struct srq_codes *out,
                              struct srq_error *err);

/* A tensor as the model has it now: stored, or one that took its place. */
bool srq_model_find(const struct srq_model *m, const char *name, struct srq_tensor *out);
/* The tensor UNIT.module.suffix of a block. */
bool srq_model_block_tensor(const struct srq_model *m, int unit, const char *module, const char *suffix,
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
/* What is added to the stored vector of a unit to get the one that it computes with. Of the head: the final norm. */
float srq_model_vector_offset(const struct srq_model *m, int unit, int vector);
/* A unit's vector as it is stored, in F32, becomes the one that the unit computes with: folded, with its offset. */
void srq_model_vector_use(const struct srq_model *m, int unit, int vector, float *value, int64_t n);
/* srq_convert over the team. Both sides F32, F16 or BF16: -SRQ_EUNSUPPORTED names others. */
int srq_convert_parallel(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n,
                         struct srq_error *err);

/* ---- pairs and folding ------------------------------------------------------------------------------------------- */

int srq_pairs_build(struct srq_model *m, struct srq_error *err);
void srq_pairs_fini(struct srq_model *m);

/* Whether the fold changes a layer's weight; false without a fold. */
bool srq_fold_changes(const struct srq_model *m, int layer);
/* Rows [row, row+rows) of a layer's stored weight `src` (its first row is `row`), folded, into dst of dtype F32, F16 or
 * BF16. Parallel. */
void srq_fold_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, const struct srq_tensor *src,
                   void *dst, enum srq_dtype dtype);
/* A layer's bias [out] and a norm's stored weight, in place. Of the head: the final norm. */
void srq_fold_bias(const struct srq_model *m, int layer, float *bias);
void srq_fold_vector(const struct srq_model *m, int unit, int vector, float *weight);
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
    int index;   /* the unit that it is; -1: none yet */
    bool loaded; /* with its weights */
    const struct srq_block_kind *kind;
    struct srq_linear *linears; /* those of the kind */
    void **weights;             /* where linears[i]'s own weight is */
    struct srq_vector *vectors; /* those of the kind, then the biases of linears that have one */
    float **values;             /* where vectors[i]'s own value is */
    int vector_count;
    uint8_t *memory; /* all of the above's data */
    size_t bytes;
    float *rope_cos, *rope_sin; /* [rope_seq, rope.dim/2] */
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
