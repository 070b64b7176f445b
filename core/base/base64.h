/* Bytes as text of JSON messages: base64 with padding, the alphabet of RFC 4648 section 4, no line breaks. */
#ifndef SRQ_BASE_BASE64_H
#define SRQ_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that n bytes become, the closing NUL not counted. */
#define SRQ_BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Writes SRQ_BASE64_LEN(n) characters and a NUL to `out`. */
void srq_base64_put(const uint8_t *bytes, size_t n, char *out);

/* Reads exactly n bytes into `out`. False, with `out` in any state: the text has another length, characters of another
 * alphabet, or bits set that stand for nothing. */
bool srq_base64_get(const char *text, uint8_t *out, size_t n);

#endif
