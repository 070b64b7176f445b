/* Where a model's chat template and special tokens are written, as they stand there. */
#ifndef SRQ_TEXT_CHAT_SOURCE_H
#define SRQ_TEXT_CHAT_SOURCE_H

#include <srq/error.h>

#include <jansson.h>
#include <stddef.h>

struct srq_chat_source {
    char *text; /* NULL: there is no template */
    size_t len;
    char *what;       /* names its place in errors */
    json_t *specials; /* members of tokenizer_config.json (or special_tokens_map.json, where that
                         counts) whose names end in "_token", as texts */
};

/* `dir`: a model folder; the places of a template are those of chat.h. Given back with srq_chat_source_fini, also after
 * an error. */
int srq_chat_source_find(const char *dir, struct srq_chat_source *out, struct srq_error *err);
void srq_chat_source_fini(struct srq_chat_source *s);

#endif
