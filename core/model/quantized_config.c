/* Reading quantization_config of the auto-round, gptq and awq kinds. The zero-point convention comes from
 * packing_format or checkpoint_format alone and is never guessed from the data (spec formats 4.2, 4.4, 7). */
#include "core/model/quantized_config.h"
#include "core/model/quantized_reader.h"

#include "core/base/alloc.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#define MAX_RULES 100000
#define MATCH_LIMIT 100000 /* steps of one pattern on one name; patterns come with the folder */

/* One row of extra_config or dynamic; absent fields keep the folder's values. */
struct rule {
    char *name;     /* the key as written, for exact matches and messages */
    pcre2_code *re; /* NULL: an exact layer name */
    bool skip;
    int bits, group; /* group INT32_MIN: not given; bits 0: not given */
};

struct srq_quantized_config {
    const char *method;
    enum srq_pack_layout layout;
    struct srq_quantized_scheme base;
    struct rule *rules;
    size_t count;
    char **not_convert; /* substrings of names */
    size_t not_convert_count;
    pcre2_match_context *match;
};

#define GROUP_UNSET INT32_MIN

static bool group_ok(json_int_t g)
{
    return g == -1 || (g > 0 && g <= 1 << 24);
}

static bool bits_ok(json_int_t b)
{
    return b == 2 || b == 3 || b == 4 || b == 8;
}

static int get_int(const json_t *object, const char *key, json_int_t *out, struct srq_error *err)
{
    const json_t *v = json_object_get(object, key);

    if (v == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, key, "quantization_config has no \"%s\"", key);
    if (!json_is_integer(v))
        return srq_fail_field(err, -SRQ_EFORMAT, key, "\"%s\" of quantization_config is not an integer", key);
    *out = json_integer_value(v);
    return 0;
}

static int read_base(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    json_int_t bits = 0, group = 0;
    int rc = get_int(config, "bits", &bits, err);

    if (rc == 0)
        rc = get_int(config, "group_size", &group, err);
    if (rc != 0)
        return rc;
    if (!bits_ok(bits) || (c->layout == SRQ_PACK_AWQ && bits != 4))
        return srq_fail_field(err, -SRQ_EFORMAT, "bits", "quantization_config asks for %lld bits; %s are readable",
                              (long long)bits, c->layout == SRQ_PACK_AWQ ? "4" : "2, 3, 4 and 8");
    if (!group_ok(group))
        return srq_fail_field(err, -SRQ_EFORMAT, "group_size", "group_size %lld is neither -1 nor positive",
                              (long long)group);
    c->base.bits = (int)bits;
    c->base.group = (int)group;
    return 0;
}

static const char *text_of(const json_t *config, const char *key, const char *otherwise)
{
    const json_t *v = json_object_get(config, key);

    if (v == NULL || json_is_null(v))
        return otherwise;
    return json_is_string(v) ? json_string_value(v) : "";
}

static int unknown(struct srq_error *err, const char *key, const char *value)
{
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, key, "quantized folder with %s \"%.100s\" cannot be decoded", key,
                          value);
}

/* A key that must have its plain value where it is given. */
static int want_text(const json_t *config, const char *key, const char *value, struct srq_error *err)
{
    const char *got = text_of(config, key, value);

    return strcmp(got, value) == 0 ? 0 : unknown(err, key, got);
}

/* Inputs are not rounded in these layouts: 16 bits and more, or nothing. */
static int want_no_act_bits(const json_t *object, const char *of, struct srq_error *err)
{
    const json_t *v = json_object_get(object, "act_bits");

    if (v == NULL || json_is_null(v) || (json_is_integer(v) && json_integer_value(v) >= 16))
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, "act_bits",
                          "\"act_bits\" of %.200s asks for rounded inputs, which srq does not compute in this layout",
                          of);
}

/* Rotated inputs; keys, values and queries that are rounded. */
static const char *const auto_round_computes[] = { "rotation_config",        "rotation_configs",
                                                   "hadamard_config",        "spinquant_config",
                                                   "transform_config",       "static_kv_dtype",
                                                   "static_attention_dtype", NULL };

static int read_auto_round(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    const char *packing = text_of(config, "packing_format", "missing");
    int rc;

    c->method = "auto-round";
    if (strcmp(packing, "auto_round:auto_gptq") == 0 || strcmp(packing, "auto_round:gptq") == 0)
        c->layout = SRQ_PACK_GPTQ_V1;
    else if (strcmp(packing, "auto_round:auto_awq") == 0 || strcmp(packing, "auto_round:awq") == 0)
        c->layout = SRQ_PACK_AWQ;
    else if (strcmp(packing, "auto_round") == 0 || strcmp(packing, "auto_round:gptqmodel") == 0)
        c->layout = SRQ_PACK_GPTQ_V2;
    else
        return unknown(err, "packing_format", packing);
    rc = want_text(config, "data_type", "int", err);
    if (rc == 0)
        rc = want_no_act_bits(config, "quantization_config", err);
    return rc == 0 ? srq_quantized_refuse_keys(config, auto_round_computes, err) : rc;
}

/* A folder older than the key checkpoint_format has v1 zeros by that format's own definition. */
static int read_gptq(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    const char *kind = text_of(config, "checkpoint_format", "gptq");

    c->method = "gptq";
    c->base.indexed = json_is_true(json_object_get(config, "desc_act"));
    if (strcmp(kind, "gptq") == 0)
        c->layout = SRQ_PACK_GPTQ_V1;
    else if (strcmp(kind, "gptq_v2") == 0)
        c->layout = SRQ_PACK_GPTQ_V2;
    else
        return unknown(err, "checkpoint_format", kind);
    return want_text(config, "pack_dtype", "int32", err);
}

static int read_awq(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    c->method = "awq";
    c->layout = SRQ_PACK_AWQ;
    return want_text(config, "version", "gemm", err);
}

static int read_method(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    const char *method = text_of(config, "quant_method", "missing");

    if (strcmp(method, "auto-round") == 0 || strcmp(method, "intel/auto-round") == 0)
        return read_auto_round(c, config, err);
    if (strcmp(method, "gptq") == 0)
        return read_gptq(c, config, err);
    if (strcmp(method, "awq") == 0)
        return read_awq(c, config, err);
    return unknown(err, "quant_method", method);
}

static int compile(struct rule *r, const char *pattern, uint32_t options, struct srq_error *err)
{
    int code;
    PCRE2_SIZE at;

    r->re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options | PCRE2_UTF, &code, &at, NULL);
    if (r->re == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, pattern, "layer pattern \"%.200s\" does not compile (at %zu)", pattern,
                              (size_t)at);
    return 0;
}

static bool is_layer(const struct srq_tensors *ts, const char *name)
{
    char *packed = srq_asprintf("%s.qweight", name), *plain = srq_asprintf("%s.weight", name);
    struct srq_tensor t;
    bool yes = packed != NULL && plain != NULL &&
               (srq_tensors_describe(ts, packed, &t) || srq_tensors_describe(ts, plain, &t));

    srq_free(packed);
    srq_free(plain);
    return yes;
}

static int read_rule_fields(struct srq_quantized_config *c, struct rule *r, const json_t *value, struct srq_error *err)
{
    const json_t *bits = json_object_get(value, "bits"), *group = json_object_get(value, "group_size");
    const json_t *kind = json_object_get(value, "data_type");

    if (!json_is_object(value))
        return srq_fail_field(err, -SRQ_EFORMAT, r->name, "the entry of \"%.200s\" is not an object", r->name);
    r->group = GROUP_UNSET;
    if (bits != NULL) {
        json_int_t b = json_is_integer(bits) ? json_integer_value(bits) : 0;

        r->skip = r->skip || b == 16 || b == 32;
        if (!r->skip && (!bits_ok(b) || (c->layout == SRQ_PACK_AWQ && b != 4)))
            return srq_fail_field(err, -SRQ_EFORMAT, r->name, "\"%.200s\" has a number of bits that cannot be read",
                                  r->name);
        r->bits = (int)b;
    }
    if (group != NULL) {
        if (!json_is_integer(group) || !group_ok(json_integer_value(group)))
            return srq_fail_field(err, -SRQ_EFORMAT, r->name, "\"%.200s\" has a bad group_size", r->name);
        r->group = (int)json_integer_value(group);
    }
    if (!r->skip && kind != NULL && (!json_is_string(kind) || strcmp(json_string_value(kind), "int") != 0))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, r->name, "\"%.200s\" has a data_type that cannot be decoded",
                              r->name);
    return r->skip ? 0 : want_no_act_bits(value, r->name, err);
}

/* extra_config: a full layer name, else a pattern that matches anywhere in a name. dynamic: "+:" or "-:" and a pattern
 * that matches from the start. */
static int read_rule(struct srq_quantized_config *c, struct rule *r, const char *key, const json_t *value, bool dynamic,
                     const struct srq_tensors *ts, struct srq_error *err)
{
    int rc = 0;

    r->name = srq_strdup(key);
    if (r->name == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
    if (dynamic) {
        r->skip = strncmp(key, "-:", 2) == 0;
        rc = compile(r, key + (r->skip || strncmp(key, "+:", 2) == 0 ? 2 : 0), PCRE2_ANCHORED, err);
    } else if (!is_layer(ts, key)) {
        rc = compile(r, key, 0, err);
    }
    return rc != 0 ? rc : read_rule_fields(c, r, value, err);
}

static int read_rules(struct srq_quantized_config *c, const json_t *config, const struct srq_tensors *ts,
                      struct srq_error *err)
{
    bool dynamic = strcmp(c->method, "gptq") == 0;
    const char *key = dynamic ? "dynamic" : "extra_config";
    json_t *rows = json_object_get(config, key);
    int rc = 0;

    if (rows == NULL || json_is_null(rows) || strcmp(c->method, "awq") == 0)
        return 0;
    if (!json_is_object(rows) || json_object_size(rows) > MAX_RULES)
        return srq_fail_field(err, -SRQ_EFORMAT, key,
                              "\"%s\" of quantization_config is not an object of at most %d rows", key, MAX_RULES);
    c->rules = srq_calloc(json_object_size(rows) + 1, sizeof(*c->rules));
    if (c->rules == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
    for (void *it = json_object_iter(rows); it != NULL && rc == 0; it = json_object_iter_next(rows, it)) {
        c->count++;
        rc = read_rule(c, &c->rules[c->count - 1], json_object_iter_key(it), json_object_iter_value(it), dynamic, ts,
                       err);
    }
    return rc;
}

static int read_not_convert(struct srq_quantized_config *c, const json_t *config, struct srq_error *err)
{
    const json_t *list = json_object_get(config, "modules_to_not_convert");

    if (list == NULL || json_is_null(list) || strcmp(c->method, "awq") != 0)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > MAX_RULES)
        return srq_fail_field(err, -SRQ_EFORMAT, "modules_to_not_convert", "modules_to_not_convert is not a list");
    c->not_convert = srq_calloc(json_array_size(list) + 1, sizeof(*c->not_convert));
    if (c->not_convert == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);

        if (!json_is_string(v))
            return srq_fail_field(err, -SRQ_EFORMAT, "modules_to_not_convert",
                                  "modules_to_not_convert holds something that is not a name");
        c->not_convert[i] = srq_strdup(json_string_value(v));
        if (c->not_convert[i] == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
        c->not_convert_count++;
    }
    return 0;
}

int srq_quantized_config_read(const json_t *config, const struct srq_tensors *tensors,
                              struct srq_quantized_config **out, struct srq_error *err)
{
    struct srq_quantized_config *c;
    int rc;

    *out = NULL;
    if (!json_is_object(config))
        return srq_fail_field(err, -SRQ_EFORMAT, "quantization_config", "quantization_config is not an object");
    c = srq_calloc(1, sizeof(*c));
    if (c == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
    rc = read_method(c, config, err);
    if (rc == 0)
        rc = read_base(c, config, err);
    if (rc == 0)
        rc = read_rules(c, config, tensors, err);
    if (rc == 0)
        rc = read_not_convert(c, config, err);
    if (rc == 0) {
        c->match = pcre2_match_context_create(NULL);
        if (c->match == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading quantization_config");
        else
            pcre2_set_match_limit(c->match, MATCH_LIMIT);
    }
    if (rc != 0) {
        srq_quantized_config_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void srq_quantized_config_free(struct srq_quantized_config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        srq_free(c->rules[i].name);
        pcre2_code_free(c->rules[i].re);
    }
    for (size_t i = 0; i < c->not_convert_count; i++)
        srq_free(c->not_convert[i]);
    pcre2_match_context_free(c->match);
    srq_free(c->rules);
    srq_free(c->not_convert);
    srq_free(c);
}

const char *srq_quantized_config_method(const struct srq_quantized_config *c)
{
    return c->method;
}

enum srq_pack_layout srq_quantized_config_layout(const struct srq_quantized_config *c)
{
    return c->layout;
}

/* 1: the pattern matches, 0: it does not. */
static int matches(const struct srq_quantized_config *c, const struct rule *r, const char *layer, struct srq_error *err)
{
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    int rc;

    if (md == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory matching layer names");
    rc = pcre2_match(r->re, (PCRE2_SPTR)layer, PCRE2_ZERO_TERMINATED, 0, 0, md, c->match);
    pcre2_match_data_free(md);
    if (rc >= 0)
        return 1;
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    return srq_fail_field(err, -SRQ_ELIMIT, r->name, "layer pattern \"%.200s\" takes too long on \"%.200s\"", r->name,
                          layer);
}

static int find_rule(const struct srq_quantized_config *c, const char *layer, const struct rule **out,
                     struct srq_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < c->count; i++) {
        if (c->rules[i].re == NULL && strcmp(c->rules[i].name, layer) == 0) {
            *out = &c->rules[i];
            return 0;
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        int rc = c->rules[i].re != NULL ? matches(c, &c->rules[i], layer, err) : 0;

        if (rc < 0)
            return rc;
        if (rc > 0) {
            *out = &c->rules[i];
            return 0;
        }
    }
    return 0;
}

int srq_quantized_config_scheme(const struct srq_quantized_config *c, const char *layer,
                                struct srq_quantized_scheme *out, struct srq_error *err)
{
    const struct rule *r;
    int rc = find_rule(c, layer, &r, err);

    if (rc != 0)
        return rc;
    *out = c->base;
    if (r != NULL) {
        out->plain = r->skip;
        if (r->bits != 0)
            out->bits = r->bits;
        if (r->group != GROUP_UNSET)
            out->group = r->group;
    }
    for (size_t i = 0; i < c->not_convert_count; i++)
        if (strstr(layer, c->not_convert[i]) != NULL)
            out->plain = true;
    return 0;
}
