/* Numbers as people read them. */
#include "tui/srqctl/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Three significant digits without an exponent, for v in [0.001, 1000). */
static void three_digits(double v, char *out, size_t cap)
{
    double a = fabs(v);
    int digits = 2;

    if (a != 0 && isfinite(a))
        digits = 2 - (int)floor(log10(a) + 1e-12);
    /* 9.996 has three digits as "10.0": rounding may add one in front. */
    if (digits > 0 && a != 0 && round(a * pow(10, digits)) >= 1000)
        digits--;
    snprintf(out, cap, "%.*f", digits > 0 ? digits : 0, v);
}

char *ctl_human_bytes(double bytes, char *out)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    char digits[CTL_HUMAN];
    size_t u = 0;

    if (!isfinite(bytes)) {
        snprintf(out, CTL_HUMAN, "-");
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
        three_digits(bytes, digits, sizeof(digits));
    snprintf(out, CTL_HUMAN, "%.20s %s", digits, units[u]);
    return out;
}

char *ctl_human_seconds(double s, char *out)
{
    char digits[CTL_HUMAN];
    long long whole;

    if (!isfinite(s) || s < 0 || s > 1e12) {
        snprintf(out, CTL_HUMAN, "-");
        return out;
    }
    whole = llround(s);
    if (s < 59.95) {
        three_digits(s, digits, sizeof(digits));
        snprintf(out, CTL_HUMAN, "%.20ss", s == 0 ? "0" : digits);
    } else if (whole < 3600) {
        snprintf(out, CTL_HUMAN, "%lldm%02llds", whole / 60, whole % 60);
    } else if (whole < 86400) {
        snprintf(out, CTL_HUMAN, "%lldh%02lldm", whole / 3600, whole % 3600 / 60);
    } else {
        snprintf(out, CTL_HUMAN, "%lldd%02lldh", whole / 86400, whole % 86400 / 3600);
    }
    return out;
}

char *ctl_human_number(double v, char *out)
{
    double a = fabs(v);

    if (isnan(v))
        snprintf(out, CTL_HUMAN, "-");
    else if (isinf(v))
        snprintf(out, CTL_HUMAN, v < 0 ? "-inf" : "inf");
    else if (a == 0)
        snprintf(out, CTL_HUMAN, "0");
    else if (a < 0.001 || a >= 1e6)
        snprintf(out, CTL_HUMAN, "%.2e", v);
    else
        three_digits(v, out, CTL_HUMAN);
    return out;
}

char *ctl_human_percent(double share, char *out)
{
    char digits[CTL_HUMAN];

    if (!isfinite(share)) {
        snprintf(out, CTL_HUMAN, "-");
        return out;
    }
    three_digits(share * 100, digits, sizeof(digits));
    snprintf(out, CTL_HUMAN, "%.20s %%", share == 0 ? "0" : digits);
    return out;
}

char *ctl_human_date(double unix_s, char *out)
{
    time_t t;
    struct tm tm;

    if (!isfinite(unix_s) || unix_s < 0 || unix_s > 253402300799.0) {
        snprintf(out, CTL_HUMAN, "-");
        return out;
    }
    t = (time_t)unix_s;
    if (localtime_r(&t, &tm) == NULL || strftime(out, CTL_HUMAN, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, CTL_HUMAN, "-");
    return out;
}
