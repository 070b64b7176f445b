/* A JSON object of a job's directory with one long array of objects ("layers" of plan.json and report.json, "revisions"
 * of history.json), read in steps: what is around the array is parsed at the end, of the elements only their places are
 * kept. The file is hostile input. */
#ifndef SRQD_LAYER_FILE_H
#define SRQD_LAYER_FILE_H

#include "daemon/srqd/jobs/job.h"

#include <cjson/cJSON.h>

struct layer_file;

struct layer_array {
    const char *file, *key;
    size_t element_max; /* bytes of one */
};
extern const struct layer_array layer_array_plan, layer_array_report, layer_array_history;

/* Is given each element, in their order. An error ends the reading. */
typedef int (*layer_file_visit)(const cJSON *layer, void *ctx, struct srq_error *err);

/* -SRQ_ENOENT, -SRQ_EINVAL (a link), -SRQ_EFORMAT (no regular file), -SRQ_ELIMIT (longer than 64 MiB). */
int layer_file_open(const struct job *j, const struct layer_array *what, struct layer_file **out,
                    struct srq_error *err);
void layer_file_close(struct layer_file *f); /* NULL is fine */

/* Whether it is what lies in the directory now. */
bool layer_file_current(const struct layer_file *f, const struct job *j);

/* Reads on, a few hundred elements. 1: there is more. 0: all has been read. -SRQ_EFORMAT, -SRQ_ELIMIT, -SRQ_EIO: it
 * cannot be read any further. `visit` may be NULL. */
int layer_file_step(struct layer_file *f, layer_file_visit visit, void *ctx, struct srq_error *err);

/* Once all has been read: the object, its array empty; the file's until it is closed. */
cJSON *layer_file_object(struct layer_file *f);
size_t layer_file_count(const struct layer_file *f);
/* The element at place `at`; cJSON_Delete. */
int layer_file_layer(const struct layer_file *f, size_t at, cJSON **out, struct srq_error *err);

#endif
