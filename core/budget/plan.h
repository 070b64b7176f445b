/* The plan: the scheme of every layer and where it came from (design 1 and 5).
 *
 * A layer's scheme is the job's default, unless a pin names the layer. Layers that runtimes fuse (same tie in one
 * block) share a scheme: a pin on one applies to all, unless it says "untied". A layer whose shape cannot carry its
 * scheme, or whose export format cannot, stays in 16 bits together with its ties, with the reason kept. */
#ifndef SRQ_BUDGET_PLAN_H
#define SRQ_BUDGET_PLAN_H

#include "core/grid/grid.h"
#include "core/model/model.h"

#include <cjson/cJSON.h>

/* A user's decision for the layers that a pattern names. */
struct srq_pin {
    char *pattern; /* exact name, glob ('*' crosses dots), or "re:" and a regular expression that is searched for */
    struct srq_scheme scheme;
    bool untied;
};

enum srq_plan_source { SRQ_SOURCE_DEFAULT, SRQ_SOURCE_ALLOCATOR, SRQ_SOURCE_PIN };

#define SRQ_PLAN_REASON_MAX 240
struct srq_plan_layer {
    const struct srq_layer_info *info; /* of the model, which must outlive the plan */
    struct srq_scheme scheme;          /* how it will be stored */
    struct srq_scheme asked;           /* what was decided: the same, unless `why` says why it cannot be */
    enum srq_plan_source source;
    bool untied;     /* by a pin: it does not share its scheme with what runtimes fuse with it */
    int pin;         /* which pin of the request, -1: none */
    unsigned widths; /* bits of an integer grid that its shape and every export format can hold, as 1 << bits */
    char why[SRQ_PLAN_REASON_MAX]; /* why it stays in 16 bits though something else was asked for; else empty */
};

struct srq_plan {
    int64_t revision;
    int count;
    struct srq_plan_layer *layers; /* in the model's order */
};

/* Asks the export formats about a whole plan: `schemes` has one entry a layer, reason[i] stays empty where layer i can
 * be stored. Returns how many cannot, or a negative code. Called again after those were left alone, until none is
 * refused. */
typedef int (*srq_plan_formats)(void *ctx, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                                struct srq_error *err);

struct srq_plan_request {
    struct srq_scheme scheme; /* default */
    const struct srq_pin *pins;
    int pin_count;
    bool quant_lm_head;       /* layers outside blocks get the default too; else only a pin of their exact name does */
    bool refuse_incompatible; /* a layer that an export format cannot carry is an error, not left alone */
    srq_plan_formats formats; /* or NULL */
    void *formats_ctx;
};

/* What a layer gets of a default where nobody says otherwise: the edges of a diffusion model keep 8 bits, which is
 * where fewer cost most (spec diffusion-qat 2); rows that are no super-blocks of k-quants become w4g32, w5g32 or w8g32
 * as with llama.cpp's own tool (spec formats 5.6). */
struct srq_scheme srq_plan_default(const struct srq_layer_info *info, const struct srq_scheme *scheme);

/* `layers` [count] in the model's order. `notes`: an array that receives sentences for people (ties that widened a
 * pin). A pattern that matches nothing: -SRQ_ENOENT naming it and the range of names. */
int srq_plan_make(const struct srq_layer_info *const *layers, int count, const struct srq_plan_request *req,
                  struct srq_plan *out, cJSON *notes, struct srq_error *err);
void srq_plan_fini(struct srq_plan *p);
int srq_plan_copy(const struct srq_plan *from, struct srq_plan *to, struct srq_error *err);
/* Works `scheme` and `why` of every layer out again from what is asked; req gives the formats and how strict to be. */
int srq_plan_fit(struct srq_plan *p, const struct srq_plan_request *req, struct srq_error *err);
/* One sentence for each reason for which layers stay in 16 bits, but those that did so for it in `before` (or NULL). */
void srq_plan_note_left(const struct srq_plan *p, const struct srq_plan *before, cJSON *notes);
/* Whether both are decided and stored alike, whatever they are called. */
bool srq_plan_layer_equal(const struct srq_plan_layer *a, const struct srq_plan_layer *b);
/* Whether two layers share a scheme where runtimes fuse them. */
bool srq_plan_tied(const struct srq_plan_layer *a, const struct srq_plan_layer *b);
/* Appends a sentence for people; `notes` may be NULL. */
void srq_plan_note(cJSON *notes, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The refusal of a pattern that names no layer of the plan. */
int srq_plan_no_match(const struct srq_plan *p, const char *pattern, struct srq_error *err);

/* Size of the planned layers and of the model (scales and zero-points as spec signround 7.2 counts them, without what a
 * file format adds). Layers outside blocks count in average_bits only where they are quantized. */
struct srq_plan_size {
    uint64_t before_bytes, after_bytes;
    double average_bits;
};
struct srq_plan_size srq_plan_size(const struct srq_plan *p, uint64_t model_bytes);

/* A compiled layer pattern. */
struct srq_pattern;
int srq_pattern_compile(const char *text, struct srq_pattern **out, struct srq_error *err);
bool srq_pattern_match(const struct srq_pattern *p, const char *name);
bool srq_pattern_exact(const struct srq_pattern *p, const char *name); /* the pattern is this very name */
void srq_pattern_free(struct srq_pattern *p);

#endif
