/* Numbers as people read them. */
#include "core/base/digits.h"

#include <math.h>
#include <stdio.h>

char *srq_digits_text(double v, char *out, size_t cap)
{
    double a = fabs(v);
    int digits = 2;

    if (a != 0 && isfinite(a))
        digits = 2 - (int)floor(log10(a) + 1e-12);
    /* 9.996 has three digits as "10.0": rounding may add one in front. */
    if (digits > 0 && a != 0 && round(a * pow(10, digits)) >= 1000)
        digits--;
    snprintf(out, cap, "%.*f", digits > 0 ? digits : 0, v);
    return out;
}

char *srq_bytes_text(double bytes, char *out, size_t cap)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    char digits[32];
    size_t u = 0;

    if (!isfinite(bytes)) {
        snprintf(out, cap, "-");
        return out;
    }
    /* From 999.5 on, three digits would round to the next unit's 1000. */
    while (fabs(bytes) >= 999.5 && u + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1024;
        u++;
    }
    if (u == 0)
        snprintf(digits, sizeof(digits), "%.0f", bytes);
    else
        srq_digits_text(bytes, digits, sizeof(digits));
    snprintf(out, cap, "%.20s %s", digits, units[u]);
    return out;
}
