/* What the folders of jobs take on disk: measured by du(1), a program of its own, since a tree may be large and its
 * file system slow. */
#ifndef SRQD_DISK_H
#define SRQD_DISK_H

#include "daemon/srqd/jobs/jobs.h"

/* Its folder is measured soon. */
void disk_wish(struct job *j);
/* Each tick: those that run are measured again from time to time, and what is wished is measured. One program at a
 * time. */
void disk_look_after(struct srqd *d);

#endif
