/* Short ways to write rows of the message tables. Only the tables include this. */
#ifndef SRQ_PROTO_FIELDS_H
#define SRQ_PROTO_FIELDS_H

#include "core/proto/proto.h"

#include <stddef.h>

/* clang-format off */
#define F_REQ(n, t, h)       { .name = (n), .type = (t), .required = true, .help = (h) }
#define F_NUL(n, t, h)       { .name = (n), .type = (t), .required = true, .nullable = true, .help = (h) }
#define F_OPT(n, t, h)       { .name = (n), .type = (t), .nullable = true, .help = (h) }
#define F_RNG(n, t, lo, hi, h) { .name = (n), .type = (t), .required = true, .help = (h), .min = (lo), .max = (hi) }
#define F_NRNG(n, t, lo, hi, h) { .name = (n), .type = (t), .required = true, .nullable = true, .help = (h), \
                                  .min = (lo), .max = (hi) }
#define F_ORNG(n, t, lo, hi, h) { .name = (n), .type = (t), .nullable = true, .help = (h), .min = (lo), .max = (hi) }
#define F_SUB(n, t, m, h)    { .name = (n), .type = (t), .required = true, .help = (h), .members = (m) }
#define F_NSUB(n, t, m, h)   { .name = (n), .type = (t), .required = true, .nullable = true, .help = (h), \
                               .members = (m) }
#define F_OSUB(n, t, m, h)   { .name = (n), .type = (t), .nullable = true, .help = (h), .members = (m) }
#define F_LIST(n, m, lo, hi, h) { .name = (n), .type = SRQ_T_ARRAY, .required = true, .help = (h), .members = (m), \
                                  .min = (lo), .max = (hi) }
#define F_OLIST(n, m, hi, h) { .name = (n), .type = SRQ_T_ARRAY, .nullable = true, .help = (h), .members = (m), \
                               .max = (hi) }
#define F_CHO(n, c, h)       { .name = (n), .type = SRQ_T_STRING, .required = true, .help = (h), .choices = (c) }
#define F_OCHO(n, c, h)      { .name = (n), .type = SRQ_T_STRING, .nullable = true, .help = (h), .choices = (c) }
#define F_NCHO(n, c, h)      { .name = (n), .type = SRQ_T_STRING, .required = true, .nullable = true, .help = (h), \
                               .choices = (c) }
#define F_OCHOS(n, c, h)     { .name = (n), .type = SRQ_T_STRINGS, .nullable = true, .help = (h), .choices = (c) }
#define WORDS(...)           (const char *const[]) { __VA_ARGS__, NULL }
#define F_END                { .name = NULL }
/* clang-format on */

#define COUNT_MAX 9007199254740992.0 /* 2^53 */
#define SRQ_CHANGES_MAX 1000         /* layers that one change names; it counts them all */
#define BITS_MOST 64.0               /* average bits that a budget may ask for */

/* Shared by methods and events (methods.c). */
extern const struct srq_field srq_size_fields[];
extern const struct srq_field srq_live_options_fields[];

#endif
