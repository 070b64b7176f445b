/* The tree of blocks and layers as it is shown, and the map of blocks × modules. */
#include "tui/srqtop/tree.h"

#include "core/base/alloc.h"
#include "tui/srqtop/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An item with the number it is sorted by. */
struct sorted {
    double key;
    int index;
};

static const char *const sort_names[TREE_SORTS] = { "order", "loss", "gain", "bits", "sensitivity" };

const char *tree_sort_name(int sort)
{
    return sort >= 0 && sort < TREE_SORTS ? sort_names[sort] : sort_names[0];
}

/* Ascending keys; what is not known comes last; equal ones keep their order. */
static int by_key(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    bool xn = isnan(x->key), yn = isnan(y->key);

    if (xn != yn)
        return xn ? 1 : -1;
    if (!xn && x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static double key_of(struct metric m, bool highest_first)
{
    return !m.known ? NAN : highest_first ? -m.v : m.v;
}

static bool in_block(const struct top_job *j, int layer, int block)
{
    return j->layers[layer].block == block;
}

const char *tree_block_name(const struct top_job *j, int block)
{
    if (block < 0 || block >= j->block_count)
        return "(outside blocks)";
    return j->blocks[block].name != NULL ? j->blocks[block].name : "-";
}

/* Range of layers to look through for a block: its own, or all for what is outside. */
static void range_of(const struct top_job *j, int block, int *begin, int *end)
{
    *begin = block >= 0 ? j->blocks[block].first : 0;
    *end = block >= 0 ? *begin + j->blocks[block].count : j->layer_count;
    if (*end > j->layer_count)
        *end = j->layer_count;
}

struct metric tree_block_bits(const struct top_job *j, int block)
{
    double weights = 0, bits = 0;
    int begin, end;

    range_of(j, block, &begin, &end);
    for (int i = begin; i < end; i++)
        if (in_block(j, i, block)) {
            double n = (double)j->layers[i].out * (double)j->layers[i].in;

            if (!(j->layers[i].bits > 0))
                return (struct metric){ false, 0 };
            weights += n;
            bits += n * j->layers[i].bits;
        }
    return weights > 0 ? known(bits / weights) : (struct metric){ false, 0 };
}

struct metric tree_block_score(const struct top_job *j, int block)
{
    struct metric sum = { false, 0 };
    int begin, end;

    range_of(j, block, &begin, &end);
    for (int i = begin; i < end; i++)
        if (in_block(j, i, block)) {
            if (!j->layers[i].score.known)
                return (struct metric){ false, 0 };
            sum = known(sum.v + j->layers[i].score.v);
        }
    return sum;
}

static double block_key(const struct top_job *j, int block, int sort)
{
    const struct top_block *b = block >= 0 ? &j->blocks[block] : NULL;

    switch (sort) {
    case TREE_BY_LOSS:
        return b != NULL ? key_of(b->loss_best, true) : NAN;
    case TREE_BY_GAIN:
        return b != NULL ? key_of(top_gain(b->loss_first, b->loss_best), false) : NAN;
    case TREE_BY_BITS:
        return key_of(tree_block_bits(j, block), true);
    case TREE_BY_SENSITIVITY:
        return key_of(tree_block_score(j, block), true);
    default:
        return 0;
    }
}

static double layer_key(const struct top_layer *l, int sort)
{
    switch (sort) {
    case TREE_BY_LOSS:
        return key_of(l->error_best, true);
    case TREE_BY_GAIN:
        return key_of(top_gain(l->error_first, l->error_best), false);
    case TREE_BY_BITS:
        return l->bits > 0 ? -l->bits : NAN;
    case TREE_BY_SENSITIVITY:
        return key_of(l->score, true);
    default:
        return 0;
    }
}

/* Appends a block's row and those of its layers that are to be seen. */
static int add_block(const struct top_job *j, const struct top_view *v, int block, struct sorted *scratch,
                     struct tree_row *rows)
{
    bool filtered = v->filter[TOP_PANEL_JOB][0] != '\0';
    bool whole = !filtered || (block >= 0 && view_matches(tree_block_name(j, block), v->filter[TOP_PANEL_JOB]));
    int slot = block >= 0 ? block : v->folded_count, begin, end, n = 0, count = 0;
    bool folded = !filtered && (v->folded == NULL || slot > v->folded_count || v->folded[slot]);

    range_of(j, block, &begin, &end);
    for (int i = begin; i < end; i++)
        if (in_block(j, i, block) && (whole || view_matches(j->layers[i].name, v->filter[TOP_PANEL_JOB])))
            scratch[n++] = (struct sorted){ layer_key(&j->layers[i], v->sort[TOP_PANEL_JOB]), i };
    if (n == 0 && (block < 0 || !whole))
        return 0;
    rows[count++] = (struct tree_row){ block, -1 };
    if (folded)
        return count;
    qsort(scratch, (size_t)n, sizeof(*scratch), by_key);
    for (int i = 0; i < n; i++)
        rows[count++] = (struct tree_row){ block, scratch[i].index };
    return count;
}

int tree_rows(const struct top_job *j, const struct top_view *v, struct tree_row **rows)
{
    size_t most = (size_t)j->layer_count + (size_t)j->block_count + 1;
    struct sorted *order = srq_calloc(2 * most, sizeof(*order));
    int count = 0, n = 0;

    *rows = srq_calloc(most, sizeof(**rows));
    if (order == NULL || *rows == NULL) {
        srq_free(order);
        return 0;
    }
    for (int b = 0; b < j->block_count; b++)
        order[n++] = (struct sorted){ block_key(j, b, v->sort[TOP_PANEL_JOB]), b };
    qsort(order, (size_t)n, sizeof(*order), by_key);
    for (int i = 0; i < n; i++)
        count += add_block(j, v, order[i].index, order + most, *rows + count);
    count += add_block(j, v, -1, order + most, *rows + count);
    srq_free(order);
    return count;
}

int tree_find(const struct tree_row *rows, int count, int block, int layer)
{
    int found = -1;

    for (int i = 0; i < count; i++) {
        if (rows[i].block == block && rows[i].layer == layer)
            return i;
        if (rows[i].block == block && rows[i].layer < 0)
            found = i;
    }
    return found;
}

static int column_of(struct map *map, const char *module)
{
    for (int k = 0; k < map->columns; k++)
        if (strcmp(map->names[k], module) == 0)
            return k;
    if (map->columns == MAP_COLUMNS)
        return -1;
    map->names[map->columns] = module;
    return map->columns++;
}

static const char *module_of(const struct top_layer *l)
{
    return l->module != NULL ? l->module : l->name != NULL ? l->name : "-";
}

bool map_init(struct map *map, const struct top_job *j)
{
    memset(map, 0, sizeof(*map));
    map->outside = -1;
    for (int i = 0; i < j->layer_count; i++) {
        column_of(map, module_of(&j->layers[i]));
        if (j->layers[i].block < 0)
            map->outside = j->block_count;
    }
    map->rows = j->block_count + (map->outside >= 0);
    if (map->columns == 0 || map->rows == 0)
        return false;
    map->cells = srq_calloc((size_t)map->rows * (size_t)map->columns, sizeof(*map->cells));
    if (map->cells == NULL)
        return false;
    for (int i = 0; i < map->rows * map->columns; i++)
        map->cells[i] = -1;
    for (int i = 0; i < j->layer_count; i++) {
        int row = j->layers[i].block >= 0 ? j->layers[i].block : map->outside;
        int column = column_of(map, module_of(&j->layers[i]));

        if (row < map->rows && column >= 0)
            map->cells[row * map->columns + column] = i;
    }
    return true;
}

void map_fini(struct map *map)
{
    srq_free(map->cells);
    map->cells = NULL;
}

struct metric map_value(const struct top_layer *l, enum srq_heat heat)
{
    switch (heat) {
    case SRQ_HEAT_SENSITIVITY:
        return l->score;
    case SRQ_HEAT_BITS:
        return (struct metric){ l->bits > 0, l->bits };
    case SRQ_HEAT_LOSS:
        return l->error_last.known ? l->error_last : l->error_best;
    case SRQ_HEAT_GAIN:
        return top_gain(l->error_first, l->error_best);
    case SRQ_HEAT_SATURATION:
    default:
        return l->saturation;
    }
}
