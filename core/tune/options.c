/* Option values of one plugin for one job: text in, checked by the plugin's own table, typed values out. */
#include "core/tune/options.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define JOB_PREFIX "job."

enum level { UNSET, BY_DEFAULT, BY_RECIPE, BY_USER };

struct value {
    enum level level;
    char *text; /* canonical */
    int64_t whole;
    double real;
    bool flag;
};

struct srq_options {
    const struct srq_plugin *plugin;
    int count;
    struct value values[];
};

static int find(const struct srq_plugin *p, const char *name)
{
    for (int i = 0; i < (int)p->option_count; i++) {
        if (strcmp(p->options[i].name, name) == 0)
            return i;
    }
    return -1;
}

static bool in_choices(const char *choices, const char *word, size_t len)
{
    for (const char *c = choices; c != NULL; c = strchr(c, ',') != NULL ? strchr(c, ',') + 1 : NULL) {
        if (len > 0 && strcspn(c, ",") == len && strncmp(c, word, len) == 0)
            return true;
    }
    return false;
}

/* The sentence's end: what the option accepts. */
static void describe(const struct srq_option *row, char *out, size_t cap)
{
    bool bounded = row->min != 0 || row->max != 0;

    switch (row->type) {
    case SRQ_OPT_BOOL:
        snprintf(out, cap, "true or false");
        break;
    case SRQ_OPT_INT:
    case SRQ_OPT_FLOAT:
        if (bounded)
            snprintf(out, cap, "a %snumber from %.15g to %.15g", row->type == SRQ_OPT_INT ? "whole " : "", row->min,
                     row->max);
        else
            snprintf(out, cap, "a %snumber", row->type == SRQ_OPT_INT ? "whole " : "");
        break;
    case SRQ_OPT_CHOICE:
        snprintf(out, cap, "one of %s", row->choices);
        break;
    default:
        snprintf(out, cap, "a text");
        break;
    }
}

bool srq_bool_parse(const char *text, bool *out)
{
    static const char *const yes[] = { "true", "1", "yes", "on" }, *const no[] = { "false", "0", "no", "off" };

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool in_range(const struct srq_option *row, double x)
{
    return isfinite(x) && ((row->min == 0 && row->max == 0) || (x >= row->min && x <= row->max));
}

/* The shortest decimal that reads back as x. */
static char *real_text(double x)
{
    char out[40];

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, sizeof(out), "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            break;
    }
    return srq_strdup(out);
}

/* Reads `text` by the row's type. 0, -SRQ_EINVAL, or -SRQ_ENOMEM. v->text is new memory. */
static int parse(const struct srq_option *row, const char *text, struct value *v)
{
    char *end;

    switch (row->type) {
    case SRQ_OPT_BOOL:
        if (!srq_bool_parse(text, &v->flag))
            return -SRQ_EINVAL;
        v->text = srq_strdup(v->flag ? "true" : "false");
        break;
    case SRQ_OPT_INT:
        errno = 0;
        v->whole = strtoll(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || !in_range(row, (double)v->whole))
            return -SRQ_EINVAL;
        v->text = srq_asprintf("%lld", (long long)v->whole);
        break;
    case SRQ_OPT_FLOAT:
        errno = 0;
        v->real = strtod(text, &end);
        if (end == text || *end != '\0' || !in_range(row, v->real))
            return -SRQ_EINVAL;
        v->text = real_text(v->real);
        break;
    case SRQ_OPT_CHOICE:
        if (strchr(text, ',') != NULL || !in_choices(row->choices, text, strlen(text)))
            return -SRQ_EINVAL;
        v->text = srq_strdup(text);
        break;
    default:
        v->text = srq_strdup(text);
        break;
    }
    return v->text != NULL ? 0 : -SRQ_ENOMEM;
}

/* ---- a plugin's own table ---------------------------------------------------------------------------------------- */

static bool is_option_name(const char *name)
{
    return name[0] >= 'a' && name[0] <= 'z' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int check_value(const struct srq_plugin *p, const struct srq_option *row, const char *text, const char *where,
                       struct srq_error *err)
{
    struct value v = { 0 };
    char want[256];
    int rc = parse(row, text, &v);

    srq_free(v.text);
    if (rc == -SRQ_EINVAL) {
        describe(row, want, sizeof(want));
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s: %s of option %s is \"%s\", which is not %s", p->name, where,
                        row->name, text, want);
    }
    return rc != 0 ? srq_fail(err, rc, "no memory for options of %s", p->name) : 0;
}

static int check_recipes(const struct srq_plugin *p, struct srq_error *err)
{
    int named = find(p, "recipe");

    for (uint32_t k = 0; k < p->recipe_count; k++) {
        const struct srq_recipe_row *r = &p->recipes[k];
        int i, rc;

        if (r->recipe == NULL || r->key == NULL || r->value == NULL)
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: row %u of its recipes lacks name, key or value", p->name,
                            (unsigned)k);
        if (named < 0 || p->options[named].type != SRQ_OPT_CHOICE ||
            !in_choices(p->options[named].choices, r->recipe, strlen(r->recipe)))
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: recipe %s is no choice of an option \"recipe\"", p->name,
                            r->recipe);
        if (strncmp(r->key, JOB_PREFIX, strlen(JOB_PREFIX)) == 0)
            continue;
        i = find(p, r->key);
        if (i < 0)
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: recipe %s sets \"%s\", which is no option", p->name,
                            r->recipe, r->key);
        rc = check_value(p, &p->options[i], r->value, "a recipe's value", err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int srq_options_check_table(const struct srq_plugin *p, struct srq_error *err)
{
    for (uint32_t i = 0; i < p->option_count; i++) {
        if (p->options[i].name == NULL)
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: row %u of its options has no name", p->name, (unsigned)i);
    }
    for (int i = 0; i < (int)p->option_count; i++) {
        const struct srq_option *row = &p->options[i];
        int rc = 0;

        if (!is_option_name(row->name) || find(p, row->name) != i)
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: \"%s\" is no name for an option, or is there twice", p->name,
                            row->name);
        if ((unsigned)row->type > SRQ_OPT_CHOICE || row->help == NULL || row->min > row->max ||
            (row->type == SRQ_OPT_CHOICE && (row->choices == NULL || row->choices[0] == '\0')))
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s: option %s lacks type, choices, range or help", p->name,
                            row->name);
        if (row->value != NULL)
            rc = check_value(p, row, row->value, "the default", err);
        if (rc != 0)
            return rc;
    }
    return check_recipes(p, err);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int put(struct srq_options *o, int i, const char *text, enum level level, struct srq_error *err)
{
    const struct srq_option *row = &o->plugin->options[i];
    struct value v = { .level = level };
    char want[256], field[160];
    int rc = parse(row, text, &v);

    if (rc == -SRQ_ENOMEM)
        return srq_fail(err, rc, "no memory for option %s.%s", o->plugin->name, row->name);
    if (rc != 0) {
        describe(row, want, sizeof(want));
        snprintf(field, sizeof(field), "options.%s.%s", o->plugin->name, row->name);
        return srq_fail_field(err, rc, field, "option %s.%s is \"%.80s\"; it must be %s", o->plugin->name, row->name,
                              text, want);
    }
    srq_free(o->values[i].text);
    o->values[i] = v;
    return 0;
}

int srq_options_create(const struct srq_plugin *p, struct srq_options **out, struct srq_error *err)
{
    struct srq_options *o;
    int count = (int)p->option_count;

    *out = NULL;
    o = srq_calloc(1, sizeof(*o) + (size_t)count * sizeof(struct value));
    if (o == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the options of %s", p->name);
    o->plugin = p;
    o->count = count;
    for (int i = 0; i < count; i++) {
        int rc = p->options[i].value != NULL ? put(o, i, p->options[i].value, BY_DEFAULT, err) : 0;

        if (rc != 0) {
            srq_options_free(o);
            return rc;
        }
    }
    *out = o;
    return 0;
}

int srq_options_set(struct srq_options *o, const char *name, const char *value, struct srq_error *err)
{
    int i = find(o->plugin, name);
    char known[512] = "", field[160];
    size_t len = 0;

    if (i >= 0)
        return put(o, i, value, BY_USER, err);
    for (int k = 0; k < o->count && len < sizeof(known); k++)
        len +=
            (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", k > 0 ? ", " : "", o->plugin->options[k].name);
    snprintf(field, sizeof(field), "options.%s.%s", o->plugin->name, name);
    return srq_fail_field(err, -SRQ_EINVAL, field, "plugin %s has no option \"%.80s\"; it has %s", o->plugin->name,
                          name, o->count > 0 ? known : "none");
}

int srq_options_finish(struct srq_options *o, int (*job)(void *ctx, const char *key, const char *value), void *ctx,
                       struct srq_error *err)
{
    const char *recipe = srq_option_string(o, "recipe");

    for (uint32_t k = 0; recipe != NULL && k < o->plugin->recipe_count; k++) {
        const struct srq_recipe_row *r = &o->plugin->recipes[k];
        int i, rc = 0;

        if (strcmp(r->recipe, recipe) != 0)
            continue;
        if (strncmp(r->key, JOB_PREFIX, strlen(JOB_PREFIX)) == 0) {
            if (job != NULL)
                rc = job(ctx, r->key + strlen(JOB_PREFIX), r->value);
            if (rc != 0)
                return srq_fail(err, rc, "recipe %s of %s sets %s=%s, which the job refuses", recipe, o->plugin->name,
                                r->key, r->value);
            continue;
        }
        i = find(o->plugin, r->key);
        if (i >= 0 && o->values[i].level != BY_USER)
            rc = put(o, i, r->value, BY_RECIPE, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

char *srq_options_text(const struct srq_options *o, const char *name)
{
    int i = find(o->plugin, name);

    return i >= 0 && o->values[i].level != UNSET ? srq_strdup(o->values[i].text) : NULL;
}

void srq_options_free(struct srq_options *o)
{
    if (o == NULL)
        return;
    for (int i = 0; i < o->count; i++)
        srq_free(o->values[i].text);
    srq_free(o);
}

/* ---- getters for plugins ----------------------------------------------------------------------------------------- */

static const struct value *get(const struct srq_options *o, const char *name)
{
    int i = o != NULL ? find(o->plugin, name) : -1;

    return i >= 0 && o->values[i].level != UNSET ? &o->values[i] : NULL;
}

bool srq_option_is_set(const struct srq_options *o, const char *name)
{
    return get(o, name) != NULL;
}

int64_t srq_option_int(const struct srq_options *o, const char *name)
{
    const struct value *v = get(o, name);

    return v != NULL ? v->whole : 0;
}

double srq_option_float(const struct srq_options *o, const char *name)
{
    const struct value *v = get(o, name);

    return v != NULL ? v->real : 0;
}

bool srq_option_bool(const struct srq_options *o, const char *name)
{
    const struct value *v = get(o, name);

    return v != NULL && v->flag;
}

const char *srq_option_string(const struct srq_options *o, const char *name)
{
    const struct value *v = get(o, name);

    return v != NULL ? v->text : NULL;
}
