/* Job options: the table, text to values, values to JSON. */
#include "core/job/options.h"

#include "core/base/nearest.h"
#include "core/proto/members.h"
#include "core/tune/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct srq_job_options, member)
#define EXACT_MAX 9007199254740992.0 /* 2^53: the last integer that JSON numbers carry exactly */

static const struct srq_job_option table[] = {
    { "nsamples", SRQ_JOB_INT, "samples", 1, 1000000, NULL, "128", "calibration samples used at most", AT(nsamples) },
    { "seqlen", SRQ_JOB_INT, "tokens", 2, 1048576, NULL, "2048",
      "tokens in a calibration sample, at most what the model has positions for", AT(seqlen) },
    { "batch", SRQ_JOB_INT, "samples", 1, 65536, NULL, "8", "samples in one step of tuning", AT(batch) },
    { "seed", SRQ_JOB_INT, NULL, 0, EXACT_MAX, NULL, "42", "seed of every random choice", AT(seed) },
    { "threads", SRQ_JOB_INT, "threads", 0, 4096, NULL, "0",
      "threads of the job; 0: what the machine or its control group allows", AT(threads) },
    { "bind_threads", SRQ_JOB_BOOL, NULL, 0, 0, NULL, "false",
      "each thread stays on a processor of its own, the first ones that the job may use: for machines that do nothing "
      "else, or jobs that are kept apart by processor sets",
      AT(bind_threads) },
    { "max_memory", SRQ_JOB_SIZE, "bytes", 0, EXACT_MAX, NULL, "0",
      "memory the job may plan for; 0: what the machine or its control group has", AT(max_memory) },
    { "max_disk", SRQ_JOB_SIZE, "bytes", 0, EXACT_MAX, NULL, "0",
      "disk space for checkpoints and stored inputs; 0: what is free", AT(max_disk) },
    { "eval.windows", SRQ_JOB_INT, "windows", 0, 100000000, NULL, "64", "windows evaluated at most; 0: all",
      AT(eval_windows) },
    { "eval.seqlen", SRQ_JOB_INT, "tokens", 2, 1048576, NULL, NULL,
      "tokens in an evaluation window; unset: the same as seqlen", AT(eval_seqlen) },
    { "probe_every", SRQ_JOB_INT, "iterations", 1, 1000000, NULL, "10",
      "iterations between measurements on the fixed probe set", AT(probe_every) },
    { "probe_samples", SRQ_JOB_INT, "samples", 1, 1000000, NULL, "8", "samples in the fixed probe set",
      AT(probe_samples) },
    { "refine", SRQ_JOB_INT, "epochs", 0, 1000, NULL, "0",
      "passes over the calibration samples in which the scales of all layers are tuned end to end, once blocks are "
      "done",
      AT(refine) },
    { "resample", SRQ_JOB_INT, "tokens", 0, EXACT_MAX, NULL, "0",
      "calibration text of fewer tokens is filled up with at most three copies in which most words are drawn anew from "
      "the model",
      AT(resample) },
    { "samples", SRQ_JOB_INT, "pictures", 0, 1000000, NULL, "64",
      "pictures of a diffusion model that are sampled to see what came out; 0: none", AT(samples) },
    { "sample_steps", SRQ_JOB_INT, "steps", 1, 100000, NULL, "50", "steps in which a picture is sampled",
      AT(sample_steps) },
    { "sampler", SRQ_JOB_CHOICE, NULL, 0, 0, "ddim,ddpm", "ddim", "how pictures are sampled", AT(sampler) },
    { "hp_first", SRQ_JOB_INT, "steps", -1, 100000, NULL, "-1",
      "first steps that the full-precision model computes where precisions are mixed; -1: a tenth of them",
      AT(hp_first) },
    { "hp_last", SRQ_JOB_INT, "steps", -1, 100000, NULL, "-1", "the same of the last steps", AT(hp_last) },
    { "hp_sqnr", SRQ_JOB_FLOAT, "dB", 0, 300, NULL, "0",
      "hp_first and hp_last, where not given, become the fewest that leave the quantized model no step with a ratio of "
      "signal to quantization noise below that; 0: a tenth of the steps",
      AT(hp_sqnr) },
    { "hp_dtype", SRQ_JOB_CHOICE, NULL, 0, 0, "bf16,f32", "bf16",
      "what the full-precision model computes in where precisions are mixed", AT(hp_dtype) },
    { "preview", SRQ_JOB_INT, "times", 0, 1000, NULL, "8",
      "times that pictures are sampled with the student while a diffusion model is trained, for who watches: before "
      "the first step, after the last one, at equal distances between; unless given, fewer where that would "
      "cost more than 5 % of the training; 0: never",
      AT(preview) },
    { "archive", SRQ_JOB_CHOICE, NULL, 0, 0, "none,tar,tar.gz,tar.zst,zip", "none",
      "the output is packed into one file beside it as well, OUTPUT.tar.zst and so on, without its report",
      AT(archive) },
    { "checkpoint_s", SRQ_JOB_FLOAT, "s", 0, 86400, NULL, "30",
      "seconds between checkpoints inside a block; longer where one would cost more than 5 % of the time",
      AT(checkpoint_s) },
    { "keep_checkpoints", SRQ_JOB_BOOL, NULL, 0, 0, NULL, "false",
      "results of blocks and the other files that a resume needs stay in the job's folder once the output is "
      "published, "
      "where they are removed otherwise",
      AT(keep_checkpoints) },
    { "sampling", SRQ_JOB_CHOICE, NULL, 0, 0, "windows,shuffled", "windows",
      "how calibration text becomes samples: consecutive windows, or shuffled records", AT(sampling) },
    { "gemm", SRQ_JOB_CHOICE, NULL, 0, 0, "auto,amx,avx512_fp16,avx512_bf16,avx512,avx2,openblas,onednn,plain", "auto",
      "who computes matrix products; where both AVX512-BF16 and widened BF16 run, and AVX512-FP16 does not, a job that "
      "is submitted with auto keeps to the one that was faster then",
      AT(gemm) },
    { "compute", SRQ_JOB_CHOICE, NULL, 0, 0, "auto,f32,bf16", "auto", "element type in which blocks are tuned",
      AT(compute) },
    { "cache", SRQ_JOB_CHOICE, NULL, 0, 0, "auto,f32,bf16", "auto",
      "element type of stored activations; auto: the same as compute", AT(cache) },
};
#define ROWS ((int)(sizeof(table) / sizeof(table[0])))
_Static_assert(sizeof(table) / sizeof(table[0]) <= 64, "one bit a row");

const struct srq_job_option *srq_job_option_table(int *count)
{
    *count = ROWS;
    return table;
}

uint64_t srq_job_option_bit(const char *name)
{
    for (int i = 0; i < ROWS; i++)
        if (strcmp(table[i].name, name) == 0)
            return (uint64_t)1 << i;
    return 0;
}

static int64_t *int_at(struct srq_job_options *o, const struct srq_job_option *row)
{
    return (int64_t *)((char *)o + row->offset);
}

static double number_of(const struct srq_job_options *o, const struct srq_job_option *row)
{
    const char *p = (const char *)o + row->offset;

    return row->kind == SRQ_JOB_FLOAT ? *(const double *)p : (double)*(const int64_t *)p;
}

/* Position of word in "a,b,c", or -1. */
static int choice_index(const char *choices, const char *word)
{
    size_t len = strlen(word);
    int i = 0;

    for (const char *p = choices;; i++) {
        const char *comma = strchr(p, ',');
        size_t n = comma != NULL ? (size_t)(comma - p) : strlen(p);

        if (n == len && memcmp(p, word, n) == 0)
            return i;
        if (comma == NULL)
            return -1;
        p = comma + 1;
    }
}

int64_t srq_job_option_place(const char *name, const char *word)
{
    char choice[32];

    for (int64_t k = 0; srq_job_option_choice(name, k, choice, sizeof(choice))[0] != '\0'; k++)
        if (strcmp(choice, word) == 0)
            return k;
    return -1;
}

const char *srq_job_option_choice(const char *name, int64_t value, char *out, size_t cap)
{
    out[0] = '\0';
    for (int i = 0; i < ROWS; i++) {
        const char *p = table[i].choices;

        if (strcmp(table[i].name, name) != 0 || p == NULL)
            continue;
        for (int64_t k = 0; k < value && p != NULL; k++) {
            p = strchr(p, ',');
            p = p != NULL ? p + 1 : NULL;
        }
        if (p != NULL)
            snprintf(out, cap, "%.*s", (int)strcspn(p, ","), p);
    }
    return out;
}

bool srq_size_parse(const char *text, int64_t *bytes)
{
    char *end;
    double v, unit = 1;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    v = strtod(text, &end);
    if (errno != 0 || end == text || text[1] == 'x' || text[1] == 'X')
        return false;
    switch (tolower((unsigned char)*end)) {
    case 't':
        unit *= 1024; /* fall through */
    case 'g':
        unit *= 1024; /* fall through */
    case 'm':
        unit *= 1024; /* fall through */
    case 'k':
        unit *= 1024;
        end++;
        break;
    default:
        break;
    }
    if (unit > 1 && tolower((unsigned char)*end) == 'i')
        end++;
    if (tolower((unsigned char)*end) == 'b')
        end++;
    if (*end != '\0' || !(v * unit <= EXACT_MAX))
        return false;
    *bytes = (int64_t)(v * unit);
    return true;
}

void srq_job_options_init(struct srq_job_options *o)
{
    memset(o, 0, sizeof(*o));
    for (int i = 0; i < ROWS; i++) {
        if (table[i].value != NULL)
            (void)srq_job_options_set(o, table[i].name, table[i].value, false, NULL);
    }
}

static int bad_value(const struct srq_job_option *row, const char *field, const char *value, struct srq_error *err)
{
    const char *unit = row->unit != NULL ? row->unit : "";

    if (row->kind == SRQ_JOB_CHOICE)
        return srq_fail_field(err, -SRQ_EINVAL, field, "option %s is \"%.60s\"; it can be one of %s", row->name, value,
                              row->choices);
    if (row->kind == SRQ_JOB_BOOL)
        return srq_fail_field(err, -SRQ_EINVAL, field, "option %s is \"%.60s\"; it is true or false", row->name, value);
    if (row->kind == SRQ_JOB_SIZE)
        return srq_fail_field(err, -SRQ_EINVAL, field,
                              "option %s is \"%.60s\"; it is a size in bytes, such as 8G or 512M", row->name, value);
    return srq_fail_field(err, -SRQ_EINVAL, field, "option %s is \"%.60s\"; it is %s from %.16g to %.16g%s%s",
                          row->name, value, row->kind == SRQ_JOB_INT ? "a whole number" : "a number", row->min,
                          row->max, unit[0] != '\0' ? " " : "", unit);
}

static int unknown_option(const char *name, const char *field, struct srq_error *err)
{
    const char *names[ROWS], *near;

    for (int i = 0; i < ROWS; i++)
        names[i] = table[i].name;
    near = srq_nearest_word(name, names, ROWS);
    if (near != NULL)
        return srq_fail_field(err, -SRQ_EINVAL, field, "there is no option \"%.100s\"; did you mean \"%s\"?", name,
                              near);
    return srq_fail_field(err, -SRQ_EINVAL, field,
                          "there is no option \"%.100s\"; job options are listed in srq-job(5), a plugin's are written "
                          "PLUGIN.OPTION",
                          name);
}

static bool parse_value(struct srq_job_options *o, const struct srq_job_option *row, const char *value)
{
    char *end;
    double d;

    if (row->kind == SRQ_JOB_CHOICE) {
        int at = choice_index(row->choices, value);

        if (at >= 0)
            *int_at(o, row) = at;
        return at >= 0;
    }
    if (row->kind == SRQ_JOB_SIZE)
        return srq_size_parse(value, int_at(o, row));
    if (row->kind == SRQ_JOB_BOOL) {
        bool yes, known = srq_bool_parse(value, &yes);

        if (known)
            *int_at(o, row) = yes;
        return known;
    }
    errno = 0;
    d = strtod(value, &end);
    if (errno != 0 || end == value || *end != '\0' || !isfinite(d) || d < row->min || d > row->max ||
        strpbrk(value, "xX") != NULL)
        return false;
    if (row->kind == SRQ_JOB_FLOAT) {
        *(double *)((char *)o + row->offset) = d;
        return true;
    }
    if (d != floor(d))
        return false;
    *int_at(o, row) = (int64_t)d;
    return true;
}

int srq_job_options_set(struct srq_job_options *o, const char *name, const char *value, bool user,
                        struct srq_error *err)
{
    char field[160];

    snprintf(field, sizeof(field), "options.%.140s", name);
    for (int i = 0; i < ROWS; i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        if (!user && (o->set >> i & 1) != 0)
            return 0;
        if (!parse_value(o, &table[i], value))
            return bad_value(&table[i], field, value, err);
        if (user)
            o->set |= UINT64_C(1) << i;
        return 0;
    }
    return unknown_option(name, field, err);
}

void srq_job_options_finish(struct srq_job_options *o)
{
    if (o->eval_seqlen == 0)
        o->eval_seqlen = o->seqlen;
}

bool srq_job_options_json(const struct srq_job_options *o, cJSON *object)
{
    for (int i = 0; i < ROWS; i++) {
        char word[32];
        cJSON *item;

        if (table[i].kind == SRQ_JOB_CHOICE)
            item = cJSON_AddStringToObject(
                object, table[i].name,
                srq_job_option_choice(table[i].name, (int64_t)number_of(o, &table[i]), word, sizeof(word)));
        else if (table[i].kind == SRQ_JOB_BOOL)
            item = cJSON_AddBoolToObject(object, table[i].name, number_of(o, &table[i]) != 0);
        else
            item = cJSON_AddNumberToObject(object, table[i].name, number_of(o, &table[i]));
        if (item == NULL)
            return false;
    }
    return true;
}

/* "a,b,c" as ["a","b","c"], NULL as null. */
static bool put_choices(cJSON *o, const char *choices)
{
    cJSON *list = choices != NULL ? cJSON_AddArrayToObject(o, "choices") : cJSON_AddNullToObject(o, "choices");
    char word[64];

    for (const char *p = choices; p != NULL && list != NULL; p = *p == ',' ? p + 1 : NULL) {
        size_t n = strcspn(p, ",");

        snprintf(word, sizeof(word), "%.*s", (int)n, p);
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
        p += n;
    }
    return list != NULL;
}

cJSON *srq_option_json(const struct srq_option *r, const char *type)
{
    bool bounded = r->min != 0 || r->max != 0;
    cJSON *o = cJSON_CreateObject();

    if (srq_put_text(o, "name", r->name) && srq_put_text(o, "type", type) && srq_put_text(o, "unit", r->unit) &&
        srq_put_number(o, "min", bounded ? r->min : NAN) && srq_put_number(o, "max", bounded ? r->max : NAN) &&
        put_choices(o, r->choices) && srq_put_text(o, "default", r->value) &&
        srq_put_text(o, "help", r->help != NULL ? r->help : ""))
        return o;
    cJSON_Delete(o);
    return NULL;
}

cJSON *srq_job_options_describe(void)
{
    static const char *const types[] = { "int", "float", "size", "choice", "bool" };
    cJSON *rows = cJSON_CreateArray();

    for (int i = 0; rows != NULL && i < ROWS; i++) {
        const struct srq_job_option *r = &table[i];
        const struct srq_option row = { .name = r->name,
                                        .unit = r->unit,
                                        .min = r->min,
                                        .max = r->max,
                                        .choices = r->choices,
                                        .value = r->value,
                                        .help = r->help };

        if (!cJSON_AddItemToArray(rows, srq_option_json(&row, types[r->kind]))) {
            cJSON_Delete(rows);
            return NULL;
        }
    }
    return rows;
}
