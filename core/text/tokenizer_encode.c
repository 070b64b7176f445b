/* Text to ids: added tokens, normalizer, pre-tokenizer, byte-pair encoding, post-processor, in this order (spec formats
 * 3). Words repeat, so each thread's encoder remembers the ids of the short ones. */
#include "core/text/tokenizer_parts.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/base/utf8.h"

#include <stdio.h>

#define CACHE_SLOTS (1u << 16)
#define CACHE_TEXT_MAX ((size_t)2 << 20)
#define CACHE_WORD_MAX 48
#define CACHE_IDS_MAX 16
#define TEXT_MAX ((size_t)1 << 30)

struct cached {
    uint32_t text, ids; /* offsets; len 0: free */
    uint8_t len, count;
};

struct srq_encoder {
    struct srq_encoder *next;
    struct srq_matcher *matcher;
    struct srq_bpe_scratch scratch;
    struct srq_buf normalized, spare, pieces, mapped;
    struct cached *slots;
    size_t used;
    struct srq_buf text; /* of cached words */
    struct srq_ids cached_ids;
    struct srq_ids out; /* of the text being encoded */
    const struct srq_tokenizer *tk;
};

/* ---- encoders ---------------------------------------------------------------------------------------------------- */

static void encoder_free(struct srq_encoder *e)
{
    if (e == NULL)
        return;
    srq_matcher_free(e->matcher);
    srq_bpe_scratch_fini(&e->scratch);
    srq_buf_fini(&e->normalized);
    srq_buf_fini(&e->spare);
    srq_buf_fini(&e->pieces);
    srq_buf_fini(&e->mapped);
    srq_buf_fini(&e->text);
    srq_free(e->slots);
    srq_free(e->cached_ids.data);
    srq_free(e->out.data);
    srq_free(e);
}

static struct srq_encoder *encoder_create(const struct srq_tokenizer *tk)
{
    struct srq_encoder *e = srq_calloc(1, sizeof(*e));

    if (e == NULL)
        return NULL;
    e->tk = tk;
    srq_buf_init(&e->normalized, SIZE_MAX / 2);
    srq_buf_init(&e->spare, SIZE_MAX / 2);
    srq_buf_init(&e->pieces, SIZE_MAX / 2);
    srq_buf_init(&e->mapped, SIZE_MAX / 2);
    srq_buf_init(&e->text, CACHE_TEXT_MAX);
    e->matcher = srq_matcher_create();
    e->slots = srq_calloc(CACHE_SLOTS, sizeof(*e->slots));
    if (e->matcher == NULL || e->slots == NULL) {
        encoder_free(e);
        return NULL;
    }
    return e;
}

/* An idle encoder or a new one: concurrent calls do not share any. */
static struct srq_encoder *encoder_take(const struct srq_tokenizer *tk)
{
    struct srq_encoder *e;

    pthread_mutex_lock(tk->lock);
    e = *tk->idle;
    if (e != NULL)
        *tk->idle = e->next;
    pthread_mutex_unlock(tk->lock);
    return e != NULL ? e : encoder_create(tk);
}

static void encoder_give_back(const struct srq_tokenizer *tk, struct srq_encoder *e)
{
    pthread_mutex_lock(tk->lock);
    e->next = *tk->idle;
    *tk->idle = e;
    pthread_mutex_unlock(tk->lock);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static int out_of_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory encoding text");
}

static int encode_word(struct srq_encoder *e, const char *word, size_t len, struct srq_error *err)
{
    int rc;

    if (srq_pretokenizer_byte_level(e->tk->pretokenizer)) {
        srq_byte_map(word, len, &e->mapped);
        if (e->mapped.failed)
            return out_of_memory(err);
        word = e->mapped.data;
        len = e->mapped.len;
    }
    rc = srq_bpe_encode(&e->tk->bpe, word, len, &e->scratch, &e->out);
    return rc == 0 ? 0 : out_of_memory(err);
}

static struct cached *cache_slot(const struct srq_encoder *e, const char *word, size_t len)
{
    size_t i = srq_hash64(word, len) & (CACHE_SLOTS - 1);

    while (e->slots[i].len != 0) {
        const struct cached *c = &e->slots[i];

        if (c->len == len && memcmp(e->text.data + c->text, word, len) == 0)
            break;
        i = (i + 1) & (CACHE_SLOTS - 1);
    }
    return &e->slots[i];
}

/* Remembers the ids of a word. A full cache starts anew, which follows the text better than keeping its beginning. */
static void remember(struct srq_encoder *e, struct cached *slot, const char *word, size_t len, int64_t first)
{
    int64_t count = e->out.count - first;
    size_t text = e->text.len;

    if (count > CACHE_IDS_MAX)
        return;
    if (e->used >= CACHE_SLOTS / 2 || text + len > CACHE_TEXT_MAX) {
        memset(e->slots, 0, CACHE_SLOTS * sizeof(*e->slots));
        e->used = 0;
        e->cached_ids.count = 0;
        srq_buf_clear(&e->text);
        return;
    }
    if (!srq_ids_append(&e->cached_ids, e->out.data + first, count))
        return;
    if (!srq_buf_add(&e->text, word, len)) {
        e->text.failed = false; /* encoding needs no cache */
        return;
    }
    *slot = (struct cached){ .text = (uint32_t)text,
                             .ids = (uint32_t)(e->cached_ids.count - count),
                             .len = (uint8_t)len,
                             .count = (uint8_t)count };
    e->used++;
}

static int take_word(void *ctx, const char *word, size_t len, struct srq_error *err)
{
    struct srq_encoder *e = ctx;
    struct cached *slot;
    int64_t first = e->out.count;
    int rc;

    if (len > CACHE_WORD_MAX)
        return encode_word(e, word, len, err);
    slot = cache_slot(e, word, len);
    if (slot->len != 0)
        return srq_ids_append(&e->out, e->cached_ids.data + slot->ids, slot->count) ? 0 : out_of_memory(err);
    rc = encode_word(e, word, len, err);
    if (rc == 0)
        remember(e, slot, word, len, first);
    return rc;
}

/* ---- pieces between added tokens --------------------------------------------------------------------------------- */

/* `begins`: how many bytes of the text stem from the first character of the document. */
typedef int (*piece_fn)(struct srq_encoder *e, const char *text, size_t len, size_t begins, struct srq_error *err);

/* Emits the added tokens found in `text` and gives what lies between to `fn`. */
static int around_added(struct srq_encoder *e, const struct srq_added *added, const char *text, size_t len,
                        size_t begins, piece_fn fn, struct srq_error *err)
{
    struct srq_added_hit hit;
    size_t taken = 0, from = 0;
    int rc = 0;

    while (rc == 0 && srq_added_find(added, text, len, from, taken, &hit)) {
        from = hit.next;
        if (hit.end <= hit.begin)
            continue;
        if (hit.begin > taken)
            rc = fn(e, text + taken, hit.begin - taken, begins > taken ? begins - taken : 0, err);
        if (rc == 0 && !srq_ids_add(&e->out, hit.id))
            rc = out_of_memory(err);
        taken = hit.end;
    }
    if (rc == 0 && taken < len)
        rc = fn(e, text + taken, len - taken, begins > taken ? begins - taken : 0, err);
    return rc;
}

static int encode_piece(struct srq_encoder *e, const char *text, size_t len, size_t begins, struct srq_error *err)
{
    const struct srq_word_taker words = { take_word, e, e->matcher, &e->pieces };

    return srq_pretokenizer_run(e->tk->pretokenizer, &words, text, len, begins, err);
}

static int normalize_piece(struct srq_encoder *e, const char *text, size_t len, size_t begins, struct srq_error *err)
{
    size_t of_first = begins;
    int rc;

    if (e->tk->normalizer != NULL) {
        rc = srq_normalizer_run(e->tk->normalizer, e->matcher, text, len, &e->normalized, &e->spare,
                                begins > 0 ? &of_first : NULL, err);
        if (rc != 0)
            return rc;
        text = e->normalized.data;
        len = e->normalized.len;
    }
    return around_added(e, &e->tk->normalized, text, len, of_first, encode_piece, err);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static int encode(struct srq_encoder *e, const char *text, size_t len, bool specials, int32_t **ids, int64_t *count,
                  struct srq_error *err)
{
    const struct srq_tokenizer *tk = e->tk;
    uint32_t code;
    int rc = 0;

    e->out.count = 0;
    if (specials && !srq_ids_append(&e->out, tk->prefix.data, tk->prefix.count))
        rc = out_of_memory(err);
    if (rc == 0)
        rc = around_added(e, &tk->raw, text, len, len > 0 ? (size_t)srq_utf8_next(text, &code) : 0, normalize_piece,
                          err);
    if (rc == 0 && specials && !srq_ids_append(&e->out, tk->suffix.data, tk->suffix.count))
        rc = out_of_memory(err);
    if (rc != 0)
        return rc;
    *ids = srq_reallocarray(NULL, (size_t)e->out.count, sizeof(**ids));
    if (*ids == NULL)
        return out_of_memory(err);
    if (e->out.count > 0)
        memcpy(*ids, e->out.data, (size_t)e->out.count * sizeof(**ids));
    *count = e->out.count;
    return 0;
}

int srq_tokenizer_encode(const struct srq_tokenizer *tk, const char *text, size_t len, bool specials, int32_t **ids,
                         int64_t *count, struct srq_error *err)
{
    struct srq_encoder *e;
    size_t good;
    int rc;

    *ids = NULL;
    *count = 0;
    if (len > TEXT_MAX)
        return srq_fail(err, -SRQ_ELIMIT, "a text of %zu bytes, more than %zu at once", len, TEXT_MAX);
    good = srq_utf8_check(text, len);
    if (good != len)
        return srq_fail(err, -SRQ_EFORMAT, "the text is not UTF-8 at byte %zu", good);
    e = encoder_take(tk);
    if (e == NULL)
        return out_of_memory(err);
    rc = encode(e, text, len, specials, ids, count, err);
    if (rc == 0)
        encoder_give_back(tk, e);
    else
        encoder_free(e); /* a buffer of it may have failed for good */
    return rc;
}

int srq_tokenizer_open(const char *dir, struct srq_tokenizer **out, struct srq_error *err)
{
    struct srq_tokenizer *tk = srq_calloc(1, sizeof(*tk));
    int rc;

    *out = NULL;
    if (tk == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, dir, "out of memory reading the tokenizer of %s", dir);
    srq_vocab_init(&tk->bpe.vocab);
    srq_vocab_init(&tk->added);
    srq_added_init(&tk->raw);
    srq_added_init(&tk->normalized);
    tk->lock = srq_malloc(sizeof(*tk->lock));
    tk->idle = srq_calloc(1, sizeof(struct srq_encoder *));
    if (tk->lock != NULL)
        pthread_mutex_init(tk->lock, NULL);
    if (tk->lock == NULL || tk->idle == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, dir, "out of memory reading the tokenizer of %s", dir);
    else
        rc = srq_tokenizer_read(tk, dir, err);
    if (rc != 0) {
        srq_tokenizer_free(tk);
        return rc;
    }
    *out = tk;
    return 0;
}

void srq_tokenizer_free(struct srq_tokenizer *tk)
{
    if (tk == NULL)
        return;
    while (tk->idle != NULL && *tk->idle != NULL) {
        struct srq_encoder *e = *tk->idle;

        *tk->idle = e->next;
        encoder_free(e);
    }
    srq_free(tk->idle);
    if (tk->lock != NULL)
        pthread_mutex_destroy(tk->lock);
    srq_free(tk->lock);
    srq_added_list_fini(&tk->list);
    srq_free(tk->doubt);
    srq_added_fini(&tk->raw);
    srq_added_fini(&tk->normalized);
    srq_normalizer_free(tk->normalizer);
    srq_pretokenizer_free(tk->pretokenizer);
    srq_vocab_fini(&tk->bpe.vocab);
    srq_vocab_fini(&tk->added);
    srq_free(tk->bpe.suffix);
    srq_free(tk->prefix.data);
    srq_free(tk->suffix.data);
    srq_free(tk);
}

const struct srq_bpe *srq_tokenizer_model(const struct srq_tokenizer *tk)
{
    return &tk->bpe;
}

int64_t srq_tokenizer_size(const struct srq_tokenizer *tk)
{
    return tk->size;
}

const char *srq_tokenizer_doubt(const struct srq_tokenizer *tk)
{
    return tk->doubt;
}

const char *srq_tokenizer_token(const struct srq_tokenizer *tk, int32_t id)
{
    const struct srq_vocab *v = &tk->bpe.vocab;

    if (id < 0 || id >= tk->size)
        return NULL;
    if (id >= v->size || v->tokens[id].text == NULL)
        v = &tk->added;
    return id < v->size ? v->tokens[id].text : NULL;
}
