/* What a tokenizer is made of: filled by tokenizer_read.c, used by tokenizer_encode.c. */
#ifndef SRQ_TEXT_TOKENIZER_PARTS_H
#define SRQ_TEXT_TOKENIZER_PARTS_H

#include "core/text/added.h"
#include "core/text/bpe.h"
#include "core/text/normalize.h"
#include "core/text/pretokenize.h"
#include "core/text/tokenizer.h"

#include <pthread.h>

struct srq_encoder; /* memory of one thread's encoding */

struct srq_tokenizer {
    struct srq_bpe bpe;
    struct srq_vocab added;            /* added tokens that the model does not have: words never give them */
    int32_t last_added;                /* highest id of an added token, -1: none */
    struct srq_added raw;              /* found before normalization */
    struct srq_added normalized;       /* found after it, their text normalized too */
    struct srq_normalizer *normalizer; /* NULL: none */
    struct srq_pretokenizer *pretokenizer;
    struct srq_ids prefix, suffix; /* what the post-processor puts around the text */
    char **shown;                  /* by id: text for people */
    int32_t size;                  /* highest id of both vocabularies + 1 */
    pthread_mutex_t *lock;         /* of the list of idle encoders */
    struct srq_encoder **idle;
};

/* Fills an all-zero tokenizer from the files of a model folder. On an error what is there is freed by the caller. */
int srq_tokenizer_read(struct srq_tokenizer *tk, const char *dir, struct srq_error *err);

#endif
