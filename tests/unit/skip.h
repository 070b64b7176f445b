/* Skipping one cmocka test with a reason, as TAP wants it ("ok 5 - name # SKIP reason"); cmocka's own skip() says
 * "not ok". Before the test function: SKIPPABLE(fn). In the table: skippable_unit_test(fn). Inside: skip_because(fn, …)
 * and return. */
#ifndef SRQ_TEST_SKIP_H
#define SRQ_TEST_SKIP_H

#include "tests/unit/test.h"

#define SKIPPABLE(fn) static char fn##_name[256] = #fn
#define skippable_unit_test(fn)         \
    {                                   \
        fn##_name, fn, NULL, NULL, NULL \
    }
#define skip_because(fn, reason) snprintf(fn##_name, sizeof(fn##_name), "%s # SKIP %s", #fn, reason)

#endif
