/* Making a plan: default, pins, ties, what shapes and formats can carry. */
#include "core/budget/plan.h"

#include "core/base/alloc.h"

static const struct srq_scheme untouched = { .grid = SRQ_GRID_NONE, .bits = 16 };

static bool outside(const struct srq_plan_layer *l)
{
    return l->info->block < 0;
}

bool srq_plan_layer_equal(const struct srq_plan_layer *a, const struct srq_plan_layer *b)
{
    return srq_scheme_equal(&a->scheme, &b->scheme) && srq_scheme_equal(&a->asked, &b->asked) &&
           a->source == b->source && a->untied == b->untied;
}

bool srq_plan_tied(const struct srq_plan_layer *a, const struct srq_plan_layer *b)
{
    return srq_layers_tied(a->info, b->info);
}

void srq_plan_note(cJSON *notes, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (notes == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

/* Instead of k-quants, where rows are no whole super-blocks: what llama.cpp's own tool takes then. */
static struct srq_scheme instead_of_k(const struct srq_scheme *k)
{
    return (struct srq_scheme){ .size = sizeof(*k),
                                .grid = SRQ_GRID_INT_SYM,
                                .bits = k->bits <= 3   ? 4
                                        : k->bits <= 5 ? 5
                                                       : 8,
                                .group = 32 };
}

struct srq_scheme srq_plan_default(const struct srq_layer_info *info, const struct srq_scheme *scheme)
{
    struct srq_scheme s = *scheme;

    if (s.grid == SRQ_GRID_K && srq_scheme_refuses(&s, info->out, info->in) != NULL)
        return instead_of_k(&s);
    if (!info->edge || !srq_scheme_is_integer(&s))
        return s;
    s.bits = s.bits < 8 ? 8 : s.bits;
    s.act_bits = s.act_bits > 0 && s.act_bits < 8 ? 8 : s.act_bits;
    return s;
}

static void apply_default(struct srq_plan *p, const struct srq_plan_request *req)
{
    for (int i = 0; i < p->count; i++) {
        struct srq_plan_layer *l = &p->layers[i];

        l->asked = outside(l) && !req->quant_lm_head ? untouched : srq_plan_default(l->info, &req->scheme);
        l->source = SRQ_SOURCE_DEFAULT;
        l->pin = -1;
    }
}

int srq_plan_no_match(const struct srq_plan *p, const char *pattern, struct srq_error *err)
{
    if (p->count == 0)
        return srq_fail_field(err, -SRQ_ENOENT, "layers",
                              "layer pattern \"%.200s\" matches nothing; the model has no "
                              "quantizable layers",
                              pattern);
    return srq_fail_field(err, -SRQ_ENOENT, "layers", "layer pattern \"%.200s\" matches nothing; the model has %s … %s",
                          pattern, p->layers[0].info->name, p->layers[p->count - 1].info->name);
}

/* One pin on the layers that its pattern names; later pins win over earlier ones. */
static int apply_pin(struct srq_plan *p, const struct srq_plan_request *req, int pin, struct srq_error *err)
{
    const struct srq_pin *asked = &req->pins[pin];
    struct srq_pattern *pattern;
    int matched = 0, rc = srq_pattern_compile(asked->pattern, &pattern, err);

    if (rc != 0)
        return rc;
    for (int i = 0; i < p->count; i++) {
        struct srq_plan_layer *l = &p->layers[i];

        if (!srq_pattern_match(pattern, l->info->name))
            continue;
        matched++;
        if (outside(l) && !req->quant_lm_head && !srq_pattern_exact(pattern, l->info->name))
            continue;
        l->asked = asked->scheme;
        l->source = SRQ_SOURCE_PIN;
        l->pin = pin;
        l->untied = asked->untied;
    }
    srq_pattern_free(pattern);
    return matched > 0 ? 0 : srq_plan_no_match(p, asked->pattern, err);
}

/* Ties are neighbours in the model's order, so a look ahead inside the block finds them all. */
static int block_end(const struct srq_plan *p, int i)
{
    int end = i + 1;

    while (end < p->count && p->layers[end].info->block == p->layers[i].info->block)
        end++;
    return end;
}

/* Gives the scheme of each tied pin to the members that have none of their own. widened[pin] counts them. */
static int apply_ties(struct srq_plan *p, int *widened, struct srq_error *err)
{
    for (int i = 0; i < p->count; i++) {
        const struct srq_plan_layer *a = &p->layers[i];
        int first = i, end = block_end(p, i);

        if (a->pin < 0 || a->untied || a->info->tie < 0)
            continue;
        while (first > 0 && p->layers[first - 1].info->block == a->info->block)
            first--;
        for (int k = first; k < end; k++) {
            struct srq_plan_layer *b = &p->layers[k];

            if (k == i || !srq_plan_tied(a, b))
                continue;
            if (b->pin < 0) {
                b->asked = a->asked;
                b->source = SRQ_SOURCE_PIN;
                b->pin = a->pin;
                widened[a->pin]++;
            } else if (!srq_scheme_equal(&a->asked, &b->asked) && !b->untied) {
                char x[32], y[32];

                return srq_fail_field(err, -SRQ_EINVAL, "layers",
                                      "%s is pinned to %s and %s to %s, but runtimes fuse them: give them one scheme, "
                                      "or say \"untied\"",
                                      a->info->name, srq_scheme_text(&a->asked, x, sizeof(x)), b->info->name,
                                      srq_scheme_text(&b->asked, y, sizeof(y)));
            }
        }
    }
    return 0;
}

static int refuse(const struct srq_plan_layer *l, const char *why, struct srq_error *err)
{
    char text[32];

    return srq_fail_field(err, -SRQ_EUNSUPPORTED, l->info->name, "%s [%lld, %lld] cannot be stored as %s: %s",
                          l->info->name, (long long)l->info->out, (long long)l->info->in,
                          srq_scheme_text(&l->scheme, text, sizeof(text)), why);
}
/* Why a layer cannot have a scheme, or NULL. Words are only packed for language models: other shapes are as they are.
 */
static const char *refuses(const struct srq_scheme *s, const struct srq_layer_info *info)
{
    bool whole = info->picture && srq_scheme_is_integer(s);

    return srq_scheme_refuses(s, whole ? 32 : info->out, whole ? 32 : info->in);
}

/* Marks the layers whose shape cannot carry their scheme. */
static int find_misshapen(struct srq_plan *p, struct srq_error *err)
{
    for (int i = 0; i < p->count; i++) {
        struct srq_plan_layer *l = &p->layers[i];
        const char *why;

        if (l->scheme.grid == SRQ_GRID_NONE)
            continue;
        if (srq_grid(l->scheme.grid) == NULL)
            return srq_fail_field(err, -SRQ_EUNSUPPORTED, "scheme", "%s: this build has no such grid", l->info->name);
        why = refuses(&l->scheme, l->info);
        if (why != NULL)
            snprintf(l->why, sizeof(l->why), "%s", why);
    }
    return 0;
}

static bool marked(const struct srq_plan_layer *l)
{
    return l->why[0] != '\0' && l->scheme.grid != SRQ_GRID_NONE;
}

/* What is fused with a marked layer is marked too. */
static void mark_fused(struct srq_plan *p)
{
    for (int i = 0; i < p->count; i++) {
        const struct srq_plan_layer *l = &p->layers[i];
        int end = block_end(p, i), first = i;

        if (!marked(l) || l->untied)
            continue;
        while (first > 0 && p->layers[first - 1].info->block == l->info->block)
            first--;
        for (int k = first; k < end; k++) {
            struct srq_plan_layer *b = &p->layers[k];

            if (k != i && srq_plan_tied(l, b) && b->why[0] == '\0' && !b->untied)
                snprintf(b->why, sizeof(b->why), "it is fused with %.60s: %.160s", l->info->module, l->why);
        }
    }
}

static void leave_marked(struct srq_plan *p)
{
    for (int i = 0; i < p->count; i++) {
        if (marked(&p->layers[i]))
            p->layers[i].scheme = untouched;
    }
}

static bool left(const struct srq_plan *p, const struct srq_plan *before, int i)
{
    const char *why = p->layers[i].why;

    return why[0] != '\0' && (before == NULL || strcmp(before->layers[i].why, why) != 0);
}

void srq_plan_note_left(const struct srq_plan *p, const struct srq_plan *before, cJSON *notes)
{
    for (int i = 0; i < p->count; i++) {
        const struct srq_plan_layer *l = &p->layers[i];
        bool told = !left(p, before, i);
        int same = 0;

        for (int k = 0; k < p->count && !told; k++) {
            bool like = k != i && left(p, before, k) && strcmp(p->layers[k].why, l->why) == 0;

            told = like && k < i;
            same += like;
        }
        if (!told && same > 0)
            srq_plan_note(notes, "%s and %d more stay in 16 bits: %s", l->info->name, same, l->why);
        else if (!told)
            srq_plan_note(notes, "%s stays in 16 bits: %s", l->info->name, l->why);
    }
}

/* Reasons begin with the layer's name, which the plan has anyway. */
static const char *without_name(const char *reason, const char *name)
{
    size_t n = strlen(name);

    return strncmp(reason, name, n) == 0 && strncmp(reason + n, ": ", 2) == 0 ? reason + n + 2 : reason;
}

/* Asks the formats and leaves alone what they refuse, until they refuse nothing: every round takes a layer away. */
static int fit_formats(struct srq_plan *p, const struct srq_plan_request *req, struct srq_error *err)
{
    struct srq_scheme *schemes = srq_calloc((size_t)p->count + 1, sizeof(*schemes));
    char(*reason)[SRQ_PLAN_REASON_MAX] = srq_calloc((size_t)p->count + 1, sizeof(*reason));
    int rc = schemes != NULL && reason != NULL ? 1 : srq_fail(err, -SRQ_ENOMEM, "out of memory for the plan");

    while (rc > 0) {
        for (int i = 0; i < p->count; i++) {
            schemes[i] = p->layers[i].scheme;
            reason[i][0] = '\0';
        }
        rc = req->formats(req->formats_ctx, schemes, reason, err);
        for (int i = 0; rc > 0 && i < p->count; i++) {
            struct srq_plan_layer *l = &p->layers[i];
            const char *why = without_name(reason[i], l->info->name);

            if (why[0] == '\0')
                continue;
            if (req->refuse_incompatible)
                rc = refuse(l, why, err);
            snprintf(l->why, sizeof(l->why), "%s", why);
        }
        if (rc > 0)
            leave_marked(p);
    }
    srq_free(reason);
    srq_free(schemes);
    return rc;
}

/* Which widths every layer could have with its own grouping, all layers having that width. */
static int find_widths(struct srq_plan *p, const struct srq_plan_request *req, struct srq_error *err)
{
    struct srq_scheme *schemes = srq_calloc((size_t)p->count + 1, sizeof(*schemes));
    struct srq_scheme like = { .grid = SRQ_GRID_INT_SYM };
    char(*reason)[SRQ_PLAN_REASON_MAX] = srq_calloc((size_t)p->count + 1, sizeof(*reason));
    int rc = schemes != NULL && reason != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for the plan");

    for (int i = p->count - 1; i >= 0; i--) { /* what has no grid with widths yet is taken for the first that has one */
        if (srq_scheme_is_even(&p->layers[i].asked))
            like = p->layers[i].asked;
    }
    for (int bits = 2; rc >= 0 && bits <= 8; bits++) {
        for (int i = 0; i < p->count; i++) {
            reason[i][0] = '\0';
            if (!srq_scheme_widen(srq_scheme_is_even(&p->layers[i].asked) ? &p->layers[i].asked : &like, bits,
                                  &schemes[i]))
                schemes[i] = untouched;
        }
        if (req->formats != NULL)
            rc = req->formats(req->formats_ctx, schemes, reason, err);
        for (int i = 0; rc >= 0 && i < p->count; i++) {
            struct srq_plan_layer *l = &p->layers[i];

            if (schemes[i].grid != SRQ_GRID_NONE && reason[i][0] == '\0' && refuses(&schemes[i], l->info) == NULL)
                l->widths |= 1u << bits;
        }
    }
    srq_free(reason);
    srq_free(schemes);
    return rc < 0 ? rc : 0;
}

int srq_plan_fit(struct srq_plan *p, const struct srq_plan_request *req, struct srq_error *err)
{
    int rc;

    for (int i = 0; i < p->count; i++) {
        p->layers[i].scheme = p->layers[i].asked;
        p->layers[i].why[0] = '\0';
        p->layers[i].widths = 0;
    }
    rc = find_widths(p, req, err);
    if (rc == 0)
        rc = find_misshapen(p, err);
    if (rc != 0)
        return rc;
    mark_fused(p);
    leave_marked(p);
    return req->formats != NULL ? fit_formats(p, req, err) : 0;
}

/* Layers that have another scheme by default than the one that was asked for. */
static void note_instead(const struct srq_plan *p, const struct srq_plan_request *req, cJSON *notes)
{
    const struct srq_plan_layer *first = NULL;
    char text[32];
    int count = 0;

    for (int i = 0; i < p->count && req->scheme.grid == SRQ_GRID_K; i++) {
        const struct srq_plan_layer *l = &p->layers[i];

        if (l->source != SRQ_SOURCE_DEFAULT || l->scheme.grid != SRQ_GRID_INT_SYM)
            continue;
        first = count++ == 0 ? l : first;
    }
    if (count > 0)
        srq_plan_note(notes,
                      "%d layer%s as %s, whose rows are no whole super-blocks of 256 weights, ha%s %s by default",
                      count, count == 1 ? "" : "s", first->info->name, count == 1 ? "s" : "ve",
                      srq_scheme_text(&first->scheme, text, sizeof(text)));
}

static void note_widened(const struct srq_plan_request *req, const int *widened, cJSON *notes)
{
    for (int i = 0; i < req->pin_count; i++) {
        char text[32];

        if (widened[i] > 0)
            srq_plan_note(notes, "pin \"%.200s\" = %s also applies to %d layer%s that runtimes fuse with its own",
                          req->pins[i].pattern, srq_scheme_text(&req->pins[i].scheme, text, sizeof(text)), widened[i],
                          widened[i] == 1 ? "" : "s");
    }
}

/* A layer of the pin that runtimes fuse with one that is not of the pin. */
static bool splits(const struct srq_plan *p, int pin)
{
    for (int i = 0; i < p->count; i++) {
        int end = block_end(p, i);

        for (int k = i + 1; k < end; k++) {
            if (srq_plan_tied(&p->layers[i], &p->layers[k]) && (p->layers[i].pin == pin) != (p->layers[k].pin == pin))
                return true;
        }
    }
    return false;
}

static void note_untied(const struct srq_plan *p, const struct srq_plan_request *req, cJSON *notes)
{
    for (int i = 0; i < req->pin_count; i++) {
        if (req->pins[i].untied && !splits(p, i))
            srq_plan_note(notes,
                          "\"untied\" of \"%.200s\" changes nothing: runtimes fuse none of these layers with others",
                          req->pins[i].pattern);
    }
}

static int plan_alloc(const struct srq_layer_info *const *layers, int count, struct srq_plan *out,
                      struct srq_error *err)
{
    memset(out, 0, sizeof(*out));
    out->layers = srq_calloc((size_t)count, sizeof(out->layers[0]));
    if (out->layers == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d layers", count);
    out->count = count;
    for (int i = 0; i < count; i++) {
        out->layers[i].info = layers[i];
        out->layers[i].pin = -1;
    }
    return 0;
}

int srq_plan_make(const struct srq_layer_info *const *layers, int count, const struct srq_plan_request *req,
                  struct srq_plan *out, cJSON *notes, struct srq_error *err)
{
    int *widened = srq_calloc((size_t)req->pin_count + 1, sizeof(*widened));
    int rc = plan_alloc(layers, count, out, err);

    if (rc == 0 && widened == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d layers", count);
    if (rc == 0)
        apply_default(out, req);
    for (int i = 0; rc == 0 && i < req->pin_count; i++)
        rc = apply_pin(out, req, i, err);
    if (rc == 0)
        rc = apply_ties(out, widened, err);
    if (rc == 0) {
        note_widened(req, widened, notes);
        note_untied(out, req, notes);
        rc = srq_plan_fit(out, req, err);
    }
    if (rc == 0)
        note_instead(out, req, notes);
    if (rc != 0)
        srq_plan_fini(out);
    srq_free(widened);
    return rc;
}

int srq_plan_copy(const struct srq_plan *from, struct srq_plan *to, struct srq_error *err)
{
    *to = *from;
    to->layers = srq_calloc((size_t)from->count + 1, sizeof(to->layers[0]));
    if (to->layers == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d layers", from->count);
    memcpy(to->layers, from->layers, (size_t)from->count * sizeof(to->layers[0]));
    return 0;
}

void srq_plan_fini(struct srq_plan *p)
{
    srq_free(p->layers);
    memset(p, 0, sizeof(*p));
}

struct srq_plan_size srq_plan_size(const struct srq_plan *p, uint64_t model_bytes)
{
    struct srq_plan_size size = { .before_bytes = model_bytes, .after_bytes = model_bytes };
    double bits = 0, elements = 0;

    for (int i = 0; i < p->count; i++) {
        const struct srq_plan_layer *l = &p->layers[i];
        uint64_t n = (uint64_t)l->info->out * (uint64_t)l->info->in;
        uint64_t stored = n * srq_dtype_size(l->info->dtype);

        if (l->scheme.grid == SRQ_GRID_NONE) {
            if (outside(l))
                continue;
            bits += (double)stored * 8;
        } else {
            uint64_t b = srq_scheme_bits(&l->scheme, l->info->out, l->info->in);

            bits += (double)b;
            size.after_bytes -= stored;
            size.after_bytes += (b + 7) / 8;
        }
        elements += (double)n;
    }
    size.average_bits = elements > 0 ? bits / elements : 0;
    return size;
}
