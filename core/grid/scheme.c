/* Scheme spelling, group layout and the size of what a scheme stores. */
#include "core/grid/k_quants.h"

#include <stdio.h>
#include <strings.h>

#define GROUP_MAX 1048576
#define SCHEME(of_grid, of_bits, of_group)                                                           \
    {                                                                                                \
        .size = sizeof(struct srq_scheme), .grid = (of_grid), .bits = (of_bits), .group = (of_group) \
    }

static const char accepted[] = "w2 … w8 with an optional group (w4g128, w4gt), z for zero-points (w4g128z) and a2 … a8 "
                               "for activations (w8a8), mxfp4, mxfp8, nvfp4, fp8, fp8t, q2_k … q6_k, presets W2A16 … "
                               "W8A16, or bf16";

/* Schemes that are one word. The presets of the same names elsewhere quantize activations too: here they do not. */
static const struct {
    const char *name;
    struct srq_scheme scheme;
} words[] = {
    { "bf16", SCHEME(SRQ_GRID_NONE, 16, 0) },    { "mxfp4", SCHEME(SRQ_GRID_MXFP4, 4, 32) },
    { "mxfp8", SCHEME(SRQ_GRID_MXFP8, 8, 32) },  { "nvfp4", SCHEME(SRQ_GRID_NVFP4, 4, 16) },
    { "fp8", SCHEME(SRQ_GRID_FP8, 8, -1) },      { "fp8t", SCHEME(SRQ_GRID_FP8, 8, 0) },
    { "fpw8a16", SCHEME(SRQ_GRID_FP8, 8, 0) },   { "q2_k", SCHEME(SRQ_GRID_K, 2, 16) },
    { "q3_k", SCHEME(SRQ_GRID_K, 3, 16) },       { "q4_k", SCHEME(SRQ_GRID_K, 4, 32) },
    { "q5_k", SCHEME(SRQ_GRID_K, 5, 32) },       { "q6_k", SCHEME(SRQ_GRID_K, 6, 16) },
    { "q4_0", SCHEME(SRQ_GRID_INT_SYM, 4, 32) }, { "q5_0", SCHEME(SRQ_GRID_INT_SYM, 5, 32) },
    { "q8_0", SCHEME(SRQ_GRID_INT_SYM, 8, 32) }, { NULL, SCHEME(SRQ_GRID_NONE, 0, 0) },
};

struct srq_scheme srq_scheme_none(void)
{
    return words[0].scheme;
}

struct srq_groups srq_groups_of(int64_t out, int64_t in, int group)
{
    struct srq_groups g = { .size = sizeof(g), .out = out, .in = in };

    if (group == 0) {
        g.len = in;
        g.per_row = 1;
        g.count = 1;
        return g;
    }
    g.len = group < 0 || group > in ? in : group;
    g.per_row = g.len > 0 ? (in + g.len - 1) / g.len : 1;
    g.count = out * g.per_row;
    return g;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a decimal of at most 7 digits; -1 when there is none. */
static int read_number(const char **p)
{
    int n = 0, digits = 0;

    while (is_digit(**p) && digits < 8) {
        n = n * 10 + (**p - '0');
        (*p)++;
        digits++;
    }
    return digits == 0 || digits == 8 ? -1 : n;
}

/* "g128", "gt", or nothing (one group a row). False when what follows 'g' is not a group. */
static bool read_group(const char **p, int *group)
{
    if (**p != 'g' && **p != 'G')
        return true;
    (*p)++;
    if (**p == 't' || **p == 'T') {
        (*p)++;
        *group = 0;
        return true;
    }
    *group = read_number(p);
    return *group > 0 && *group <= GROUP_MAX;
}

/* "a8", "a8g32": activation bits; a16 means that activations are left alone. */
static bool read_act(const char **p, struct srq_scheme *s, bool *a16)
{
    *a16 = false;
    if (**p != 'a' && **p != 'A')
        return true;
    (*p)++;
    s->act_bits = read_number(p);
    s->act_group = -1;
    if (s->act_bits == 16) {
        *a16 = true;
        s->act_bits = 0;
        s->act_group = 0;
        return true;
    }
    return s->act_bits >= 2 && s->act_bits <= 8;
}

static bool is_known_elsewhere(const char *text)
{
    static const char *const names[] = { "mxfp6", "mxint4", "mxint8", "fp8_static", "fp8_block",
                                         "int4",  "int8",   "q4_1",   "q5_1" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(text, names[i]) == 0)
            return true;
    }
    return false;
}

/* "q4_k_m" and the like: what llama.cpp's tool makes of several types by fixed rules. */
static bool is_mix(const char *text)
{
    return (text[0] == 'q' || text[0] == 'Q') && is_digit(text[1]) && strncasecmp(text + 2, "_k_", 3) == 0;
}

/* One of the words, or one with activations ("nvfp4a4"): -SRQ_ENOENT when it is neither. */
static int parse_word(const char *text, struct srq_scheme *out, struct srq_error *err)
{
    struct srq_scheme s;
    bool a16;

    for (size_t i = 0; words[i].name != NULL; i++) {
        size_t len = strlen(words[i].name);
        const char *p = text + len;

        if (strncasecmp(text, words[i].name, len) != 0)
            continue;
        s = words[i].scheme;
        if (*p == '\0' || (s.grid != SRQ_GRID_NONE && read_act(&p, &s, &a16) && a16 && *p == '\0')) {
            *out = words[i].scheme;
            return 0;
        }
        if (*p == '\0' && s.act_bits >= 2 && s.act_bits <= 8)
            return srq_fail(
                err, -SRQ_EUNSUPPORTED,
                "scheme \"%.64s\" is not in this build: activations are quantized beside integer weights; %s quantizes "
                "the weights",
                text, words[i].name);
    }
    return -SRQ_ENOENT;
}

static int parse_int(const char *text, struct srq_scheme *s, struct srq_error *err)
{
    const char *p = text + 1;
    bool a16;

    s->bits = read_number(&p);
    s->group = -1;
    if (s->bits < 0 || !read_group(&p, &s->group))
        goto unknown;
    if (*p == 'z' || *p == 'Z') {
        s->grid = SRQ_GRID_INT_ASYM;
        p++;
    }
    const char *act = p;
    if (!read_act(&p, s, &a16))
        goto unknown;
    if (a16 && act == text + 2) { /* the preset: group 128 unless it says another */
        s->group = 128;
        if (!read_group(&p, &s->group))
            goto unknown;
    }
    if (*p != '\0')
        goto unknown;
    if (s->bits < 2 || s->bits > 8)
        return srq_fail(err, -SRQ_EINVAL, "scheme \"%.64s\" asks for %d bits; accepted are %s", text, s->bits,
                        accepted);
    return 0;
unknown:
    return srq_fail(err, -SRQ_EINVAL, "unknown scheme \"%.64s\"; accepted are %s", text, accepted);
}

int srq_scheme_parse(const char *text, struct srq_scheme *out, struct srq_error *err)
{
    struct srq_scheme s = { .size = sizeof(s), .grid = SRQ_GRID_INT_SYM };
    int rc;

    rc = parse_word(text, out, err);
    if (rc != -SRQ_ENOENT)
        return rc;
    if (is_known_elsewhere(text))
        return srq_fail(err, -SRQ_EUNSUPPORTED, "scheme \"%.64s\" is not in this build; accepted are %s", text,
                        accepted);
    if (is_mix(text))
        return srq_fail(
            err, -SRQ_EUNSUPPORTED,
            "\"%.64s\" is a fixed mix of schemes, which is not in this build: a budget of bits chooses among "
            "candidates (q4_k,q5_k,q6_k) by measured sensitivity",
            text);
    if (text[0] != 'w' && text[0] != 'W')
        return srq_fail(err, -SRQ_EINVAL, "unknown scheme \"%.64s\"; accepted are %s", text, accepted);
    rc = parse_int(text, &s, err);
    if (rc == 0)
        *out = s;
    return rc;
}

char *srq_scheme_text(const struct srq_scheme *s, char *out, size_t cap)
{
    char group[16] = "", act[16] = "";

    switch (s->grid) {
    case SRQ_GRID_INT_SYM:
    case SRQ_GRID_INT_ASYM:
        if (s->group == 0)
            snprintf(group, sizeof(group), "gt");
        else if (s->group > 0)
            snprintf(group, sizeof(group), "g%d", s->group);
        if (s->act_bits > 0)
            snprintf(act, sizeof(act), "a%d", s->act_bits);
        snprintf(out, cap, "w%d%s%s%s", s->bits, group, s->grid == SRQ_GRID_INT_ASYM ? "z" : "", act);
        break;
    default:
        for (size_t i = 0; words[i].name != NULL; i++) {
            if (words[i].scheme.grid == s->grid && words[i].scheme.group == s->group &&
                words[i].scheme.bits == s->bits) {
                snprintf(out, cap, "%s", words[i].name);
                return out;
            }
        }
        snprintf(out, cap, "bf16");
        break;
    }
    return out;
}

bool srq_scheme_equal(const struct srq_scheme *a, const struct srq_scheme *b)
{
    return a->grid == b->grid && a->bits == b->bits && a->group == b->group && a->act_bits == b->act_bits &&
           a->act_group == b->act_group;
}

bool srq_scheme_is_integer(const struct srq_scheme *s)
{
    return s->grid == SRQ_GRID_INT_SYM || s->grid == SRQ_GRID_INT_ASYM;
}

bool srq_scheme_is_even(const struct srq_scheme *s)
{
    return srq_scheme_is_integer(s) || s->grid == SRQ_GRID_K;
}

bool srq_scheme_widen(const struct srq_scheme *s, int bits, struct srq_scheme *out)
{
    const struct k_type *k = s->grid == SRQ_GRID_K ? k_type_of(bits) : NULL;

    if (k == NULL && !srq_scheme_is_integer(s))
        return false;
    *out = *s;
    out->bits = bits;
    out->group = k != NULL ? k->len : s->group;
    return true;
}

bool srq_scheme_has_act(const struct srq_scheme *s)
{
    return s->act_bits > 0;
}

const char *srq_scheme_refuses(const struct srq_scheme *s, int64_t out, int64_t in)
{
    if (s->grid == SRQ_GRID_NONE)
        return NULL;
    if (srq_grid(s->grid) == NULL)
        return "its grid is not in this build";
    if (out <= 0 || in <= 0)
        return "it has no elements";
    switch (s->grid) {
    case SRQ_GRID_MXFP4:
    case SRQ_GRID_MXFP8:
        return in % 32 != 0 ? "mx schemes need rows that are a multiple of 32 long" : NULL;
    case SRQ_GRID_NVFP4:
        return in % 16 != 0 ? "nvfp4 needs rows that are a multiple of 16 long" : NULL;
    case SRQ_GRID_FP8:
        return NULL;
    case SRQ_GRID_K:
        return in % K_SUPER != 0 ? "k-quants need rows that are a multiple of 256 long" : NULL;
    default:
        return out % 32 != 0 || in % 32 != 0 ? "integer schemes need both dimensions to be multiples of 32" : NULL;
    }
}

uint64_t srq_scheme_bits(const struct srq_scheme *s, int64_t out, int64_t in)
{
    uint64_t numel = (uint64_t)out * (uint64_t)in;
    struct srq_groups g = srq_groups_of(out, in, s->group);

    if (s->grid == SRQ_GRID_NONE)
        return 16 * numel;
    numel *= (uint64_t)s->bits;
    switch (s->grid) {
    case SRQ_GRID_MXFP4:
    case SRQ_GRID_MXFP8:
    case SRQ_GRID_NVFP4:
        return numel + (uint64_t)g.count * 8;
    case SRQ_GRID_FP8:
        return numel + (uint64_t)g.count * 16;
    case SRQ_GRID_K:
        return numel + (uint64_t)g.count * (uint64_t)k_type_of(s->bits)->stored;
    default:
        return numel + (uint64_t)g.count * (16 + (uint64_t)s->bits);
    }
}
