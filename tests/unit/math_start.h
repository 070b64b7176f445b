/* Group fixture of tests that compute: a small team, and products as a worker has them. */
#ifndef SRQ_TEST_MATH_START_H
#define SRQ_TEST_MATH_START_H

#include "tests/unit/test.h"

#include "core/math/gemm.h"
#include "core/math/team.h"

static inline int math_start(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    if (srq_team_start(2, &err) == 0 && srq_gemm_start(NULL, &err) == 0)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static inline int math_stop(void **state)
{
    (void)state;
    srq_gemm_stop();
    return 0;
}

#endif
