/* Named tensors in files: reading safetensors, single or sharded, and writing them. Hostile input stops here
 * (spec formats 1.1 and 7). */
#ifndef SRQ_FORMAT_TENSORS_H
#define SRQ_FORMAT_TENSORS_H

#include "core/base/fs.h"
#include "core/tensor/tensor.h"

struct srq_tensors; /* an opened set of tensors: one file, or the shards of an index */

/* `path`: a .safetensors file, an index .json, or a folder holding model.safetensors or model.safetensors.index.json
 * (the single file wins), or the diffusers names diffusion_pytorch_model.*; where there is none of these, their
 * variants in half precision (….fp16.safetensors and its index, ….bf16.safetensors). Only headers are read; data stay
 * mapped. */
int srq_tensors_open(const char *path, struct srq_tensors **out, struct srq_error *err);
void srq_tensors_close(struct srq_tensors *ts);
/* Tensors that lie in a file of another kind, under names of the caller's choice. Each begins at a multiple of its
 * element size. */
struct srq_tensors_place {
    const char *name;
    enum srq_dtype dtype;
    int rank;
    int64_t shape[SRQ_MAX_RANK];
    uint64_t begin; /* byte in the file */
};
/* Maps the file and adds them to the set: -SRQ_EFORMAT naming one that the file does not hold, or whose name the set
 * has. After an error nothing can be done with the set but to close it. */
int srq_tensors_add(struct srq_tensors *ts, const char *path, const struct srq_tensors_place *places, int64_t count,
                    struct srq_error *err);

int64_t srq_tensors_count(const struct srq_tensors *ts);
const char *srq_tensors_name(const struct srq_tensors *ts, int64_t i); /* sorted by name */
/* The tensor `name`, read-only, pointing into the map; false when there is none. Data are aligned to their element
 * size: where a file's odd header length puts them elsewhere, the first call copies them into memory of the set's own,
 * which stays until it is closed. Callable from several threads. */
bool srq_tensors_get(const struct srq_tensors *ts, const char *name, struct srq_tensor *out);
/* The same without touching data: `out->data` is NULL. For planning from headers alone. */
bool srq_tensors_describe(const struct srq_tensors *ts, const char *name, struct srq_tensor *out);
uint64_t srq_tensors_bytes(const struct srq_tensors *ts); /* of all data */
/* What contradicts itself in the files, as sentences for people; NULL past the last. */
const char *srq_tensors_note(const struct srq_tensors *ts, int i);
/* Drops its pages from memory; they are read again when touched. Copies of misaligned tensors stay. */
void srq_tensors_release(const struct srq_tensors *ts, const struct srq_tensor *t);
int srq_tensors_check(const struct srq_tensors *ts, struct srq_error *err); /* no file shrank meanwhile */
/* 128-bit hash of all names, shapes, dtypes and data, 32 hex digits and NUL (fingerprint). Parallel, streaming. */
int srq_tensors_hash(const struct srq_tensors *ts, char out[33], struct srq_error *err);

/* Writing. Tensors are declared first, then the files are laid out (largest elements first, then name), then filled in
 * any order, then finished: fsync and rename. Nothing is visible under the final names before that. After a failure the
 * temporary files are removed at once and every later call fails; only srq_writer_free is left to do. */
struct srq_tensor_writer;

/* base "model": DIR/model.safetensors; or, where all data exceed `shard_bytes` (0: never), shards
 * DIR/model-00001-of-0000N.safetensors in the order of declaration and DIR/model.safetensors.index.json. */
int srq_writer_create(const char *dir, const char *base, uint64_t shard_bytes, struct srq_tensor_writer **out,
                      struct srq_error *err);
int srq_writer_declare(struct srq_tensor_writer *w, const char *name, enum srq_dtype dtype, int rank,
                       const int64_t *shape, struct srq_error *err);
/* Lays out and reserves the disk space: -SRQ_ENOSPC naming the file where there is too little. */
int srq_writer_begin(struct srq_tensor_writer *w, struct srq_error *err);
/* All bytes of one tensor, or a part of them from byte `offset`; parts must not overlap. From any thread. */
int srq_writer_put(struct srq_tensor_writer *w, const char *name, uint64_t offset, const void *data, size_t bytes,
                   struct srq_error *err);
/* -SRQ_ESTATE naming a tensor that was not filled. What an earlier writing left under the names of the other form (the
 * single file beside new shards, the index beside a new single file) is removed, as readers would prefer the stale
 * one. */
int srq_writer_finish(struct srq_tensor_writer *w, struct srq_error *err);
void srq_writer_free(struct srq_tensor_writer *w); /* removes temporary files of an unfinished write */

#endif
