/* What every unit test includes, in the order cmocka wants. */
#ifndef SRQ_TEST_H
#define SRQ_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <srq/error.h>

/* Loops of a test's own that others are compared with: sanitizers would make them the most of what is waited for. */
#define REFERENCE_LOOP __attribute__((no_sanitize("address", "undefined", "thread")))

/* Succeeds, printing the error's sentence when not. */
#define assert_ok(expr, err)                                                              \
    do {                                                                                  \
        int rc_ = (expr);                                                                 \
        if (rc_ != 0)                                                                     \
            fail_msg("%s gave %d (%s): %s", #expr, rc_, srq_code_name(rc_), (err)->text); \
    } while (0)

/* Fails with `code`, its sentence naming `part`. */
#define assert_refused(expr, want, err, part)                                       \
    do {                                                                            \
        int rc_ = (expr);                                                           \
        if (rc_ != (want))                                                          \
            fail_msg("%s gave %d, wanted %d: %s", #expr, rc_, (want), (err)->text); \
        if (strstr((err)->text, (part)) == NULL)                                    \
            fail_msg("\"%s\" does not name \"%s\"", (err)->text, (part));           \
    } while (0)

#endif
