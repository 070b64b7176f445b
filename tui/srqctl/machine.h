/* What this machine and our control group offer, from /proc and /sys. */
#ifndef SRQ_CTL_MACHINE_H
#define SRQ_CTL_MACHINE_H

#include <stdbool.h>

struct ctl_machine {
    int processors;
    double memory_available; /* bytes; NaN when unknown */
    double memory_limit;     /* bytes, the tightest of our control groups; 0: none */
    double cpu_quota;        /* processors, the tightest; 0: none */
    char instructions[160];  /* those that matter for the numerical work, by name */
};

/* `root`: "" or the folder of a copy of /proc and /sys, for tests. */
void ctl_machine_read(const char *root, struct ctl_machine *out);

#endif
