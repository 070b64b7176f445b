/* Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF. */
#ifndef SRQ_BASE_UTF8_H
#define SRQ_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Offset of the first byte that does not begin or continue a well-formed character; `len` when all is well. */
size_t srq_utf8_check(const char *text, size_t len);

/* Decodes the character at `p` of well-formed text with at least one byte left; returns its length, 1 … 4. */
static inline int srq_utf8_next(const char *text, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)text;

    if (p[0] < 0x80) {
        *code = p[0];
        return 1;
    }
    if (p[0] < 0xe0) {
        *code = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3fu);
        return 2;
    }
    if (p[0] < 0xf0) {
        *code = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3fu);
        return 3;
    }
    *code =
        (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3fu);
    return 4;
}

/* Writes `code` (a scalar value) as 1 … 4 bytes; returns how many. */
int srq_utf8_put(uint32_t code, char out[4]);

#endif
