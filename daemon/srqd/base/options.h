/* srqd's command line. */
#ifndef SRQD_OPTIONS_H
#define SRQD_OPTIONS_H

#include "daemon/srqd/base/places.h"

#include <stdint.h>

struct srqd_options {
    struct place_wishes places;
    bool foreground, check_config, help, version;
    int64_t idle_exit_s; /* -1: as configured */
    bool debug;
};

/* -SRQ_EINVAL naming the argument. */
int options_parse(struct srqd_options *o, int argc, char **argv, struct srq_error *err);
/* The text of --help; srq_free. */
char *options_help(void);

#endif
