/* Idle threads shall sleep: the program again, with the policy in its environment. */
#include "daemon/srq-worker/passive.h"

#include <stdlib.h>
#include <unistd.h>

/* Looks that a thread takes for its next work before it sleeps: some ten microseconds, which is less than sleeping and
 * waking up takes, and what lies between the products of one block. */
#define SPINS "1000"

void worker_passive(char **argv)
{
    char path[4096];
    ssize_t n;

    if (getenv("OMP_WAIT_POLICY") != NULL)
        return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) != 0 || setenv("GOMP_SPINCOUNT", SPINS, 0) != 0)
        return;
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n > 0) { /* by its name, which is then that of the process too */
        path[n] = '\0';
        execv(path, argv);
    }
    execv("/proc/self/exe", argv);
}
