/* Numbers as people read them. */
#include "tui/client/human.h"

#include "core/base/digits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *ctl_human_bytes(double bytes, char *out)
{
    return srq_bytes_text(bytes, out, CTL_HUMAN);
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
        srq_digits_text(s, digits, sizeof(digits));
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
        srq_digits_text(v, out, CTL_HUMAN);
    return out;
}

char *ctl_human_count(double v, char *out)
{
    if (v == floor(v) && fabs(v) < 1e15)
        snprintf(out, CTL_HUMAN, "%.0f", v);
    else
        ctl_human_number(v, out);
    return out;
}

char *ctl_human_percent(double share, char *out)
{
    char digits[CTL_HUMAN];

    if (!isfinite(share)) {
        snprintf(out, CTL_HUMAN, "-");
        return out;
    }
    srq_digits_text(share * 100, digits, sizeof(digits));
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
