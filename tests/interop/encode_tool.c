/* Encodes texts with tokenizers, for tests in other languages to compare.
 *
 * usage: encode_tool FOLDER
 * Each line of standard input is {"tokenizer": the contents of a tokenizer.json, "texts": [text, …]}, in place of
 * "tokenizer" or beside it "files": {name: contents, …} (a string is text, anything else JSON), and "specials": true
 * for what the post-processor adds; each line of output {"ids": [[…], …], "doubt": "…" or null}, or {"error": "why the
 * tokenizer or a text was refused"}. FOLDER, an empty one, holds the files of one request at a time. */
#include "core/base/alloc.h"
#include "core/text/tokenizer.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *encode(const struct srq_tokenizer *tk, const json_t *text, bool specials, struct srq_error *err)
{
    json_t *list;
    int32_t *ids;
    int64_t count;

    if (srq_tokenizer_encode(tk, json_string_value(text), json_string_length(text), specials, &ids, &count, err) != 0)
        return NULL;
    list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    srq_free(ids);
    return list;
}

static bool write_file(const char *folder, const char *name, const json_t *contents)
{
    char path[PATH_MAX];
    FILE *f;
    bool ok;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (!json_is_string(contents))
        return json_dump_file(contents, path, JSON_COMPACT) == 0;
    f = fopen(path, "w");
    ok = f != NULL && fputs(json_string_value(contents), f) != EOF;
    return f != NULL && fclose(f) == 0 && ok;
}

/* The files of a request, written, or removed again. */
static bool put_files(const char *folder, const json_t *request, bool there)
{
    const json_t *whole = json_object_get(request, "tokenizer");
    json_t *files = json_object(), *contents;
    const char *name;
    char path[PATH_MAX];
    bool ok = true;

    if (whole != NULL)
        json_object_set(files, "tokenizer.json", (json_t *)whole);
    if (json_object_get(request, "files") != NULL)
        json_object_update(files, json_object_get(request, "files"));
    json_object_foreach(files, name, contents)
    {
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        ok = ok && (there ? write_file(folder, name, contents) : remove(path) == 0);
    }
    json_decref(files);
    return ok;
}

static json_t *answer(const char *folder, const json_t *request)
{
    json_t *all = json_array(), *out = json_object();
    const json_t *texts = json_object_get(request, "texts");
    struct srq_tokenizer *tk = NULL;
    struct srq_error err = { 0 };
    bool specials = json_is_true(json_object_get(request, "specials"));
    bool ok = put_files(folder, request, true) && srq_tokenizer_open(folder, &tk, &err) == 0;

    for (size_t i = 0; ok && i < json_array_size(texts); i++) {
        json_t *ids = encode(tk, json_array_get(texts, i), specials, &err);

        ok = ids != NULL;
        if (ok)
            json_array_append_new(all, ids);
    }
    json_object_set(out, ok ? "ids" : "error", ok ? all : json_string(err.text));
    if (ok)
        json_object_set_new(out, "doubt",
                            srq_tokenizer_doubt(tk) != NULL ? json_string(srq_tokenizer_doubt(tk)) : json_null());
    json_decref(all);
    srq_tokenizer_free(tk);
    put_files(folder, request, false);
    return out;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t cap = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    while (getline(&line, &cap, stdin) > 0) {
        json_t *request = json_loads(line, JSON_ALLOW_NUL, NULL), *out = answer(argv[1], request);

        if (json_dumpf(out, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            return 1;
        json_decref(out);
        json_decref(request);
    }
    free(line);
    return fflush(stdout) == 0 ? 0 : 1;
}
