/* Errors: a negative code tells callers what kind of thing went wrong, one sentence tells people what and where.
 *
 * Every function that can fail returns 0 or a negative SRQ_E… code and, where it takes one, fills a
 * `struct srq_error`. `err` may always be NULL. Header-only, so that a plugin needs no library to report an error. */
#ifndef SRQ_ERROR_H
#define SRQ_ERROR_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum srq_code {
    SRQ_OK = 0,
    SRQ_ENOMEM = 1,   /* an allocation failed */
    SRQ_EIO,          /* reading or writing failed */
    SRQ_EFORMAT,      /* a file or message is not what its format allows */
    SRQ_EINVAL,       /* a value given by the user or caller is out of range */
    SRQ_ENOENT,       /* a named thing does not exist */
    SRQ_EEXIST,       /* it exists already */
    SRQ_EPERM,        /* not allowed */
    SRQ_ENOSPC,       /* disk full, or the plan needs more disk than there is */
    SRQ_EUNSUPPORTED, /* understood, but not something this build or plugin does */
    SRQ_ESTATE,       /* not possible in the present state */
    SRQ_ECANCELED,    /* stopped on request */
    SRQ_ELIMIT,       /* a cap was hit (frame, depth, count, memory plan) */
    SRQ_ENUMERIC,     /* NaN, Inf or a value that cannot be represented */
    SRQ_EPROTO,       /* the peer broke the protocol */
    SRQ_ETIMEOUT,     /* nothing happened in time */
    SRQ_EBUSY,        /* someone else holds it */
    SRQ_EDRIFT,       /* a resume whose fingerprint differs */
    SRQ_CODE_COUNT
};

struct srq_error {
    uint32_t size;   /* set by who fails: what it knows of. Whoever has a struct to fill need not set anything */
    int code;        /* one of enum srq_code, positive; 0 when nothing failed */
    char field[160]; /* what it is about: a spec key, tensor or file name; may be empty */
    char text[1024]; /* one sentence with the offending name and value, no newline */
};

/* The short name of a code, e.g. "EFORMAT" → "format"; "unknown" for others. `code` may be negative. */
static inline const char *srq_code_name(int code)
{
    static const char *const names[SRQ_CODE_COUNT] = {
        "ok",     "out_of_memory", "io",       "format",      "invalid", "not_found",
        "exists", "permission",    "no_space", "unsupported", "state",   "canceled",
        "limit",  "numeric",       "protocol", "timeout",     "busy",    "drift",
    };
    int c = code < 0 ? -code : code;

    return c < SRQ_CODE_COUNT ? names[c] : "unknown";
}

#if defined(__GNUC__)
#define SRQ_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#else
#define SRQ_PRINTF(fmt_at, args_at)
#endif

static inline int srq_vfail(struct srq_error *err, int code, const char *field, const char *fmt, va_list ap)
    SRQ_PRINTF(4, 0);
static inline int srq_fail(struct srq_error *err, int code, const char *fmt, ...) SRQ_PRINTF(3, 4);
static inline int srq_fail_field(struct srq_error *err, int code, const char *field, const char *fmt, ...)
    SRQ_PRINTF(4, 5);

static inline int srq_vfail(struct srq_error *err, int code, const char *field, const char *fmt, va_list ap)
{
    if (err != NULL) {
        err->size = sizeof(*err);
        err->code = code < 0 ? -code : code;
        snprintf(err->field, sizeof(err->field), "%s", field != NULL ? field : "");
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
    }
    return code < 0 ? code : -code;
}

/* Fills `*err` and returns `code` as a negative number, so that `return srq_fail(err, -SRQ_EIO, …)` reads well. */
static inline int srq_fail(struct srq_error *err, int code, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = srq_vfail(err, code, NULL, fmt, ap);
    va_end(ap);
    return rc;
}

/* The same, naming the field (spec key, tensor, file) that the error is about. */
static inline int srq_fail_field(struct srq_error *err, int code, const char *field, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = srq_vfail(err, code, field, fmt, ap);
    va_end(ap);
    return rc;
}

#endif
