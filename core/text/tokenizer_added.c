/* Added tokens of all files of a model folder: one list, then what texts are searched for. */
#include "core/text/tokenizer_parts.h"

#include "core/base/alloc.h"
#include "core/format/st_header.h"

#define SHOW 120

static int oom(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

void srq_added_list_fini(struct srq_added_list *l)
{
    for (int32_t i = 0; i < l->count; i++)
        srq_free(l->entries[i].text);
    srq_free(l->entries);
    srq_free(l->of_id);
    *l = (struct srq_added_list){ 0 };
}

static bool room_for_id(struct srq_added_list *l, int32_t id)
{
    int32_t cap = l->id_cap > 0 ? l->id_cap : 256, *of_id;

    if (id < l->id_cap)
        return true;
    while (cap <= id)
        cap *= 2;
    of_id = srq_reallocarray(l->of_id, (size_t)cap, sizeof(*of_id));
    if (of_id == NULL)
        return false;
    memset(of_id + l->id_cap, 0xff, (size_t)(cap - l->id_cap) * sizeof(*of_id));
    l->of_id = of_id;
    l->id_cap = cap;
    return true;
}

static bool room_for_entry(struct srq_added_list *l)
{
    int32_t cap = l->cap > 0 ? l->cap * 2 : 64;
    struct srq_added_entry *entries;

    if (l->count < l->cap)
        return true;
    entries = srq_reallocarray(l->entries, (size_t)cap, sizeof(*entries));
    if (entries == NULL)
        return false;
    l->entries = entries;
    l->cap = cap;
    return true;
}

int32_t srq_tokenizer_id_of(const struct srq_tokenizer *tk, const char *text)
{
    int32_t id = srq_vocab_find(&tk->bpe.vocab, text, strlen(text));

    return id >= 0 ? id : srq_vocab_find(&tk->added, text, strlen(text));
}

bool srq_tokenizer_is_added(const struct srq_tokenizer *tk, const char *text)
{
    int32_t id = srq_tokenizer_id_of(tk, text);

    return id >= 0 && id < tk->list.id_cap && tk->list.of_id[id] >= 0;
}

int32_t srq_tokenizer_next_id(const struct srq_tokenizer *tk)
{
    int32_t entries = (int32_t)tk->bpe.vocab.used;

    return tk->last_added >= entries ? tk->last_added + 1 : entries;
}

/* An id for a text that neither vocabulary has: the next one behind both, as the reference has it. */
static int new_id(struct srq_tokenizer *tk, const char *text, int32_t *id, const char *what, struct srq_error *err)
{
    char shown[SHOW];

    *id = srq_tokenizer_next_id(tk);
    if (*id < tk->bpe.vocab.size && tk->bpe.vocab.tokens[*id].text != NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what,
                              "%s: id %d belongs to two tokens, one of them added token \"%s\"", what, *id,
                              srq_st_show(text, shown, sizeof(shown)));
    return srq_vocab_add(&tk->added, text, strlen(text), *id, what, err);
}

int srq_tokenizer_add(struct srq_tokenizer *tk, const char *text, const struct srq_added_flags *flags, const char *what,
                      struct srq_error *err)
{
    int32_t id = srq_tokenizer_id_of(tk, text);
    struct srq_added_list *l = &tk->list;
    struct srq_added_entry *e;
    int rc = 0;

    if (text[0] == '\0')
        return 0; /* never found */
    if (id < 0)
        rc = new_id(tk, text, &id, what, err);
    if (rc != 0)
        return rc;
    if (!room_for_id(l, id) || !room_for_entry(l))
        return oom(what, err);
    if (l->of_id[id] < 0) {
        e = &l->entries[l->count];
        *e = (struct srq_added_entry){ .text = srq_strdup(text), .id = id };
        if (e->text == NULL)
            return oom(what, err);
        l->of_id[id] = l->count++;
    }
    l->entries[l->of_id[id]].flags = *flags;
    if (id > tk->last_added)
        tk->last_added = id;
    return 0;
}

/* ---- what is searched for ---------------------------------------------------------------------------------------- */

/* By its normalized text. Which of two tokens of one such text the reference finds is left to chance. */
static int put_normalized(struct srq_tokenizer *tk, const struct srq_added_entry *e, const char *text, size_t len,
                          const struct srq_added_token *t, const char *what, struct srq_error *err)
{
    int32_t same = srq_added_id(&tk->normalized, text, len);
    char shown[SHOW], shown_same[SHOW];

    if (len == 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: the normalizer leaves nothing of added token \"%s\"",
                              what, srq_st_show(e->text, shown, sizeof(shown)));
    if (same >= 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what,
                              "%s: added tokens \"%s\" and \"%s\" are the same to the normalizer", what,
                              srq_st_show(tk->list.entries[tk->list.of_id[same]].text, shown_same, sizeof(shown_same)),
                              srq_st_show(e->text, shown, sizeof(shown)));
    return srq_added_put(&tk->normalized, text, len, t, err);
}

static int normalize(struct srq_tokenizer *tk, const struct srq_added_entry *e, const struct srq_added_token *t,
                     const char *what, struct srq_error *err)
{
    struct srq_matcher *m;
    struct srq_buf out, spare;
    int rc;

    if (tk->normalizer == NULL)
        return put_normalized(tk, e, e->text, strlen(e->text), t, what, err);
    m = srq_matcher_create();
    if (m == NULL)
        return oom(what, err);
    srq_buf_init(&out, SIZE_MAX / 2);
    srq_buf_init(&spare, SIZE_MAX / 2);
    rc = srq_normalizer_run(tk->normalizer, m, e->text, strlen(e->text), &out, &spare, NULL, err);
    if (rc == 0)
        rc = put_normalized(tk, e, out.data, out.len, t, what, err);
    srq_buf_fini(&out);
    srq_buf_fini(&spare);
    srq_matcher_free(m);
    return rc;
}

int srq_tokenizer_search_added(struct srq_tokenizer *tk, const char *what, struct srq_error *err)
{
    int rc = 0;

    for (int32_t i = 0; rc == 0 && i < tk->list.count; i++) {
        const struct srq_added_entry *e = &tk->list.entries[i];
        const struct srq_added_flags *f = &e->flags;
        const struct srq_added_token t = {
            .id = e->id, .single_word = f->single_word, .lstrip = f->lstrip, .rstrip = f->rstrip
        };

        rc = f->normalized ? normalize(tk, e, &t, what, err)
                           : srq_added_put(&tk->raw, e->text, strlen(e->text), &t, err);
    }
    return rc;
}

bool srq_tokenizer_added(const struct srq_tokenizer *tk, int32_t i, struct srq_tokenizer_added *out)
{
    if (i < 0 || i >= tk->list.count)
        return false;
    *out = (struct srq_tokenizer_added){ tk->list.entries[i].text, tk->list.entries[i].id,
                                         tk->list.entries[i].flags.special };
    return true;
}
