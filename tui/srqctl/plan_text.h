/* Plans, memory, disk and time, as submit, plan and show print them. */
#ifndef SRQ_CTL_PLAN_TEXT_H
#define SRQ_CTL_PLAN_TEXT_H

#include "tui/srqctl/verb.h"

/* What was resolved: the spec's members, one a line. */
void ctl_print_resolved(const cJSON *reply);
/* Layers that agree in module, shape and these members (names with '|' between them) in one row, with how many there
 * are. */
void ctl_print_layers(const cJSON *layers, const char *members);
/* The sums of those in one line. */
void ctl_print_sums(const cJSON *reply);
/* Warnings, one a line. */
void ctl_print_warnings(const cJSON *reply);
/* Size, memory and disk rows, time, threads, warnings of a submit or plan_spec reply; unknown parts are left out. */
void ctl_print_amounts(const cJSON *reply);

#endif
