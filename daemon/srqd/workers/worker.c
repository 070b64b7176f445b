/* Made on demand: most jobs have ended and have nobody. */
#include "daemon/srqd/workers/worker.h"

#include "core/base/alloc.h"

struct worker *worker_of(struct job *j)
{
    if (j->worker != NULL || (j->worker = srq_calloc(1, sizeof(*j->worker))) == NULL)
        return j->worker;
    j->worker->oom_kills = -1;
    j->worker->exit_fd = -1;
    return j->worker;
}
