/* Numbers as people read them: units and three significant digits; unknown is "-", never 0. */
#ifndef SRQ_CLIENT_HUMAN_H
#define SRQ_CLIENT_HUMAN_H

#include <stddef.h>

#define CTL_HUMAN 32 /* room for any of them, NUL included */

/* Each writes into out[CTL_HUMAN] and returns it; NaN gives "-". */
char *ctl_human_bytes(double bytes, char *out); /* "1.24 GiB", "512 B" */
char *ctl_human_seconds(double s, char *out);   /* "3m12s", "1h05m", "2d03h", "0.351s", "12.5s" */
char *ctl_human_number(double v, char *out);    /* three significant digits: "27.4", "0.00123", "1.2e-05", "1,234" */
char *ctl_human_count(double v, char *out); /* whole numbers as they are: "4", "50000"; others as ctl_human_number */
char *ctl_human_percent(double share, char *out); /* 0.4231 → "42.3 %" */
char *ctl_human_date(double unix_s, char *out);   /* local time, "2026-03-04 17:05:09" */

#endif
