/* srq-worker: one job, from its specification to its output. */
#include "daemon/srq-worker/commands.h"

#include "core/base/log.h"
#include "daemon/srq-worker/passive.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SET_MAX 64

struct srq_job_flags worker_flags;
atomic_bool worker_requeue;
static atomic_bool urged; /* SIGTERM or SIGINT came */

static const char usage[] =
    "usage: srq-worker --spec FILE [--dir DIR] [--set KEY=VALUE]...\n"
    "                                             run a job (srq-job(5)) in this shell\n"
    "       srq-worker --job DIR                  run or go on with the job in a job directory\n"
    "       srq-worker --change DIR < REQUEST     change the plan of a job that is not running\n"
    "       srq-worker --plan < SPEC              say what a job would do; read headers only\n"
    "       srq-worker --eval < REQUEST           measure a model on a text\n"
    "       srq-worker --sample < REQUEST         make pictures with a diffusion model\n"
    "       srq-worker --inspect MODEL            say what a model is\n"
    "       srq-worker --unpack MODEL             make the folder of an archive or a GGUF file, as all of these do "
    "first\n"
    "       srq-worker --describe [PLUGIN]        say what algorithms there are\n"
    "       srq-worker --machine                  say what products run on here, after testing them\n"
    "       srq-worker --version | --help\n"
    "\n"
    "A job is JSON: {\"model\": \"/m\", \"method\": \"signround\", \"scheme\": \"w4g128\", \"calib\": [\"/text\"],\n"
    "\"output\": \"/out\"}. Its directory, with journal and checkpoints, is DIR, else OUTPUT.srq-job.\n"
    "SIGTERM takes a checkpoint and ends with code 10; the same command goes on from there. SIGUSR1, which batch\n"
    "systems send ahead of a time limit, does so with code 75: run it again (srq(7), Under Slurm).\n"
    "\n"
    "examples: srq-worker --spec job.json\n"
    "          srq-worker --spec job.json --set threads=8 --set max_memory=16G\n"
    "          srq-worker --plan < job.json\n"
    "\n"
    "exit codes: 0 done, 1 failed, 2 usage, 3 failed but worth another try, 10 paused, 11 canceled,\n"
    "12 another worker has the job directory, 75 stopped with a checkpoint by SIGUSR1\n";

/* All take a checkpoint and end. A second SIGTERM or SIGINT does not wait for the checkpoint; SIGUSR1, which may come
 * again, and the SIGTERM that a batch system sends after it do. */
static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        atomic_store(&worker_requeue, true);
    else if (atomic_exchange(&urged, true))
        _exit(128 + sig);
    atomic_store(&worker_flags.pause, true);
}

static void handle_signals(void)
{
    struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigemptyset(&stop.sa_mask);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGUSR1, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
}

/* When memory runs out, this process goes first: it can be started again from its checkpoint. */
static void offer_to_die(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "500", 3) < 0)
        srq_log(SRQ_LOG_DEBUG, "cannot set oom_score_adj");
    close(fd);
}

/* Large pieces go back to the system when they are freed, so that the memory of one stage is not kept in the next. */
static void tame_malloc(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 18);
    mallopt(M_TRIM_THRESHOLD, 1 << 18);
    mallopt(M_ARENA_MAX, 2);
#endif
}

static int misuse(const char *what)
{
    fprintf(stderr, "srq-worker: %s\n%s", what, usage);
    return WORKER_USAGE;
}

struct request {
    int command; /* the option's letter; 0: none */
    const char *value, *dir;
    const char *set[SET_MAX];
    int set_count;
};

enum {
    CMD_DESCRIBE = 'd',
    CMD_PLAN = 'p',
    CMD_JOB = 'j',
    CMD_CHANGE = 'c',
    CMD_SPEC = 's',
    CMD_EVALUATE = 'e',
    CMD_SAMPLE = 'S',
    CMD_INSPECT = 'i',
    CMD_UNPACK = 'u',
    CMD_MACHINE = 'm',
    CMD_VERSION = 'V',
    CMD_HELP = 'h',
    CMD_DIRECTORY = 'D',
    CMD_SET = 'o',
};

static int parse(int argc, char **argv, struct request *r)
{
    static const struct option options[] = {
        { "describe", no_argument, NULL, CMD_DESCRIBE },
        { "plan", no_argument, NULL, CMD_PLAN },
        { "job", required_argument, NULL, CMD_JOB },
        { "change", required_argument, NULL, CMD_CHANGE },
        { "spec", required_argument, NULL, CMD_SPEC },
        { "dir", required_argument, NULL, CMD_DIRECTORY },
        { "eval", no_argument, NULL, CMD_EVALUATE },
        { "inspect", required_argument, NULL, CMD_INSPECT },
        { "unpack", required_argument, NULL, CMD_UNPACK },
        { "version", no_argument, NULL, CMD_VERSION },
        { "machine", no_argument, NULL, CMD_MACHINE },
        { "help", no_argument, NULL, CMD_HELP },
        { "sample", no_argument, NULL, CMD_SAMPLE },
        { "set", required_argument, NULL, CMD_SET },
        { NULL, 0, NULL, 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == '?')
            return misuse("what was asked for is not understood");
        if (c == CMD_DIRECTORY) {
            r->dir = optarg;
            continue;
        }
        if (c == CMD_SET) {
            if (r->set_count == SET_MAX)
                return misuse("there are more options than fit after --set");
            r->set[r->set_count++] = optarg;
            continue;
        }
        if (r->command != 0)
            return misuse("one thing at a time");
        r->command = c;
        r->value = optarg;
    }
    if (r->command == CMD_DESCRIBE && optind < argc)
        r->value = argv[optind++];
    if (optind < argc)
        return misuse("there is more than was expected");
    if (r->dir != NULL && r->command != CMD_SPEC)
        return misuse("--dir goes with --spec");
    if (r->set_count > 0 && r->command != CMD_SPEC)
        return misuse("--set goes with --spec");
    return 0;
}

int main(int argc, char **argv)
{
    struct request r = { 0 };
    int rc = parse(argc, argv, &r);

    if (rc != 0)
        return rc;
    if (r.command == 0)
        return misuse("nothing was asked for");
    if (r.command == CMD_HELP)
        return fputs(usage, stdout) < 0 ? WORKER_FAILED : WORKER_DONE;
    if (r.command == CMD_VERSION)
        return puts("srq-worker " PACKAGE_VERSION) < 0 ? WORKER_FAILED : WORKER_DONE;
    worker_passive(argv);
    handle_signals();
    tame_malloc();
    switch (r.command) {
    case CMD_DESCRIBE:
        return worker_describe(r.value);
    case CMD_PLAN:
        return worker_plan();
    case CMD_MACHINE:
        return worker_machine();
    case CMD_INSPECT:
        return worker_inspect(r.value);
    case CMD_UNPACK:
        return worker_unpack(r.value);
    case CMD_EVALUATE:
        offer_to_die();
        return worker_evaluate();
    case CMD_SAMPLE:
        offer_to_die();
        return worker_sample();
    case CMD_CHANGE:
        return worker_change(r.value);
    case CMD_JOB:
        offer_to_die();
        return worker_job(r.value);
    default:
        offer_to_die();
        return worker_standalone(&(struct worker_alone){ r.value, r.dir, r.set, r.set_count });
    }
}
