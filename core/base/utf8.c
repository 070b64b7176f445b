/* Strict UTF-8. */
#include "core/base/utf8.h"

#include <stdbool.h>
#include <string.h>

static bool tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the character at p with `left` bytes to go, 0 when it is malformed. The second byte's range excludes
 * overlong forms (E0, F0), surrogates (ED) and what lies beyond U+10FFFF (F4). */
static size_t length(const unsigned char *p, size_t left)
{
    unsigned char lo = 0x80, hi = 0xbf;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

    if (n <= 1 || n > left)
        return n > left ? 0 : n;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (p[1] < lo || p[1] > hi || (n > 2 && !tail(p[2])) || (n > 3 && !tail(p[3])))
        return 0;
    return n;
}

size_t srq_utf8_check(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;

    while (at < len) {
        uint64_t word;
        size_t n;

        if (len - at >= sizeof(word)) { /* eight ASCII bytes at once */
            memcpy(&word, p + at, sizeof(word));
            if ((word & 0x8080808080808080u) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        n = length(p + at, len - at);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

int srq_utf8_put(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
