/* Plans become layers and blocks. */
#include "tui/srqtop/feed.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "tui/srqtop/feed_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void feed_scheme(struct top_layer *l, const char *scheme, const char *source)
{
    int decider = srq_word_place(srq_decider_words, source);

    if (scheme != NULL && strlen(scheme) < sizeof(l->scheme) && strcmp(scheme, l->scheme) != 0) {
        snprintf(l->scheme, sizeof(l->scheme), "%s", scheme);
        for (char *p = l->scheme; *p != '\0'; p++)
            if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
                *p = '?';
        l->bits = srq_scheme_look(l->scheme).bits;
        l->score = (struct metric){ 0 };
    }
    if (strcmp(l->edit, l->scheme) == 0)
        l->edit[0] = '\0';
    if (decider < 0)
        return;
    l->source = (enum srq_decider)decider;
    l->pin = l->source == SRQ_BY_PIN;
}

void feed_candidates(struct top_job *j, const cJSON *names)
{
    const cJSON *item;
    struct srq_buf b;
    char *text;

    srq_buf_init(&b, 4096);
    cJSON_ArrayForEach(item, names)
    {
        if (cJSON_IsString(item))
            srq_buf_printf(&b, "%s%.60s", b.len > 0 ? ", " : "", item->valuestring);
    }
    text = srq_buf_take(&b);
    top_set_text(&j->candidates, text != NULL && text[0] != '\0' ? text : NULL);
    srq_free(text);
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */

static void set_tie(struct top_layer *l, const cJSON *row)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, "tie");
    char number[40], *tie = NULL;

    if (cJSON_IsString(v) && v->valuestring[0] != '\0') {
        top_set_text(&tie, v->valuestring);
    } else if (cJSON_IsNumber(v) && v->valuedouble >= 0) {
        snprintf(number, sizeof(number), "%.17g", v->valuedouble);
        top_set_text(&tie, number);
    }
    srq_free((char *)(uintptr_t)l->tie);
    l->tie = tie;
}

/* What may change from plan to plan. */
static void take_row(struct top_layer *l, const cJSON *row)
{
    struct metric bits = feed_metric(row, "bits");
    const cJSON *pin = cJSON_GetObjectItemCaseSensitive(row, "pin"), *width;

    l->widths = 0;
    cJSON_ArrayForEach(width, cJSON_GetObjectItemCaseSensitive(row, "widths"))
    {
        if (cJSON_IsNumber(width) && width->valuedouble >= 2 && width->valuedouble <= 8)
            l->widths |= 1u << width->valueint;
    }
    feed_scheme(l, srq_member_text(row, "scheme"), srq_member_text(row, "source"));
    if (bits.known && bits.v > 0 && bits.v <= 64)
        l->bits = bits.v;
    if (cJSON_IsBool(pin))
        l->pin = cJSON_IsTrue(pin);
    l->untied = srq_member_true(row, "untied");
    l->score = feed_metric(row, "score");
    l->state = (enum srq_work_state)feed_word(row, "state", srq_work_state_words, (int)l->state);
}

static bool make_layer(struct top_layer *l, const cJSON *row)
{
    const char *module = srq_member_text(row, "module"), *dot;

    *l = (struct top_layer){ .block = (int)feed_int(row, "block", 0, TOP_BLOCKS - 1, -1) };
    top_set_text(&l->name, srq_member_text(row, "name"));
    if (l->name == NULL)
        return false;
    dot = strrchr(l->name, '.');
    top_set_text(&l->module, module != NULL ? module : dot != NULL ? dot + 1 : l->name);
    l->out = feed_int(row, "out", 0, INT64_C(1) << 40, 0);
    l->in = feed_int(row, "in", 0, INT64_C(1) << 40, 0);
    set_tie(l, row);
    if (l->module == NULL) {
        top_layer_fini(l);
        return false;
    }
    take_row(l, row);
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

struct placed {
    struct top_layer layer;
    int order;
};

/* Blocks in order, each one's layers in the plan's; what is outside comes last. */
static int by_block(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    unsigned bx = (unsigned)x->layer.block, by = (unsigned)y->layer.block; /* -1 is the largest */

    return bx != by ? (bx < by ? -1 : 1) : x->order - y->order;
}

/* Reads the rows into a sorted array; *count of them. NULL: no memory. */
static struct placed *read_rows(const cJSON *rows, int *count)
{
    int n = cJSON_GetArraySize(rows), k = 0;
    struct placed *out = srq_calloc((size_t)(n < TOP_LAYERS ? n : TOP_LAYERS) + 1, sizeof(*out));
    const cJSON *row;

    *count = 0;
    cJSON_ArrayForEach(row, rows)
    {
        if (out == NULL || k >= TOP_LAYERS)
            break;
        if (make_layer(&out[k].layer, row)) {
            out[k].order = k;
            k++;
        }
    }
    if (out != NULL)
        qsort(out, (size_t)k, sizeof(*out), by_block);
    *count = k;
    return out;
}

/* The same layers in the same places: the number of layers outside blocks that a block of events took counts as
 * such. */
static bool same_layers(const struct top_job *j, const struct placed *p, int count)
{
    bool same = j->layer_count == count;

    for (int i = 0; same && i < count; i++)
        same = strcmp(j->layers[i].name, p[i].layer.name) == 0;
    return same;
}

/* Moves what belongs to the user and to the past from the old layer to the new. */
static void carry_over(struct top_layer *to, struct top_layer *from)
{
    struct top_layer fresh = *to;

    *to = *from;
    *from = (struct top_layer){ .name = fresh.name, .module = fresh.module, .tie = fresh.tie };
    memcpy(to->scheme, fresh.scheme, sizeof(to->scheme));
    to->bits = fresh.bits;
    to->source = fresh.source;
    to->pin = fresh.pin;
    to->untied = fresh.untied;
    to->score = fresh.score;
    to->state = fresh.state;
    if (strcmp(to->edit, to->scheme) == 0)
        to->edit[0] = '\0';
}

/* Block names are the layers' without the module's. */
static void name_block(struct top_block *b, const struct top_layer *l)
{
    size_t len = strlen(l->name), tail = strlen(l->module);
    char text[400];

    if (b->name != NULL)
        return;
    if (tail + 1 < len && strcmp(l->name + len - tail, l->module) == 0)
        len -= tail + 1;
    snprintf(text, sizeof(text), "%.*s", (int)(len < 399 ? len : 399), l->name);
    top_set_text(&b->name, text);
}

static void rebuild_blocks(struct top_job *j, bool with_state)
{
    for (int i = 0; i < j->block_count; i++)
        j->blocks[i].first = j->blocks[i].count = 0;
    for (int i = 0; i < j->layer_count; i++) {
        struct top_layer *l = &j->layers[i];
        struct top_block *b = l->block >= 0 ? top_job_block(j, l->block) : NULL;

        if (b == NULL) {
            l->block = -1;
            continue;
        }
        if (b->count++ == 0) {
            b->first = i;
            name_block(b, l);
            if (with_state)
                b->state = l->state;
        }
        l->state = b->state;
    }
}

static bool rows_have_state(const cJSON *rows)
{
    return rows != NULL && rows->child != NULL && srq_member_text(rows->child, "state") != NULL;
}

void top_feed_plan(struct top_model *m, struct top_job *j, const cJSON *reply)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(reply, "layers");
    const cJSON *budget = cJSON_GetObjectItemCaseSensitive(reply, "budget");
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(reply, "size");
    int count;
    struct placed *p = read_rows(rows, &count);
    struct top_layer *layers = p != NULL ? srq_calloc((size_t)count + 1, sizeof(*layers)) : NULL;

    if (layers != NULL) {
        bool same = same_layers(j, p, count);

        for (int i = 0; i < count; i++) {
            struct top_layer *old = same ? &j->layers[i] : top_job_layer(j, p[i].layer.name);

            layers[i] = p[i].layer;
            if (old != NULL) {
                int block = old->block;

                carry_over(&layers[i], old);
                layers[i].block = p[i].layer.block >= 0 ? p[i].layer.block : same ? block : -1;
            }
        }
        for (int i = 0; i < j->layer_count; i++)
            top_layer_fini(&j->layers[i]);
        srq_free(j->layers);
        j->layers = layers;
        j->layer_count = count;
        rebuild_blocks(j, rows_have_state(rows));
        j->plan_known = true;
    } else {
        for (int i = 0; p != NULL && i < count; i++)
            top_layer_fini(&p[i].layer);
    }
    srq_free(p);
    j->revision = feed_int(reply, "revision", 0, INT64_MAX / 2, j->revision);
    j->budget_bits = feed_metric(budget, "bits");
    feed_candidates(j, cJSON_GetObjectItemCaseSensitive(budget, "candidates"));
    if (cJSON_IsObject(size)) {
        j->before_bytes = feed_metric(size, "before_bytes");
        j->after_bytes = feed_metric(size, "after_bytes");
        j->average_bits = feed_metric(size, "average_bits");
    }
    j->plan_stale = false;
    m->changed = true;
}
