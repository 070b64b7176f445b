/* Monotonic time for measuring, wall time for records. */
#ifndef SRQ_BASE_CLOCK_H
#define SRQ_BASE_CLOCK_H

double srq_clock_s(void); /* monotonic seconds */
double srq_wall_s(void);  /* seconds since the epoch */

#endif
