/* Calibration and evaluation text into token windows. */
#ifndef SRQ_TEXT_SAMPLES_H
#define SRQ_TEXT_SAMPLES_H

#include "core/text/tokenizer.h"

/* Token ids [count, seqlen] row-major, with a mask of the same shape (1: a token, 0: padding), NULL when all are. */
struct srq_samples {
    int64_t count, seqlen;
    int32_t *ids;
    uint8_t *mask;
    char hash[33]; /* of ids and mask: fingerprint */
};

enum srq_sampling {
    SRQ_SAMPLING_WINDOWS,  /* consecutive windows of seqlen ids of the joined files, without special tokens */
    SRQ_SAMPLING_SHUFFLED, /* records (a row, a whole .txt) shuffled, encoded with special tokens, truncated to seqlen;
                            * shorter ones dropped, and those of which the last token fills more than half (spec
                            * signround 5) */
};

struct srq_sample_request {
    /* .jsonl: rows with "text", or "messages" that the model's chat template makes a text of, to which no special
     * tokens are added; others: plain text; a folder: its .txt and .jsonl, sorted. A byte order mark before a text is
     * no part of it */
    const char *const *files;
    int file_count;
    enum srq_sampling sampling;
    int64_t nsamples; /* at most; 0: all windows */
    int64_t seqlen;
    uint64_t seed;
    int64_t vocab;         /* ids at or above are refused by name */
    const char *model_dir; /* of the chat template (core/text/chat.h) */
};

/* Error when not even one sample results, with the number of ids there were. Text that is not UTF-8 is refused with
 * file and byte, a bad row with file and line. On success the caller frees with srq_samples_fini. */
int srq_samples_read(const struct srq_tokenizer *tk, const struct srq_sample_request *req, struct srq_samples *out,
                     struct srq_error *err);
void srq_samples_fini(struct srq_samples *s);
/* Before any work, and without reading whole texts: that the files are regular ones with something in them (a folder
 * one with texts), no git-lfs pointers and no .json, which nobody means as plain text; where the first row of a .jsonl
 * is one of messages, that the model has a chat template, that all of it is supported, and that it takes this row.
 * Other faults of the files are left to the reading. */
int srq_samples_check(const char *const *files, int file_count, const char *model_dir, struct srq_error *err);
/* Memory that reading these files takes at most, for the plan: the largest of them with its words and ids, where
 * sampling is shuffled beside the records of all. By the sizes of the files, as is found with English text and common
 * tokenizers. */
int64_t srq_samples_memory(const char *const *files, int file_count, enum srq_sampling sampling);
/* Bytes of the same files, before any is read; those that cannot be looked at count as none. */
int64_t srq_samples_bytes(const char *const *files, int file_count);

#endif
