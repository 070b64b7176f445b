/* Encodes texts with tokenizers, for tests in other languages to compare.
 *
 * usage: encode_tool FOLDER
 * Each line of standard input is {"tokenizer": the contents of a tokenizer.json, "texts": [text, …]}; each line of
 * output
 * {"ids": [[…], …]}, or {"error": "why the tokenizer or a text was refused"}. FOLDER, an empty one, holds the files. */
#include "core/base/alloc.h"
#include "core/text/tokenizer.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *encode(const struct srq_tokenizer *tk, const json_t *text, struct srq_error *err)
{
    json_t *list;
    int32_t *ids;
    int64_t count;

    if (srq_tokenizer_encode(tk, json_string_value(text), json_string_length(text), false, &ids, &count, err) != 0)
        return NULL;
    list = json_array();
    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ids[i]));
    srq_free(ids);
    return list;
}

static json_t *answer(const char *folder, const json_t *request)
{
    json_t *all = json_array(), *out = json_object();
    const json_t *texts = json_object_get(request, "texts");
    struct srq_tokenizer *tk = NULL;
    struct srq_error err = { 0 };
    char path[PATH_MAX];
    bool ok;

    snprintf(path, sizeof(path), "%s/tokenizer.json", folder);
    ok = json_dump_file(json_object_get(request, "tokenizer"), path, JSON_COMPACT) == 0 &&
         srq_tokenizer_open(folder, &tk, &err) == 0;
    for (size_t i = 0; ok && i < json_array_size(texts); i++) {
        json_t *ids = encode(tk, json_array_get(texts, i), &err);

        ok = ids != NULL;
        if (ok)
            json_array_append_new(all, ids);
    }
    json_object_set(out, ok ? "ids" : "error", ok ? all : json_string(err.text));
    json_decref(all);
    srq_tokenizer_free(tk);
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
