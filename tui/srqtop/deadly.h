/* Signals that end the process: whichever comes, the terminal is given back first. */
#ifndef SRQ_TUI_SRQTOP_DEADLY_H
#define SRQ_TUI_SRQTOP_DEADLY_H

/* From now on `restore` (async-signal-safe) is called before any catchable signal ends the process in its usual way,
 * crashes included: the handler has a stack of its own. Signals that the program handles itself are set after this.
 * Returns 0, or -1 when there is no memory for the stack (crashes of the stack itself are not covered then). */
int deadly_catch(void (*restore)(void));

/* Ends the process by `number` as if nobody had caught it. */
_Noreturn void deadly_die(int number);

#endif
