/* Folders of compressed-tensors: which scheme a configuration gives each layer, and rows decoded (spec
 * formats 4.4, 4.5). Of quantized activations there are integers, one dynamic range a token; others are refused by
 * name. */
#include "core/model/quantized_reader.h"

#include "core/base/alloc.h"
#include "core/grid/pack_ct.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <inttypes.h>
#include <string.h>

#define MAX_NAMES 100000
#define MATCH_LIMIT 100000 /* steps of one pattern on one name; patterns come with the folder */
#define ROWS_AT_ONCE 16

/* A list of layer names, class names and patterns ("re:…", matched from the start). */
struct names {
    char **text;
    pcre2_code **re; /* NULL: an exact name */
    size_t count;
};

struct group {
    struct srq_scheme scheme;
    struct names targets;
};

struct compressed {
    struct srq_quantized base;
    struct group *groups;
    size_t count;
    struct names ignore;
    pcre2_match_context *match;
};

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void names_fini(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        srq_free(n->text[i]);
        pcre2_code_free(n->re[i]);
    }
    srq_free(n->text);
    srq_free(n->re);
}

static int names_read(struct names *n, const json_t *list, const char *key, struct srq_error *err)
{
    if (list == NULL || json_is_null(list))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > MAX_NAMES)
        return srq_fail_field(err, -SRQ_EFORMAT, key, "\"%s\" of quantization_config is not a list of names", key);
    n->text = srq_calloc(json_array_size(list) + 1, sizeof(*n->text));
    n->re = srq_calloc(json_array_size(list) + 1, sizeof(*n->re));
    if (n->text == NULL || n->re == NULL)
        return no_memory(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        PCRE2_SIZE at;
        int code;

        if (text == NULL)
            return srq_fail_field(err, -SRQ_EFORMAT, key, "\"%s\" holds something that is not a name", key);
        n->text[i] = srq_strdup(text);
        n->count = i + 1;
        if (n->text[i] == NULL)
            return no_memory(err);
        if (strncmp(text, "re:", 3) != 0)
            continue;
        n->re[i] =
            pcre2_compile((PCRE2_SPTR)(text + 3), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_ANCHORED, &code, &at, NULL);
        if (n->re[i] == NULL)
            return srq_fail_field(err, -SRQ_EFORMAT, key, "layer pattern \"%.200s\" does not compile (at %zu)", text,
                                  (size_t)at);
    }
    return 0;
}

/* How well a list fits a layer: 3 by its name, 2 by a pattern, 1 by its class, 0 not at all. */
static int names_match(const struct compressed *q, const struct names *n, const char *layer, int *rank,
                       struct srq_error *err)
{
    *rank = 0;
    for (size_t i = 0; i < n->count; i++) {
        pcre2_match_data *md;
        int rc;

        if (n->re[i] == NULL) {
            int fit = strcmp(n->text[i], layer) == 0 ? 3 : strcmp(n->text[i], "Linear") == 0 ? 1 : 0;

            *rank = fit > *rank ? fit : *rank;
            continue;
        }
        md = pcre2_match_data_create(1, NULL);
        if (md == NULL)
            return no_memory(err);
        rc = pcre2_match(n->re[i], (PCRE2_SPTR)layer, PCRE2_ZERO_TERMINATED, 0, 0, md, q->match);
        pcre2_match_data_free(md);
        if (rc >= 0)
            *rank = *rank > 2 ? *rank : 2;
        else if (rc != PCRE2_ERROR_NOMATCH)
            return srq_fail_field(err, -SRQ_ELIMIT, layer, "layer pattern \"%.200s\" takes too long on \"%.200s\"",
                                  n->text[i], layer);
    }
    return 0;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static int refuse_weights(struct srq_error *err, const json_t *w, const char *format)
{
    char *text = json_dumps(w, JSON_COMPACT);
    int rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, "weights", "weights of %.100s with %.300s cannot be decoded",
                            format, text != NULL ? text : "no description");

    free(text);
    return rc;
}

static const char *text_in(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s != NULL ? s : "";
}

/* What "input_activations" of a group say: nothing, or integers with one dynamic range a token. */
static int read_inputs(const json_t *in, struct srq_scheme *s, struct srq_error *err)
{
    json_int_t bits = json_integer_value(json_object_get(in, "num_bits"));
    char *text;

    s->act_bits = s->act_group = 0;
    if (in == NULL || json_is_null(in))
        return 0;
    if (strcmp(text_in(in, "type"), "int") == 0 && bits >= 2 && bits <= 8 &&
        strcmp(text_in(in, "strategy"), "token") == 0 && !json_is_false(json_object_get(in, "symmetric")) &&
        json_is_true(json_object_get(in, "dynamic"))) {
        s->act_bits = (int)bits;
        s->act_group = -1;
        return 0;
    }
    text = json_dumps(in, JSON_COMPACT);
    srq_fail_field(err, -SRQ_EUNSUPPORTED, "input_activations",
                   "inputs are rounded to symmetric integers, one dynamic range a token, and not by %.300s",
                   text != NULL ? text : "an unknown scheme");
    free(text);
    return -SRQ_EUNSUPPORTED;
}

/* The scheme that "weights" of a group describe; its format must be the one in which that scheme is stored. */
static int read_scheme(const json_t *w, const json_t *in, const char *format, struct srq_scheme *out,
                       struct srq_error *err)
{
    const char *type = text_in(w, "type"), *strategy = text_in(w, "strategy");
    json_int_t bits = json_integer_value(json_object_get(w, "num_bits"));
    json_int_t size = json_integer_value(json_object_get(w, "group_size"));
    bool sym = !json_is_false(json_object_get(w, "symmetric")), channel = strcmp(strategy, "channel") == 0;
    bool grouped = strcmp(strategy, "group") == 0;
    const json_t *order = json_object_get(w, "actorder"), *dynamic = json_object_get(w, "dynamic");
    int rc;
    struct srq_scheme s = { .size = sizeof(s),
                            .bits = (int)bits,
                            .group = channel                           ? -1
                                     : strcmp(strategy, "tensor") == 0 ? 0
                                                                       : (int)size };

    rc = read_inputs(in, &s, err);
    if (rc != 0)
        return rc;
    if ((order != NULL && !json_is_null(order)) ||
        (dynamic != NULL && !json_is_null(dynamic) && !json_is_false(dynamic)))
        return refuse_weights(err, w, format);
    if (strcmp(type, "int") == 0 && (bits == 4 || bits == 8) && (channel || (grouped && size > 0 && size <= 1 << 24)))
        s.grid = sym ? SRQ_GRID_INT_SYM : SRQ_GRID_INT_ASYM;
    else if (strcmp(type, "float") != 0 || !sym)
        return refuse_weights(err, w, format);
    else if (bits == 4 && size == 16 && strcmp(strategy, "tensor_group") == 0)
        s.grid = SRQ_GRID_NVFP4;
    else if ((bits == 4 || bits == 8) && size == 32 && grouped)
        s.grid = bits == 4 ? SRQ_GRID_MXFP4 : SRQ_GRID_MXFP8;
    else if (bits == 8 && (channel || strcmp(strategy, "tensor") == 0))
        s.grid = SRQ_GRID_FP8;
    else
        return refuse_weights(err, w, format);
    if (srq_ct_format(&s) == NULL)
        return refuse_weights(err, w, format);
    if (strcmp(format, srq_ct_format(&s)) != 0 && !(s.grid == SRQ_GRID_FP8 && strcmp(format, "naive-quantized") == 0))
        return refuse_weights(err, w, format);
    *out = s;
    return 0;
}

static int read_group(struct group *g, const json_t *o, const char *format, struct srq_error *err)
{
    const json_t *w = json_object_get(o, "weights"), *in = json_object_get(o, "input_activations");
    const json_t *out = json_object_get(o, "output_activations"), *own = json_object_get(o, "format");
    int rc;

    if (!json_is_object(o) || !json_is_object(w))
        return srq_fail_field(err, -SRQ_EFORMAT, "config_groups", "a group of config_groups has no weights");
    if (out != NULL && !json_is_null(out))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "output_activations",
                              "a folder with quantized outputs of layers cannot be decoded");
    rc = read_scheme(w, in, json_is_string(own) ? json_string_value(own) : format, &g->scheme, err);
    return rc == 0 ? names_read(&g->targets, json_object_get(o, "targets"), "targets", err) : rc;
}

static const struct group *group_of(const struct compressed *q, const char *target, size_t groups)
{
    for (size_t g = 0; g < groups; g++)
        for (size_t i = 0; i < q->groups[g].targets.count; i++)
            if (strcmp(q->groups[g].targets.text[i], target) == 0)
                return &q->groups[g];
    return NULL;
}

/* A target in two groups must mean one scheme. */
static int check_targets(const struct compressed *q, struct srq_error *err)
{
    for (size_t g = 1; g < q->count; g++)
        for (size_t i = 0; i < q->groups[g].targets.count; i++) {
            const char *target = q->groups[g].targets.text[i];
            const struct group *other = group_of(q, target, g);

            if (other != NULL && !srq_scheme_equal(&other->scheme, &q->groups[g].scheme))
                return srq_fail_field(err, -SRQ_EFORMAT, "config_groups",
                                      "config_groups has \"%.200s\" in two groups with different schemes", target);
        }
    return 0;
}

/* Transforms of weights alone are in the stored weights; others are computed. */
static int check_transforms(const json_t *config, struct srq_error *err)
{
    static const char *const key[] = { "transform_config", NULL };
    const json_t *o = json_object_get(config, key[0]), *groups = json_object_get(o, "config_groups"), *group, *apply;
    bool stored = json_is_object(groups) && json_object_size(o) == 1;
    const char *name;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)groups, name, group)
    {
        const json_t *all = json_object_get(group, "apply");

        stored = stored && json_is_array(all);
        json_array_foreach(all, i, apply)
        {
            const char *at = text_in(apply, "location");

            stored = stored && (strcmp(at, "weight_input") == 0 || strcmp(at, "weight_output") == 0);
        }
    }
    return stored ? 0 : srq_quantized_refuse_keys(config, key, err);
}

static int check_computes(const json_t *config, struct srq_error *err)
{
    static const char *const cache[] = { "kv_cache_scheme", NULL }, *const sparse[] = { "sparsity_config", NULL };
    int rc = srq_quantized_refuse_keys(config, cache, err);

    if (rc == 0 && strcmp(text_in(json_object_get(config, sparse[0]), "format"), "dense") != 0)
        rc = srq_quantized_refuse_keys(config, sparse, err);
    return rc == 0 ? check_transforms(config, err) : rc;
}

static int read_config(struct compressed *q, const json_t *config, struct srq_error *err)
{
    json_t *groups = json_object_get(config, "config_groups");
    const char *format = text_in(config, "format"), *status = text_in(config, "quantization_status");
    int rc = 0;

    if (strcmp(status, "compressed") != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "quantization_status",
                              "quantized folder with quantization_status \"%.60s\" cannot be decoded", status);
    if (!json_is_object(groups) || json_object_size(groups) == 0 || json_object_size(groups) > MAX_NAMES)
        return srq_fail_field(err, -SRQ_EFORMAT, "config_groups", "quantization_config has no config_groups");
    q->groups = srq_calloc(json_object_size(groups), sizeof(*q->groups));
    if (q->groups == NULL)
        return no_memory(err);
    for (void *it = json_object_iter(groups); it != NULL && rc == 0; it = json_object_iter_next(groups, it))
        rc = read_group(&q->groups[q->count++], json_object_iter_value(it), format, err);
    if (rc == 0)
        rc = check_targets(q, err);
    if (rc == 0)
        rc = check_computes(config, err);
    return rc == 0 ? names_read(&q->ignore, json_object_get(config, "ignore"), "ignore", err) : rc;
}

static void close_folder(struct srq_quantized *base)
{
    struct compressed *q = (struct compressed *)(void *)base;

    for (size_t i = 0; i < q->count; i++)
        names_fini(&q->groups[i].targets);
    names_fini(&q->ignore);
    pcre2_match_context_free(q->match);
    srq_free(q->groups);
    srq_free(q);
}

static int open_folder(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err)
{
    struct compressed *q = srq_calloc(1, sizeof(*q));
    int rc;

    if (q == NULL)
        return no_memory(err);
    q->base.tensors = tensors;
    *out = &q->base;
    q->match = pcre2_match_context_create(NULL);
    if (q->match != NULL)
        pcre2_set_match_limit(q->match, MATCH_LIMIT);
    rc = q->match != NULL ? read_config(q, config, err) : no_memory(err);
    if (rc != 0)
        close_folder(&q->base);
    return rc;
}

static const struct compressed *compressed_of(const struct srq_quantized *q)
{
    return (const struct compressed *)(const void *)q;
}

static const char *method_of(const struct srq_quantized *q)
{
    (void)q;
    return "compressed-tensors";
}

/* The scheme of a layer; its grid is SRQ_GRID_NONE where the configuration leaves it alone. */
static int scheme_of(const struct compressed *q, const char *layer, struct srq_scheme *out, struct srq_error *err)
{
    int best, rank, rc = names_match(q, &q->ignore, layer, &best, err);

    *out = (struct srq_scheme){ .size = sizeof(*out), .grid = SRQ_GRID_NONE };
    if (rc != 0 || best > 0)
        return rc;
    for (size_t i = 0; i < q->count && rc == 0; i++) {
        rc = names_match(q, &q->groups[i].targets, layer, &rank, err);
        if (rc == 0 && rank > best) {
            best = rank;
            *out = q->groups[i].scheme;
        }
    }
    return rc;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* Whether a scale of floating point may have this dtype: other writers use the model's. */
static bool scale_dtype_ok(const struct srq_tensor *want, enum srq_dtype got)
{
    bool free_choice = want->dtype == SRQ_F16 || (want->dtype == SRQ_F32 && want->rank <= 2);

    return got == want->dtype || (free_choice && (got == SRQ_F32 || got == SRQ_F16 || got == SRQ_BF16));
}

static int get_part(const struct compressed *q, const char *layer, struct srq_plane *p, bool data,
                    struct srq_error *err)
{
    struct srq_tensor want = p->t;
    bool scale = strcmp(p->suffix, "weight_scale") == 0;
    char got[128], wanted[128];

    if (!srq_quantized_part(&q->base, layer, p->suffix, data, &p->t))
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "packed layer %s has no tensor %s.%s", layer, layer, p->suffix);
    if (p->t.rank == want.rank && memcmp(p->t.shape, want.shape, (size_t)want.rank * sizeof(want.shape[0])) == 0 &&
        (p->t.dtype == want.dtype || (scale && scale_dtype_ok(&want, p->t.dtype))))
        return 0;
    return srq_fail_field(err, -SRQ_EFORMAT, layer, "tensor %s.%s is %s %s where its configuration means %s %s", layer,
                          p->suffix, srq_dtype_name(p->t.dtype), srq_tensor_shape_text(&p->t, got, sizeof(got)),
                          srq_dtype_name(want.dtype), srq_tensor_shape_text(&want, wanted, sizeof(wanted)));
}

static int get_layer(const struct compressed *q, const char *layer, int64_t out, int64_t in, bool data,
                     struct srq_ct *p, struct srq_error *err)
{
    struct srq_error why = { 0 };
    struct srq_scheme s;
    int rc = scheme_of(q, layer, &s, err);

    if (rc == 0 && (rc = srq_ct_init(p, &s, out, in, &why)) != 0)
        rc = srq_fail_field(err, rc, layer, "%s: %s", layer, why.text);
    for (int i = 0; rc == 0 && i < p->count; i++)
        rc = get_part(q, layer, &p->part[i], data, err);
    if (rc == 0 && data && p->part[0].t.dtype == SRQ_I32) {
        int64_t shape[2];

        memcpy(shape, p->part[2].t.data, sizeof(shape));
        if (shape[0] != out || shape[1] != in)
            rc = srq_fail_field(err, -SRQ_EFORMAT, layer, "%s.weight_shape says %" PRId64 " x %" PRId64, layer,
                                shape[0], shape[1]);
    }
    return rc;
}

static int has_layer(const struct srq_quantized *base, const char *layer, int64_t out, int64_t in,
                     struct srq_error *err)
{
    const struct compressed *q = compressed_of(base);
    struct srq_scheme s;
    struct srq_tensor t;
    struct srq_ct p;
    int rc = scheme_of(q, layer, &s, err);
    bool packed = srq_quantized_part(&q->base, layer, "weight_packed", false, &t);

    if (rc != 0)
        return rc;
    if (packed && srq_quantized_part(&q->base, layer, "weight", false, &t))
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "%s is stored twice, as weight and as weight_packed", layer);
    if (s.grid == SRQ_GRID_NONE) {
        if (packed || srq_quantized_part(&q->base, layer, "weight_scale", false, &t))
            return srq_fail_field(err, -SRQ_EFORMAT, layer, "%s is packed but its configuration says it is not", layer);
        return 0;
    }
    rc = get_layer(q, layer, out, in, false, &p, err);
    return rc != 0 ? rc : 1;
}

/* [out, in] as the shapes of the parts imply them; get_layer checks everything else. */
static int layer_shape(const struct compressed *q, const char *layer, int64_t *out, int64_t *in, struct srq_error *err)
{
    struct srq_scheme s;
    struct srq_tensor t;
    int rc = scheme_of(q, layer, &s, err);

    if (rc != 0)
        return rc;
    if (s.grid == SRQ_GRID_NONE ||
        (!srq_quantized_part(&q->base, layer, "weight_packed", false, &t) &&
         !srq_quantized_part(&q->base, layer, "weight", false, &t)) ||
        t.rank != 2 || t.shape[0] > INT32_MAX || t.shape[1] > INT32_MAX)
        return srq_fail_field(err, -SRQ_ENOENT, layer, "%s is not a packed layer", layer);
    *out = t.shape[0];
    *in = t.dtype == SRQ_I32 ? t.shape[1] * 32 / s.bits : t.dtype == SRQ_U8 ? t.shape[1] * 2 : t.shape[1];
    return 0;
}

static int decode_rows(const struct srq_ct *p, int64_t row, int64_t rows, struct srq_codes *c, void *dst,
                       enum srq_dtype dtype, struct srq_error *err)
{
    int64_t in = p->groups.in;
    int rc = 0;

    for (int64_t r = 0; rc == 0 && r < rows; r += ROWS_AT_ONCE) {
        int64_t k = rows - r < ROWS_AT_ONCE ? rows - r : ROWS_AT_ONCE;

        rc = srq_ct_unpack_rows(p, row + r, k, c->codes, c->scale, c->zero, &c->tensor_scale, err);
        c->groups.out = k;
        c->groups.count = p->scheme.group == 0 ? 1 : k * p->groups.per_row;
        if (rc == 0)
            rc = srq_codes_decode(c, (char *)dst + (size_t)(r * in) * srq_dtype_size(dtype), dtype, err);
    }
    return rc;
}

static int decode_layer(const struct srq_quantized *base, const char *layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err)
{
    const struct compressed *q = compressed_of(base);
    struct srq_error why = { 0 };
    struct srq_codes c;
    struct srq_ct p;
    int64_t out = 0, in = 0;
    int rc = layer_shape(q, layer, &out, &in, err);

    if (rc == 0)
        rc = get_layer(q, layer, out, in, true, &p, err);
    if (rc != 0)
        return rc;
    if (row < 0 || rows < 0 || row > out || rows > out - row)
        return srq_fail(err, -SRQ_EINVAL, "%" PRId64 " rows from %" PRId64 " of %s, which has %" PRId64, rows, row,
                        layer, out);
    rc = srq_codes_alloc(ROWS_AT_ONCE, in, &p.scheme, &c, err);
    if (rc != 0)
        return rc;
    rc = decode_rows(&p, row, rows, &c, dst, dtype, &why);
    if (rc != 0)
        rc = srq_fail_field(err, rc, layer, "%s: %s", layer, why.text);
    srq_codes_fini(&c);
    return rc;
}

static int inputs_of_layer(const struct srq_quantized *base, const char *layer, struct srq_scheme *out,
                           struct srq_error *err)
{
    return scheme_of(compressed_of(base), layer, out, err);
}

static const char *const suffixes[] = {
    "weight_packed", "weight", "weight_scale", "weight_zero_point", "weight_shape", "weight_global_scale", NULL
};

const struct srq_quantized_reader srq_quantized_ct = {
    "compressed-tensors", open_folder, close_folder,    method_of, has_layer,
    decode_layer,         suffixes,    inputs_of_layer, NULL,
};
