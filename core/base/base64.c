/* Bytes as text. */
#include "core/base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void srq_base64_put(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3, out += 4) {
        uint32_t v = (uint32_t)bytes[i] << 16;

        v |= i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0;
        v |= i + 2 < n ? bytes[i + 2] : 0;
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = i + 1 < n ? alphabet[v >> 6 & 63] : '=';
        out[3] = i + 2 < n ? alphabet[v & 63] : '=';
    }
    *out = '\0';
}

static int value_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

    return at != NULL ? (int)(at - alphabet) : -1;
}

bool srq_base64_get(const char *text, uint8_t *out, size_t n)
{
    if (strlen(text) != SRQ_BASE64_LEN(n))
        return false;
    for (size_t i = 0; i < n; i += 3, text += 4) {
        size_t bytes = n - i < 3 ? n - i : 3;
        uint32_t v = 0;

        for (size_t k = 0; k < 4; k++) {
            int digit = k <= bytes ? value_of(text[k]) : text[k] == '=' ? 0 : -1;

            if (digit < 0)
                return false;
            v = v << 6 | (uint32_t)digit;
        }
        if ((v & ((1u << (8 * (3 - bytes))) - 1)) != 0)
            return false;
        for (size_t k = 0; k < bytes; k++)
            out[i + k] = (uint8_t)(v >> (16 - 8 * k));
    }
    return true;
}
