/* Logging with level prefixes; control characters are escaped so that a hostile name cannot drive a terminal. */
#include "core/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum srq_log_level log_most = SRQ_LOG_INFO;
static srq_log_sink log_sink;
static void *log_sink_ctx;

void srq_log_level_set(enum srq_log_level most)
{
    log_most = most;
}

void srq_log_sink_set(srq_log_sink sink, void *ctx)
{
    log_sink = sink;
    log_sink_ctx = ctx;
}

const char *const srq_log_level_words[] = { "error", "warning", "info", "debug", NULL };

const char *srq_log_level_name(enum srq_log_level level)
{
    return (unsigned)level <= SRQ_LOG_DEBUG ? srq_log_level_words[level] : "unknown";
}

char *srq_escape_control(const char *text, char *out, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    if (cap == 0)
        return out;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool control = *p < 0x20 || *p == 0x7f;

        if (n + (control ? 4 : 1) >= cap)
            break;
        if (control) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[*p >> 4];
            out[n++] = hex[*p & 15];
        } else {
            out[n++] = (char)*p;
        }
    }
    out[n] = '\0';
    return out;
}

void srq_log(enum srq_log_level level, const char *fmt, ...)
{
    char raw[2048], line[4096];
    va_list ap;

    if (level > log_most)
        return;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof(raw), fmt, ap);
    va_end(ap);
    srq_escape_control(raw, line, sizeof(line));
    if (log_sink != NULL)
        log_sink(level, line, log_sink_ctx);
    else
        fprintf(stderr, "%s: %s\n", srq_log_level_name(level), line);
}
