/* Logging: level prefixes on standard error, control characters escaped, or a sink of the program's own. */
#ifndef SRQ_BASE_LOG_H
#define SRQ_BASE_LOG_H

#include <srq/plugin.h>

/* Receives one finished line without newline. */
typedef void (*srq_log_sink)(enum srq_log_level level, const char *line, void *ctx);

void srq_log_level_set(enum srq_log_level most);     /* default SRQ_LOG_INFO */
void srq_log_sink_set(srq_log_sink sink, void *ctx); /* NULL: standard error */
void srq_log(enum srq_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
extern const char *const srq_log_level_words[]; /* "error", "warning", "info", "debug", NULL */
const char *srq_log_level_name(enum srq_log_level level);

/* Copies `text` into `out` (at most `cap` bytes with the NUL) with control characters, and bytes
 * that are no UTF-8, as \xNN. Returns out. */
char *srq_escape_control(const char *text, char *out, size_t cap);

#endif
