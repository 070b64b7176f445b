/* A job spec (srq-job(5)) from a file and options; options win over the file. */
#ifndef SRQ_CTL_JOBSPEC_H
#define SRQ_CTL_JOBSPEC_H

#include "tui/srqctl/verb.h"

/* Reads --job and the other options of `submit` (or the subset that `eval` has) into *spec, the caller's. Paths become
 * absolute: those of the file against the file's folder, others against the working directory. A list given by options
 * replaces the file's list; --set adds to its options. -SRQ_EINVAL, -SRQ_ENOENT, … with the option's name. */
int ctl_jobspec(const struct ctl_args *args, cJSON **spec, struct srq_error *err);

#endif
