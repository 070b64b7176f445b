/* How idle threads of the team wait (core/math/team.h). */
#ifndef SRQ_WORKER_PASSIVE_H
#define SRQ_WORKER_PASSIVE_H

/* Starts the program again with OMP_WAIT_POLICY=passive, and a GOMP_SPINCOUNT that is short, when the environment does
 * not set a policy; returns (without effect) when it does, or when the program could not be started again. First thing
 * in main, before any descriptor is opened that must not be inherited. */
void worker_passive(char **argv);

#endif
