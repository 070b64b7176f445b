/* The parts of an export, for one another: configuration, tensors, verification. Not for other rooms. */
#ifndef SRQ_MODEL_EXPORT_PARTS_H
#define SRQ_MODEL_EXPORT_PARTS_H

#include "core/grid/pack_ct.h"
#include "core/grid/pack_layout.h"
#include "core/model/export.h"
#include "core/model/quantized.h"

#include <jansson.h>

struct srq_export_plan;

/* One quantized layer as a format stores it: its planes, and what they are made of. */
struct srq_export_layer {
    const struct srq_export_plan *plan;
    int layer;
    int count;
    struct srq_plane plane[SRQ_PLANES]; /* `data` NULL until filled */
    /* what holds the data, by the kind of format */
    struct srq_packed packed;
    int32_t *g_idx;
    struct srq_ct ct;
    void *weight;
};

/* A format is a row. */
struct srq_format {
    const char *name, *summary;
    bool uniform;            /* one scheme for all layers that it quantizes */
    bool f16;                /* its runtimes compute in F16: everything else is stored as F16 too */
    bool f16_bias;           /* biases of packed layers are, even so */
    bool rounds_embedding;   /* it can hold the embedding under a scheme */
    const char *config_copy; /* file beside config.json that holds the quantization_config again; NULL: none */
    /* Whether it can hold one quantized layer, or the reason why not. */
    int (*accepts)(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                   struct srq_error *err);
    /* What depends on all schemes together; NULL: nothing does. */
    void (*settle)(struct srq_export_plan *p);
    /* The planes of a layer without data; then the data, from its codes; then all that was made is given back. */
    int (*describe)(struct srq_export_layer *l, struct srq_error *err);
    int (*fill)(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err);
    void (*drop)(struct srq_export_layer *l);
    /* The quantization_config, NULL when out of memory; NULL: weights are plain, and nothing says that they were
     * quantized. */
    json_t *(*config)(const struct srq_export_plan *p);
    /* Formats of a file of their own, which holds the tokenizer too: whether there are words for all that a model is,
     * the bytes of its tensors, and the whole folder, checked. Then none of the above but `accepts` is there. */
    int (*holds)(const struct srq_model *m, struct srq_error *err);
    int (*bytes)(const struct srq_export_plan *p, uint64_t *bytes, struct srq_error *err);
    int (*build)(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                 struct srq_error *err);
};

/* A format applied to one model's schemes. */
struct srq_export_plan {
    const struct srq_model *model;
    const struct srq_format *format;
    const struct srq_scheme *schemes;
    int layers;
    int quantized;               /* layers whose grid is not SRQ_GRID_NONE */
    struct srq_scheme base;      /* the scheme that most quantized weights have */
    bool narrow;                 /* weights that are not quantized become BF16 */
    enum srq_pack_layout layout; /* of the integer formats; whether the layout's readers want g_idx */
    bool g_idx;
};

int srq_export_plan_make(struct srq_export_plan *p, const struct srq_model *m, const struct srq_format *f,
                         const struct srq_scheme *schemes, struct srq_error *err);
static inline bool srq_export_quantized(const struct srq_export_plan *p, int layer)
{
    return p->schemes[layer].grid != SRQ_GRID_NONE;
}
/* As configurations write it: a group longer than the row is one group a row. */
static inline int srq_export_group(const struct srq_scheme *s, int64_t in)
{
    return s->group > in ? -1 : s->group;
}

/* export_config.c, export_ct_config.c: configurations of the rows */
json_t *srq_export_auto_round_config(const struct srq_export_plan *p);
json_t *srq_export_gptq_config(const struct srq_export_plan *p);
json_t *srq_export_awq_config(const struct srq_export_plan *p);
json_t *srq_export_ct_config(const struct srq_export_plan *p);
json_t *srq_export_int8_config(const struct srq_export_plan *p);

/* export_planes.c, export_int8.c: layers of the rows */
int srq_export_packed_describe(struct srq_export_layer *l, struct srq_error *err);
int srq_export_packed_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err);
void srq_export_packed_drop(struct srq_export_layer *l);
int srq_export_ct_describe(struct srq_export_layer *l, struct srq_error *err);
int srq_export_ct_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err);
void srq_export_ct_drop(struct srq_export_layer *l);
int srq_export_int8_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                            struct srq_error *err);
int srq_export_int8_describe(struct srq_export_layer *l, struct srq_error *err);
int srq_export_int8_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err);
int srq_export_plain_describe(struct srq_export_layer *l, struct srq_error *err);
int srq_export_plain_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err);
void srq_export_plain_drop(struct srq_export_layer *l);

/* The object of config.json; NULL in `*out` for formats that have none. The caller releases it. */
int srq_export_quantization_config(const struct srq_export_plan *p, json_t **out, struct srq_error *err);
/* The source's config.json with that object put in, its dtype key set where the format demands F16, and the head tied
 * where none is stored. Takes its own reference to `quantization`, which may be NULL. */
int srq_export_config(const struct srq_export_plan *p, json_t *quantization, json_t **out, struct srq_error *err);

int srq_export_tensors(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                       struct srq_error *err);
int srq_export_plane_count(const struct srq_export_plan *p, int layer); /* tensors of a quantized layer */
/* dtype under which a tensor that is not packed is stored. */
enum srq_dtype srq_export_dtype(const struct srq_export_plan *p, const char *tensor, enum srq_dtype source);
/* Index of the quantized layer whose ".weight" (or with `bias` ".bias") this tensor is, or -1. */
int srq_export_layer_of(const struct srq_export_plan *p, const char *tensor, bool bias);
/* Whether it is a head that is stored though tied: the model computes with the embedding, and loaders that find both
 * might take the other one. */
bool srq_export_left_out(const struct srq_export_plan *p, const char *tensor);

int srq_export_verify(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                      struct srq_error *err);

/* export_carried.c: copies what is carried along into the folder `to`; of a format of its own file, texts for people.
 */
int srq_export_carry(const struct srq_export_plan *p, const char *to, struct srq_error *err);

#endif
