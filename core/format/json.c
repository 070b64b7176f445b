/* Strict JSON through Jansson, whose own nesting cap (2048) is too deep for a stack that plugins share. */
#include "core/format/json.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

static pthread_once_t alloc_once = PTHREAD_ONCE_INIT;
static _Thread_local bool alloc_failed;

/* Jansson's lexer does not notice that a byte could not be added to a string and then reads and writes past its end. So
 * where the hook says no, it still gets its memory, and the failure is reported when it has come back. */
static void *alloc(size_t size)
{
    void *p = srq_malloc(size);

    if (p == NULL) {
        alloc_failed = true;
        p = malloc(size > 0 ? size : 1);
    }
    return p;
}

/* Every allocation goes through one hook, Jansson's too. */
static void use_srq_alloc(void)
{
    json_set_alloc_funcs(alloc, srq_free);
}

/* Deepest nesting of brackets outside strings; wrong JSON gives some number that the parser need not agree with. */
static int nesting(const char *data, size_t len)
{
    int depth = 0, deepest = 0;
    bool text = false;

    for (size_t i = 0; i < len; i++) {
        char c = data[i];

        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
            if (deepest > SRQ_JSON_DEPTH_MAX)
                break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return deepest;
}

static int parse(const char *data, size_t len, size_t flags, const char *what, json_t **out, struct srq_error *err)
{
    json_error_t why;
    char text[JSON_ERROR_TEXT_LENGTH * 4];

    *out = NULL;
    pthread_once(&alloc_once, use_srq_alloc);
    if (nesting(data, len) > SRQ_JSON_DEPTH_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: JSON nested deeper than %d", what, SRQ_JSON_DEPTH_MAX);
    alloc_failed = false;
    *out = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, &why);
    if (*out != NULL && !alloc_failed)
        return 0;
    json_decref(*out);
    *out = NULL;
    if (alloc_failed)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory parsing %s", what);
    if (srq_is_lfs_pointer(data, len))
        return srq_fail_field(err, -SRQ_EFORMAT, what, SRQ_LFS_SENTENCE, what);
    return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: bad JSON at line %d, byte %d: %s", what, why.line, why.position,
                          srq_escape_control(why.text, text, sizeof(text)));
}

int srq_json_read_text(const char *data, size_t len, const char *what, json_t **out, struct srq_error *err)
{
    return parse(data, len, 0, what, out, err);
}

static int read_file(const char *path, size_t max, size_t flags, json_t **out, struct srq_error *err)
{
    char *data;
    size_t len;
    int rc;

    *out = NULL;
    rc = srq_read_file(path, max, &data, &len, err);
    if (rc != 0)
        return rc;
    rc = parse(data, len, flags, path, out, err);
    srq_free(data);
    return rc;
}

int srq_json_read(const char *path, size_t max, json_t **out, struct srq_error *err)
{
    return read_file(path, max, 0, out, err);
}

int srq_json_read_reals(const char *path, size_t max, json_t **out, struct srq_error *err)
{
    return read_file(path, max, JSON_DECODE_INT_AS_REAL, out, err);
}

bool srq_json_quote(struct srq_buf *out, const char *text)
{
    srq_buf_puts(out, "\"");
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20)
            srq_buf_printf(out, "\\u%04x", (unsigned char)*p);
        else if (*p == '"' || *p == '\\')
            srq_buf_add(out, (char[]){ '\\', *p }, 2);
        else
            srq_buf_add(out, p, 1);
    }
    return srq_buf_puts(out, "\"");
}
