/* What the files of teq share. */
#ifndef TEQ_H
#define TEQ_H

#include <srq/plugin.h>

enum teq_init { TEQ_ONES, TEQ_SQRTW, TEQ_AWQ, TEQ_SMOOTH };

struct teq {
    char pairs[8];
    enum teq_init init;
    bool log_domain;
    double lr, beta1, beta2, eps, clip_min;
    struct srq_transform_schedule schedule;
    char *load;
};

#endif
