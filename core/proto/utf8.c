/* Well-formed UTF-8. */
#include "core/proto/utf8.h"

#include <stddef.h>
#include <string.h>

int srq_utf8_length(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    unsigned char lo = 0x80, hi = 0xbf;
    int n;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (left < (size_t)n)
        return 0;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (int i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

void srq_utf8_mend(char *text)
{
    unsigned char *p = (unsigned char *)text, *end = p + strlen(text);

    while (p < end) {
        int n = srq_utf8_length(p, end);

        if (n == 0)
            *p = '?';
        p += n > 0 ? n : 1;
    }
}
