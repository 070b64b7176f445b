/* The header of one safetensors file, checked in full (spec formats 1.1). */
#ifndef SRQ_FORMAT_ST_HEADER_H
#define SRQ_FORMAT_ST_HEADER_H

#include <srq/error.h>
#include <srq/types.h>

#define SRQ_ST_NAME_MAX 1024
#define SRQ_ST_COUNT_MAX 1000000

struct srq_st_entry {
    char *name;
    enum srq_dtype dtype;
    int rank;
    int64_t shape[SRQ_MAX_RANK];
    uint64_t begin, end; /* bytes, relative to data_at */
};

struct srq_st_header {
    struct srq_st_entry *entries; /* in the order of their data, without holes or overlap */
    int64_t count;
    uint64_t data_at; /* offset of the first data byte in the file */
};

/* Reads the header of a file of `size` bytes at `base`; `file` names it in errors. Returns 0, or -SRQ_EFORMAT,
 * -SRQ_EUNSUPPORTED (an element type or rank that srq does not read), -SRQ_ELIMIT, -SRQ_ENOMEM with the tensor and the
 * value that was wrong. On success the caller frees with srq_st_header_fini. */
int srq_st_header_read(const uint8_t *base, size_t size, const char *file, struct srq_st_header *out,
                       struct srq_error *err);
void srq_st_header_fini(struct srq_st_header *h);

/* A tensor's name fit for an error sentence: control characters escaped, cut at `cap`. Returns out. */
char *srq_st_show(const char *name, char *out, size_t cap);
/* Adds a name, as that shows it in 64 bytes, behind a comma to those in `list` ("": none) where there is room for it.
 */
void srq_st_list(const char *name, char *list, size_t cap);

#endif
