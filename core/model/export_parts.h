/* The parts of an export, for one another: configuration, tensors, verification. Not for other rooms. */
#ifndef SRQ_MODEL_EXPORT_PARTS_H
#define SRQ_MODEL_EXPORT_PARTS_H

#include "core/grid/pack_ct.h"
#include "core/grid/pack_layout.h"
#include "core/model/export.h"

#include <jansson.h>

/* A format applied to one model's schemes. */
struct srq_export_plan {
    const struct srq_model *model;
    const struct srq_format *format;
    const struct srq_scheme *schemes;
    int layers;
    int quantized;               /* layers whose grid is not SRQ_GRID_NONE */
    enum srq_pack_layout layout; /* packed formats */
    bool g_idx;                  /* the layout's readers want g_idx */
    bool ct;                     /* compressed-tensors: layers are struct srq_ct, and layout means nothing */
    struct srq_scheme base;      /* the scheme that most quantized weights have */
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

/* The object of config.json; NULL in `*out` for formats that have none. The caller releases it. */
int srq_export_quantization_config(const struct srq_export_plan *p, json_t **out, struct srq_error *err);
json_t *srq_export_ct_config(const struct srq_export_plan *p); /* of compressed-tensors; NULL: out of memory */
/* The source's config.json with that object put in and its dtype key set where the format demands F16. Takes its own
 * reference to `quantization`, which may be NULL. */
int srq_export_config(const struct srq_export_plan *p, json_t *quantization, json_t **out, struct srq_error *err);
/* File beside config.json that holds the object again, or NULL. */
const char *srq_export_config_copy(const struct srq_format *f);

int srq_export_tensors(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                       struct srq_error *err);
int srq_export_part_count(const struct srq_export_plan *p, int layer); /* tensors of a packed layer */
/* dtype under which a tensor that is not packed is stored. */
enum srq_dtype srq_export_dtype(const struct srq_export_plan *p, const char *tensor, enum srq_dtype source);
/* Index of the quantized layer whose ".weight" (or with `bias` ".bias") this tensor is, or -1. */
int srq_export_layer_of(const struct srq_export_plan *p, const char *tensor, bool bias);

int srq_export_verify(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                      struct srq_error *err);

int srq_export_carry(const char *from, const char *to, struct srq_error *err);

#endif
