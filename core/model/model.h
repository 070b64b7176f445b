/* Models: families, block graphs, loading a block at a time. */
#ifndef SRQ_MODEL_MODEL_H
#define SRQ_MODEL_MODEL_H

#include "core/format/tensors.h"
#include "core/math/int8.h"
#include "core/tape/ops.h"

struct srq_model; /* an opened model folder: configuration, family, layer table, mapped weights */

/* ---- the table: units, layers and ports, by number (design 2a). Made when a model is opened, never changed ----------
 */

/* One quantizable layer. Those of a unit stand together, units in their order. */
struct srq_layer_info {
    const char *name;   /* checkpoint tensor without ".weight" */
    const char *module; /* name inside the block: "mlp.down_proj"; "lm_head" outside */
    int block;          /* its block's number for people; -1: outside the blocks */
    int64_t out, in;
    enum srq_dtype dtype; /* of the stored weight; the embedding's where the weight is packed */
    bool has_bias;
    const char *tie_name; /* for people: "qkv", "gate_up"; NULL: none */
    int tie;              /* layers with the same number read the same input and share a scheme where runtimes fuse
                             them; -1: none */
    int unit;
    int kernel;    /* of a convolution, whose weight is [out, in/kernel², kernel, kernel]; 0: a linear */
    bool picture;  /* of a diffusion model: no head comes behind it, and nothing packs it into words */
    int64_t split; /* of a diffusion model: the first column of its input that a skip gave, which follow what the units
                      before gave (before norms, which keep columns apart); 0: there is none */
    bool edge;     /* of a diffusion model: where pictures enter or leave, or where the time comes in */
};

static inline bool srq_layers_tied(const struct srq_layer_info *a, const struct srq_layer_info *b)
{
    return a->tie >= 0 && a->tie == b->tie;
}

/* A value that units read and write, one matrix [rows, cols] a sample. A unit writes no port that it reads. */
struct srq_port_info {
    const char *name;
    int64_t rows, cols; /* rows 0: one for every token of the sample */
    int writer;         /* unit; -1: an input of the model (srq_model_embed, pictures.h) */
    int readers;        /* units that read it */
    int last_reader;    /* the last of them; -1: none */
};

enum srq_unit_kind {
    SRQ_UNIT_BLOCK, /* runs on the tape, by srq_block_forward */
    SRQ_UNIT_HEAD,  /* final norm and head, by srq_head_logits; its layer is the head where that is not the embedding */
};

#define SRQ_UNIT_PORTS 4

/* What is loaded, run and tuned at once. Units may differ in layers and shapes. Blocks come first, in the order in
 * which they run, and have their number as unit too; the head is last, where there is one. */
struct srq_unit_info {
    const char *name; /* "model.layers.3", "lm_head" */
    enum srq_unit_kind kind;
    int first, count; /* its layers */
    int in[SRQ_UNIT_PORTS], ins, out[SRQ_UNIT_PORTS], outs;
    int alike; /* the first unit with the same shapes: a pass through either takes the same memory */
};

struct srq_model_info {
    const char *path, *family, *architecture;
    const char *folder;  /* of the model's files: `path`, or what the file there was unpacked into */
    const char *network; /* the folder of configuration and weights: `folder`, or one in it (diffusers) */
    bool pictures;       /* a diffusion model (pictures.h): no words, no head, and no widths but its layers' */
    int blocks;
    int64_t hidden, intermediate, heads, kv_heads, head_dim, vocab, max_positions;
    bool tied_head;
    double rms_eps;
    enum srq_dtype dtype;  /* of the checkpoint's weights */
    int64_t parameters;    /* elements of all tensors, of packed layers those that their codes stand for */
    uint64_t bytes;        /* of all tensors */
    const char *quantized; /* quant_method when the folder is an srq-readable quantized one, else NULL */
    bool rounds_inputs;    /* such a folder says that inputs of some layers are to be rounded */
};

/* What a model that is one file became. */
struct srq_unpacked {
    char *folder; /* NULL: the model is a folder */
    char *gguf;   /* where weights are read that the folder does not hold; NULL: it holds all */
};

/* The folder of an archive's model, or of a GGUF file, or of an archive of one: made in the user's cache folder (kind
 * "models", core/base/cache_dir.h) unless that was done before for the same content; what is not opened for 30 days is
 * taken away when another one is made. Errors as of core/format/archive.h and gguf.h; -SRQ_EFORMAT where an archive
 * holds no model, or several; -SRQ_ESTATE where there is no cache folder. */
int srq_model_unpack(const char *path, struct srq_unpacked *out, struct srq_error *err);
void srq_unpacked_fini(struct srq_unpacked *u);

/* Opens a folder, or what srq_model_unpack makes one of. Headers and configuration only; every expected tensor is
 * checked for presence and exact shape. A quantized folder or GGUF file that srq can decode is opened too, with weights
 * decoded as blocks are loaded; `plain_only` refuses those by name. */
int srq_model_open(const char *path, bool plain_only, struct srq_model **out, struct srq_error *err);
void srq_model_close(struct srq_model *m);
const struct srq_model_info *srq_model_info(const struct srq_model *m);
/* Sentences for people about what of the folder is contradictory or not used, and what is done about it; NULL behind
 * the last. */
const char *srq_model_note(const struct srq_model *m, int i);
int srq_model_layer_count(const struct srq_model *m); /* all quantizable layers, lm_head last where not tied */
const struct srq_layer_info *srq_model_layer(const struct srq_model *m, int i);
/* The scheme by which a quantized folder wants a layer's inputs rounded, NULL where it does not. */
const struct srq_scheme *srq_model_inputs(const struct srq_model *m, int layer);
int srq_model_unit_count(const struct srq_model *m);
const struct srq_unit_info *srq_model_unit(const struct srq_model *m, int u);
/* Port 0 is the model's input; the last unit reads the last one, or writes it where there is no head. */
int srq_model_port_count(const struct srq_model *m);
const struct srq_port_info *srq_model_port(const struct srq_model *m, int p);
/* Tensors of a file by the names of some of the model's own, of the same number of elements, take the place of those
 * from now on: what training made of them. An error leaves the model as it was. */
int srq_model_replace(struct srq_model *m, const char *path, struct srq_error *err);
/* An embedding under a scheme, each row as by srq_round_searched, errors weighed by the mean square of their column; it
 * is the head as well where that is tied. From now on exports that can (srq_format_rounds_embedding) store it so:
 * -SRQ_EUNSUPPORTED with the reason where its rows cannot. Then, before anything is computed with it, the rounded
 * values in F32 take the place of the stored ones: they are written to DIR/embedding.safetensors, which is mapped.
 * NULL: it is as it is stored. */
int srq_model_round_embedding(struct srq_model *m, const struct srq_scheme *s, struct srq_error *err);
const struct srq_scheme *srq_model_embedding(const struct srq_model *m);
int srq_model_make_embedding(struct srq_model *m, const char *dir, struct srq_error *err);
uint64_t srq_model_embedding_bytes(const struct srq_model *m); /* of memory that this takes meanwhile */
/* Most layers that a unit has. */
int srq_model_unit_layers(const struct srq_model *m);
const struct srq_tensors *srq_model_tensors(const struct srq_model *m);
/* The stored weight of a layer [out, in], mapped (quantized folder: -SRQ_EUNSUPPORTED). Where scales are folded in
 * (scale_pairs.h) it is F32 in memory of the model's own, kept until a layer of another block is asked for; one
 * thread. */
int srq_model_weight(const struct srq_model *m, int layer, struct srq_tensor *out, struct srq_error *err);
/* The codes of a layer where a quantized folder stores them, a signed byte each with one scale a row. They are mapped.
 * False: it does not. */
bool srq_model_int8(const struct srq_model *m, int layer, struct srq_int8_codes *out);
/* First tensor with NaN or Inf among those of a unit (the head: all that are of no block) → -SRQ_ENUMERIC naming it and
 * the index. */
int srq_model_check_finite(const struct srq_model *m, int unit, struct srq_error *err);

/* One block's parameters in compute dtype, in memory of its own for the largest; reused from block to block. */
struct srq_block;
size_t srq_block_bytes(const struct srq_model *m, enum srq_dtype compute); /* of that memory */
size_t srq_block_rope_bytes(const struct srq_model *m, int64_t seq);       /* for the plan: tables that forward keeps */
int srq_block_create(const struct srq_model *m, enum srq_dtype compute, struct srq_block **out, struct srq_error *err);
/* Becomes a unit that is a block: its weights are converted, and their mapped pages released. */
int srq_block_load(struct srq_block *b, int unit, struct srq_error *err);
/* The same in two steps, for whoever has other weights for some layers: everything but weights, then those of linear i.
 */
int srq_block_load_vectors(struct srq_block *b, int unit, struct srq_error *err);
int srq_block_load_weight(struct srq_block *b, int i, struct srq_error *err);
/* The same without anything read, for a tape that measures. */
void srq_block_describe(struct srq_block *b, int unit);
void srq_block_free(struct srq_block *b);
int srq_block_unit(const struct srq_block *b); /* which it is; -1: none yet */
const struct srq_model *srq_block_model(const struct srq_block *b);
int srq_block_linear_count(const struct srq_block *b);
/* Linears in the order of srq_model_layer within the block. Their `weight` may be pointed elsewhere, sinks and taps
 * set; srq_block_load points the weight back and clears sink and tap. The pointers stay the same from block to
 * block. */
struct srq_linear *srq_block_linear(struct srq_block *b, int i);
/* Its norms' gains in the family's order, then the biases of linears that have one; named by their module in the block.
 * The same holds for their `value` and sink. */
int srq_block_vector_count(const struct srq_block *b);
struct srq_vector *srq_block_vector(struct srq_block *b, int i);
#define SRQ_NAME_CAP 256
void srq_block_vector_name(const struct srq_block *b, int i, char name[SRQ_NAME_CAP]); /* of its tensor */

/* From the values of the unit's input ports, in [ins] each [batch*rows, cols] in the tape's dtype, those of its output
 * ports, out [outs] (room for SRQ_UNIT_PORTS); NULL after a failure, which the tape has. Tokens are at positions 0 …
 * seq-1. The tables of positions belong to the block and are made anew when `seq` changes, so run a pass's backward
 * before a forward of another length. What was only described may be run on a measuring tape only. */
void srq_block_forward(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                       int64_t batch, int64_t seq);

/* Embedding rows of ids [n] into dst [n, hidden] of dtype: the values of port 0. */
int srq_model_embed(const struct srq_model *m, const int32_t *ids, int64_t n, void *dst, enum srq_dtype dtype,
                    struct srq_error *err);
/* Final norm and head in F32: hidden [n, hidden] of dtype → logits [n, vocab]. The weight stays mapped; `h` holds one
 * panel of its rows in F32 and the normalised states of some tokens, so one `h` serves one caller at a time. Every call
 * converts the whole weight once per 1024 tokens: give it hundreds of them. */
struct srq_head;
/* Of that memory; does not grow with the vocabulary, nor with n above a thousand. For the plan: what up to `n` tokens
 * at a time touch of it. */
size_t srq_head_bytes(const struct srq_model *m, int64_t n);
int srq_head_create(const struct srq_model *m, struct srq_head **out, struct srq_error *err);
int srq_head_logits(const struct srq_head *h, const void *hidden, enum srq_dtype dtype, int64_t n, float *logits,
                    struct srq_error *err);
/* The final norm alone, in place: what the head gets. hidden [n, hidden] of dtype F32 or BF16. */
int srq_head_norm(const struct srq_head *h, void *hidden, enum srq_dtype dtype, int64_t n, struct srq_error *err);
/* The untied lm_head, NULL when tied. Its weight is the stored tensor in the checkpoint's dtype (data NULL when packed
 * or folded); it may be pointed at another of dtype F32, F16 or BF16, and logits follow it and its `feed`. */
struct srq_linear *srq_head_linear(struct srq_head *h);
void srq_head_free(struct srq_head *h);

/* How far words are from what they should be, through final norm and head and in panels of the vocabulary (logits of
 * all words never exist together), with its gradient: next-token cross-entropy in F32; or, where there is a teacher,
 * KL(teacher‖student), the teacher's logits being made anew from its final hidden states and products being of the
 * states' type. The two heads may be one. */
struct srq_head_loss;
/* For the plan, beside the heads' own. n: tokens that are given to a run at most; more only take longer. */
size_t srq_head_loss_bytes(const struct srq_model *m, bool distils, int64_t n);
int srq_head_loss_create(const struct srq_head *h, const struct srq_head *teacher, int64_t n,
                         struct srq_head_loss **out, struct srq_error *err);
void srq_head_loss_free(struct srq_head_loss *l);

struct srq_head_words {
    int64_t n;             /* tokens */
    enum srq_dtype dtype;  /* of all states: F32 or BF16 */
    const void *hidden;    /* [n, hidden] final states */
    const void *taught;    /* [n, hidden] the teacher's, where there is one */
    const int32_t *target; /* [n] the word that a token has to predict (any, where there is a teacher), -1: none */
    float factor;
    void *grad; /* [n, hidden]: factor * d(loss)/d(hidden), may be `hidden` itself; NULL: the loss alone */
};
/* *loss: the sum over predicting tokens, in nats. */
int srq_head_loss_run(struct srq_head_loss *l, const struct srq_head_words *w, double *loss, struct srq_error *err);

#endif
