/* Numbers as people read them: three significant digits, sizes in binary units. */
#ifndef SRQ_BASE_DIGITS_H
#define SRQ_BASE_DIGITS_H

#include <stddef.h>

/* Three significant digits without an exponent, "0.976", "12.3", "102"; meant for |v| in [0.001, 1000). Returns out. */
char *srq_digits_text(double v, char *out, size_t cap);
/* Bytes in powers of 1024, "1.24 GiB", "512 B"; not a finite number: "-". Returns out. */
char *srq_bytes_text(double bytes, char *out, size_t cap);

#endif
