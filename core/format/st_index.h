/* The index of a sharded checkpoint: which file holds which tensor (spec formats 1.1). */
#ifndef SRQ_FORMAT_ST_INDEX_H
#define SRQ_FORMAT_ST_INDEX_H

#include <srq/error.h>

#include <stddef.h>
#include <stdint.h>

struct srq_st_place {
    char *name; /* tensor */
    int file;   /* which of files[] */
};

struct srq_st_index {
    struct srq_st_place *places; /* sorted by name */
    int64_t count;
    char **files; /* base names, sorted */
    int file_count;
    double total_size; /* bytes of all tensors, by its metadata; NaN: it does not say; below 0: no number of them */
};

/* Parses `len` bytes of model.safetensors.index.json; `what` names it in errors. Every file is a plain base name.
 * On success the caller frees with srq_st_index_fini. */
int srq_st_index_parse(const char *data, size_t len, const char *what, struct srq_st_index *out, struct srq_error *err);
void srq_st_index_fini(struct srq_st_index *index);

/* Position of `name` in places[], or -1. */
int64_t srq_st_index_find(const struct srq_st_index *index, const char *name);

#endif
