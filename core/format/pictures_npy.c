/* The header of a .npy file: magic, version, length, and a Python dictionary of three entries, which is read as such
 * and not evaluated. */
#include "core/format/pictures_array.h"

#include <inttypes.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_LEN 6
#define WORD_MAX 24

/* The text that is left of a header. */
struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n'))
        c->at++;
}

static bool take(struct cursor *c, char what)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != what)
        return false;
    c->at++;
    return true;
}

/* A quoted text without escapes. */
static bool take_text(struct cursor *c, char out[WORD_MAX])
{
    size_t n = 0;
    char quote;

    skip_blanks(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    quote = *c->at++;
    while (c->at < c->end && *c->at != quote && *c->at >= ' ' && *c->at <= '~' && n + 1 < WORD_MAX)
        out[n++] = *c->at++;
    out[n] = '\0';
    return take(c, quote);
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    skip_blanks(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool take_number(struct cursor *c, int64_t *out)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at < '0' || *c->at > '9')
        return false;
    for (*out = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *c->at - '0', out))
            return false;
    return true;
}

/* "(5, 28, 28)"; `*rank` counts up to 5, of which four are kept. */
static bool take_shape(struct cursor *c, int64_t dims[4], int *rank)
{
    *rank = 0;
    if (!take(c, '('))
        return false;
    while (!take(c, ')')) {
        int64_t dim;

        if (!take_number(c, &dim))
            return false;
        if (*rank < 4)
            dims[*rank] = dim;
        *rank += *rank < 5;
        if (!take(c, ','))
            return take(c, ')');
    }
    return true;
}

struct head {
    char descr[WORD_MAX];
    bool fortran;
    int64_t *dims;
    int rank;
    unsigned seen; /* bit a key */
};

static bool take_entry(struct cursor *c, struct head *h)
{
    char key[WORD_MAX];
    unsigned bit = 0;
    bool ok = take_text(c, key) && take(c, ':');

    if (ok && strcmp(key, "descr") == 0) {
        bit = 1;
        ok = take_text(c, h->descr);
    } else if (ok && strcmp(key, "fortran_order") == 0) {
        bit = 2;
        h->fortran = take_word(c, "True");
        ok = h->fortran || take_word(c, "False");
    } else if (ok && strcmp(key, "shape") == 0) {
        bit = 4;
        ok = take_shape(c, h->dims, &h->rank);
    }
    ok = ok && bit != 0 && (h->seen & bit) == 0;
    h->seen |= bit;
    return ok;
}

static bool take_head(struct cursor *c, struct head *h)
{
    if (!take(c, '{'))
        return false;
    while (!take(c, '}')) {
        if (!take_entry(c, h))
            return false;
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return false;
            break;
        }
    }
    skip_blanks(c);
    return c->at == c->end && h->seen == 7;
}

/* Where the dictionary begins and how long it is. */
static int find_head(const uint8_t *data, size_t len, const char *file, size_t *at, size_t *head_len,
                     struct srq_error *err)
{
    if (len < MAGIC_LEN + 6)
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: %zu bytes are too short for a NumPy file", file, len);
    if (data[6] < 1 || data[6] > 3)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, file, "%s: NumPy format %d is not known", file, data[6]);
    *at = data[6] == 1 ? 10 : 12;
    *head_len = (size_t)data[8] | (size_t)data[9] << 8;
    if (data[6] > 1)
        *head_len |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (*head_len > SRQ_ARRAY_HEAD_MAX - *at || *head_len > len - *at)
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: a NumPy header of %zu bytes does not fit", file, *head_len);
    return 0;
}

int srq_npy_head_read(const uint8_t *data, size_t len, const char *file, struct srq_picture_array *out, int64_t dims[4],
                      int *rank, struct srq_error *err)
{
    struct head h = { .dims = dims };
    size_t at = 0, head_len = 0;
    struct cursor c;
    int rc = find_head(data, len, file, &at, &head_len, err);

    if (rc != 0)
        return rc;
    c = (struct cursor){ (const char *)data + at, (const char *)data + at + head_len };
    if (!take_head(&c, &h))
        return srq_fail_field(err, -SRQ_EFORMAT, file,
                              "%s: the NumPy header is not one of a plain array (descr, fortran_order, shape)", file);
    if (h.fortran)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, file, "%s: arrays in Fortran order are not read", file);
    out->f32 = strcmp(h.descr, "<f4") == 0;
    if (!out->f32 && strcmp(h.descr, "|u1") != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, file, "%s: elements are %s, not |u1 (bytes) or <f4", file,
                              h.descr);
    out->at = at + head_len;
    *rank = h.rank;
    return 0;
}
