/* The whole of srqctl but its main(), so that tests link it. */
#ifndef SRQ_CTL_RUN_H
#define SRQ_CTL_RUN_H

int ctl_main(int argc, char **argv); /* gives the exit code */

#endif
