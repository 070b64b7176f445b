/* Logging with level prefixes; control characters are escaped so that a hostile name cannot drive a terminal. */
#include "core/base/log.h"

#include "core/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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

/* Bytes of the character at p, of which at most `most` are looked at; 0 for a control character, also one of Latin-1,
 * and for a byte that is in none. */
static size_t char_length(const char *p, size_t most)
{
    uint32_t code;

    for (size_t n = 1; n <= most; n++) {
        if (srq_utf8_check(p, n) == n) {
            (void)srq_utf8_next(p, &code);
            return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : n;
        }
    }
    return 0;
}

char *srq_escape_control(const char *text, char *out, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    if (cap == 0)
        return out;
    for (const char *p = text, *end = text + strlen(text); p < end;) {
        size_t left = (size_t)(end - p), len = char_length(p, left < 4 ? left : 4);

        if (n + (len == 0 ? 4 : len) >= cap)
            break;
        if (len == 0) {
            unsigned char c = (unsigned char)*p++;

            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            memcpy(out + n, p, len);
            n += len;
            p += len;
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
