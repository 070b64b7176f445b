/* The tree of blocks and layers as it is shown: folded, filtered, sorted; and the map of blocks × modules. */
#ifndef SRQ_TUI_SRQTOP_TREE_H
#define SRQ_TUI_SRQTOP_TREE_H

#include "tui/srqtop/view.h"

struct tree_row {
    int block; /* -1: outside the blocks */
    int layer; /* index into the job's layers; -1: the block's own row */
};

enum tree_sort { TREE_BY_ORDER, TREE_BY_LOSS, TREE_BY_GAIN, TREE_BY_BITS, TREE_BY_SENSITIVITY, TREE_SORTS };
const char *tree_sort_name(int sort);

/* Rows of the job's tree, from the top; *rows is freed with srq_free. Returns how many (0 also without memory). */
int tree_rows(const struct top_job *j, const struct top_view *v, struct tree_row **rows);
/* Row of that item, else of its block, else -1. */
int tree_find(const struct tree_row *rows, int count, int block, int layer);
/* "layers.3", or "(outside blocks)" for block -1. */
const char *tree_block_name(const struct top_job *j, int block);
/* Bits of a block's layers, weighted by their sizes; sum of their scores, known only when all are. */
struct metric tree_block_bits(const struct top_job *j, int block);
struct metric tree_block_score(const struct top_job *j, int block);

/* The map: rows are blocks (and, last, what is outside them when anything is), columns distinct module names in order
 * of appearance. */
#define MAP_COLUMNS 64
struct map {
    int rows, columns;
    const char *names[MAP_COLUMNS];
    int *cells;  /* [rows, columns] index into the job's layers, -1: none */
    int outside; /* the row of what is outside the blocks, -1: none */
};
/* False: no memory or nothing to show; map_fini in any case. */
bool map_init(struct map *map, const struct top_job *j);
void map_fini(struct map *map);
struct metric map_value(const struct top_layer *l, enum srq_heat heat);

#endif
