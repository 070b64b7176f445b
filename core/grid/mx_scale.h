/* The shared scale of the mx grids: S = 2^E with E = floor(log2 A) - emax, A the largest magnitude of the group times
 * its factors (spec signround 9.1, formats 6). A group of zeros has A = 1.
 *
 * E ends at -126 where the format could go one lower: 2^-127 is no normal F32, and threads may flush those. */
#ifndef SRQ_GRID_MX_SCALE_H
#define SRQ_GRID_MX_SCALE_H

#include "core/grid/float_rows.h"

#include <float.h>

INLINE float power_of_two(int e)
{
    uint32_t u = (uint32_t)(e + 127) << 23;
    float f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

INLINE void mx_scale(const struct srq_grid_args *a, int64_t group, float start, int emax, struct float_unit *u)
{
    float beta = beta_of(a, group), top = largest_of(a, group) * beta * start;
    uint32_t bits;
    int e;

    top = top < FLT_MAX ? top : FLT_MAX;
    memcpy(&bits, &top, sizeof(bits));
    e = (top > 0 ? (int)(bits >> 23) - 127 : 0) - emax;
    u->slope = 1;
    if (e < -126) {
        e = -126;
        u->slope = 0;
    }
    u->s = u->stored = power_of_two(e);
    u->inv = power_of_two(-e);
    u->slope = u->slope > 0 && top > 0 ? u->s / beta : 0;
}

/* Factors that the search tries beside 1: the exponent below and the one above. */
static const float mx_factors[2] = { 0.5f, 2.0f };

#endif
