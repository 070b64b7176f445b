/* Handlers of deadly signals. */
#include "tui/srqtop/deadly.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)128 << 10) /* processors with wide registers save kilobytes a signal */

static void (*restore_terminal)(void);

_Noreturn void deadly_die(int number)
{
    struct sigaction usual = { .sa_handler = SIG_DFL };
    sigset_t all;

    sigemptyset(&usual.sa_mask);
    sigaction(number, &usual, NULL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    raise(number);
    _exit(128 + number); /* one that is ignored by default */
}

static void on_deadly(int number)
{
    if (restore_terminal != NULL)
        restore_terminal();
    deadly_die(number);
}

int deadly_catch(void (*restore)(void))
{
    static const int numbers[] = {
        SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGTRAP,   SIGABRT, SIGBUS, SIGFPE,  SIGUSR1, SIGSEGV,
        SIGUSR2,   SIGALRM, SIGTERM, SIGXCPU, SIGVTALRM, SIGPROF, SIGSYS, SIGXFSZ, SIGPOLL,
#ifdef SIGPWR
        SIGPWR,
#endif
#ifdef SIGSTKFLT
        SIGSTKFLT,
#endif
    };
    struct sigaction sa = { .sa_handler = on_deadly, .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND | SA_NODEFER) };
    void *memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = { .ss_sp = memory, .ss_size = STACK_SIZE };

    restore_terminal = restore;
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &sa, NULL);
    for (int n = SIGRTMIN; n <= SIGRTMAX; n++)
        sigaction(n, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return memory != MAP_FAILED && sigaltstack(&stack, NULL) == 0 ? 0 : -1;
}
