/* What /proc says about processes: identity across pid reuse, and why the kernel killed one. */
#ifndef SRQD_PROCESS_H
#define SRQD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Start time in clock ticks since boot; -1 when there is no such process (or it is a zombie). */
int64_t process_start_time(pid_t pid);
/* Its real uid; (uid_t)-1 when unknown. */
uid_t process_uid(pid_t pid);
/* How often the kernel's OOM killer struck in our control group; -1 when unknown. */
int64_t process_oom_kills(void);
/* "killed by signal 9 (Killed)", "exit code 3". */
void process_status_text(int status, char *out, size_t cap);
/* A descriptor that becomes readable when the process ends; -1 where the kernel has none. */
int process_watch_fd(pid_t pid);

#endif
