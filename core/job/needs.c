/* Rows of memory and disk: sums, and words for people. */
#include "core/job/needs.h"

#include "core/base/digits.h"
#include "core/proto/members.h"
#include "core/tune/memory.h"

void srq_needs_add(struct srq_needs *n, const char *stage, const char *name, uint64_t bytes)
{
    struct srq_need *row = &n->rows[n->count];

    if (bytes == 0 || n->count == SRQ_NEEDS_MAX)
        return;
    snprintf(row->name, sizeof(row->name), "%s", name);
    row->stage = stage;
    row->bytes = bytes;
    n->count++;
}

void srq_needs_add_all(struct srq_needs *n, const char *stage, const struct srq_memory_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        srq_needs_add(n, stage, rows->row[i].name, rows->row[i].bytes);
}

uint64_t srq_needs_sum(const struct srq_needs *n)
{
    uint64_t sum = 0;

    for (int i = 0; i < n->count; i++)
        sum += n->rows[i].bytes;
    return sum;
}

uint64_t srq_needs_peak(const struct srq_needs *n)
{
    uint64_t most = 0;

    for (int i = 0; i < n->count; i++) {
        uint64_t sum = 0;

        for (int k = 0; k < n->count; k++) {
            if (strcmp(n->rows[k].stage, "all") == 0 || strcmp(n->rows[k].stage, n->rows[i].stage) == 0)
                sum += n->rows[k].bytes;
        }
        most = sum > most ? sum : most;
    }
    return most;
}

uint64_t srq_needs_over(uint64_t planned, uint64_t used)
{
    uint64_t bound = planned + planned / 100 * 3 + ((uint64_t)2 << 20);

    return used > bound ? used - planned : 0;
}

cJSON *srq_needs_json(const struct srq_needs *n, uint64_t planned)
{
    cJSON *root = cJSON_CreateObject(), *rows = root != NULL ? cJSON_AddArrayToObject(root, "rows") : NULL;

    for (int i = 0; rows != NULL && i < n->count; i++) {
        cJSON *o = cJSON_CreateObject();

        if (o == NULL || !cJSON_AddItemToArray(rows, o) || !srq_put_text(o, "name", n->rows[i].name) ||
            !srq_put_number(o, "bytes", (double)n->rows[i].bytes) || !srq_put_text(o, "stage", n->rows[i].stage))
            rows = NULL;
    }
    if (rows != NULL && srq_put_number(root, "planned_bytes", (double)planned))
        return root;
    cJSON_Delete(root);
    return NULL;
}

char *srq_needs_text(const struct srq_needs *n, char *out, size_t cap)
{
    bool told[SRQ_NEEDS_MAX] = { false };
    size_t at = 0;

    out[0] = '\0';
    for (int round = 0; round < n->count; round++) {
        int most = -1, wrote;
        char size[32];

        for (int i = 0; i < n->count; i++) {
            if (!told[i] && (most < 0 || n->rows[i].bytes > n->rows[most].bytes))
                most = i;
        }
        told[most] = true;
        wrote = snprintf(out + at, cap - at, "%s%s %s", at > 0 ? ", " : "", n->rows[most].name,
                         srq_bytes_text((double)n->rows[most].bytes, size, sizeof(size)));
        if (wrote < 0 || (size_t)wrote >= cap - at) {
            out[at] = '\0';
            break;
        }
        at += (size_t)wrote;
    }
    return out;
}
