/* A model's chat template: found in its folder, and run over rows of messages. */
#ifndef SRQ_TEXT_CHAT_H
#define SRQ_TEXT_CHAT_H

#include "core/base/buf.h"

#include <srq/error.h>

#include <jansson.h>

struct srq_chat;

/* `dir`: a model folder. The template is chat_template.jinja, else "chat_template" of tokenizer_config.json (a text, or
 * the one named "default" of a list), else that of chat_template.json; its special tokens are the members of
 * tokenizer_config.json whose names end in "_token". -SRQ_ENOENT where there is none; one that uses what
 * core/text/template.h does not have is refused by name and line. */
int srq_chat_open(const char *dir, struct srq_chat **out, struct srq_error *err);
void srq_chat_free(struct srq_chat *c);

/* Replaces the contents of `out` with the text of `row`: {"messages": [{…}, …]}, and "tools" where there are any.
 * `where` names the row in errors. As transformers has it, members of a message that are null are left out, and
 * reasoning_content is also what was called thinking or reasoning. */
int srq_chat_render(const struct srq_chat *c, const char *where, const json_t *row, struct srq_buf *out,
                    struct srq_error *err);

#endif
