/* What a tokenizer is made of: filled by tokenizer_read.c, used by tokenizer_encode.c. */
#ifndef SRQ_TEXT_TOKENIZER_PARTS_H
#define SRQ_TEXT_TOKENIZER_PARTS_H

#include "core/text/added.h"
#include "core/text/bpe.h"
#include "core/text/normalize.h"
#include "core/text/pretokenize.h"
#include "core/text/tokenizer.h"

#include <jansson.h>
#include <pthread.h>

struct srq_encoder; /* memory of one thread's encoding */

struct srq_added_flags {
    bool single_word, lstrip, rstrip;
    bool normalized; /* searched for in normalized text, by its own normalized text */
    bool special;    /* has no part in ids */
};

struct srq_added_entry {
    char *text;
    int32_t id;
    struct srq_added_flags flags;
};

struct srq_added_list {
    struct srq_added_entry *entries;
    int32_t count, cap;
    int32_t *of_id, id_cap; /* entry of an id, -1: not an added token */
};

struct srq_tokenizer {
    struct srq_bpe bpe;
    struct srq_vocab added;            /* added tokens that the model does not have: words never give them */
    struct srq_added_list list;        /* all added tokens */
    int32_t last_added;                /* highest id of an added token, -1: none */
    struct srq_added raw;              /* found before normalization */
    struct srq_added normalized;       /* found after it, their text normalized too */
    struct srq_normalizer *normalizer; /* NULL: none */
    struct srq_pretokenizer *pretokenizer;
    struct srq_ids prefix, suffix; /* what the post-processor puts around the text */
    char *doubt;                   /* or NULL */
    int32_t size;                  /* highest id of both vocabularies + 1 */
    pthread_mutex_t *lock;         /* of the list of idle encoders */
    struct srq_encoder **idle;
};

/* Fills an all-zero tokenizer from the files of a model folder. On an error what is there is freed by the caller. */
int srq_tokenizer_read(struct srq_tokenizer *tk, const char *dir, struct srq_error *err);

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

/* Adds a token, or gives one that is there these flags. Its id is the model's, where it has the word; otherwise the
 * next one behind both vocabularies. `what` names the file. */
int srq_tokenizer_add(struct srq_tokenizer *tk, const char *text, const struct srq_added_flags *flags, const char *what,
                      struct srq_error *err);
int32_t srq_tokenizer_id_of(const struct srq_tokenizer *tk, const char *text); /* -1: no token of this text */
bool srq_tokenizer_is_added(const struct srq_tokenizer *tk, const char *text);
int32_t srq_tokenizer_next_id(const struct srq_tokenizer *tk); /* which a new added token gets */
/* Once all are there: what texts are searched for. */
int srq_tokenizer_search_added(struct srq_tokenizer *tk, const char *what, struct srq_error *err);
void srq_added_list_fini(struct srq_added_list *l);

/* ---- tokenizer_config.json and its like -------------------------------------------------------------------------- */

struct srq_tokenizer_class;

struct srq_tokenizer_config {
    char *path;      /* tokenizer_config.json */
    char *more_path; /* added_tokens.json */
    json_t *root;    /* an object, empty where there is no file; with what special_tokens_map.json adds */
    json_t *more;    /* contents of added_tokens.json where they count; or NULL */
    const struct srq_tokenizer_class *class; /* NULL: none that srq knows */
    char *class_name;                        /* NULL: none said, and none known of the model's type */
};

int srq_tokenizer_config_read(struct srq_tokenizer_config *c, const char *dir, struct srq_error *err);
void srq_tokenizer_config_fini(struct srq_tokenizer_config *c);
/* Added tokens that it names and that are not there yet; flags of those that are. */
int srq_tokenizer_config_tokens(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, struct srq_error *err);
/* Text of a special token such as "bos_token"; NULL: none. */
const char *srq_tokenizer_config_token(const struct srq_tokenizer_config *c, const char *key);

/* ---- classes of transformers ------------------------------------------------------------------------------------- */

/* The class by the configuration, else by that of the model ("config.json"; NULL: there is none). */
int srq_tokenizer_class_find(struct srq_tokenizer_config *c, const json_t *model, struct srq_error *err);
/* What a class does with vocab.json and merges.txt; refuses what is none of srq's. */
int srq_tokenizer_class_build(struct srq_tokenizer *tk, struct srq_tokenizer_config *c, struct srq_error *err);
/* Keeps a doubt where transformers builds the class's own steps, other ones than tokenizer.json (`root`) has. */
int srq_tokenizer_class_doubt(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, const json_t *root,
                              struct srq_error *err);

#endif
