/* One table makes parsing and --help. */
#include "daemon/srqd/base/options.h"

#include "core/base/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    O_CONFIG,
    O_SOCKET,
    O_STATE,
    O_SYSTEM,
    O_USER,
    O_FOREGROUND,
    O_IDLE,
    O_CHECK,
    O_DEBUG,
    O_HELP,
    O_VERSION
};

static const struct {
    enum option_id id;
    const char *name, *value, *help;
} rows[] = {
    { O_CONFIG, "--config", "FILE", "configuration, srqd.conf(5)" },
    { O_SOCKET, "--socket", "PATH", "where clients connect" },
    { O_STATE, "--state-dir", "DIR", "where jobs and the store are kept" },
    { O_SYSTEM, "--system", NULL, "serve the machine: all users of the socket's group" },
    { O_USER, "--user", NULL, "serve the calling user only (the default)" },
    { O_FOREGROUND, "--foreground", NULL, "do not go into the background" },
    { O_IDLE, "--idle-exit", "SECONDS", "end after this time without clients and unfinished jobs" },
    { O_CHECK, "--check-config", NULL, "read the configuration, say what is wrong with it, end" },
    { O_DEBUG, "--debug", NULL, "log more" },
    { O_HELP, "--help", NULL, "print this" },
    { O_VERSION, "--version", NULL, "print the version" },
};

static int set_idle(struct srqd_options *o, const char *value, struct srq_error *err)
{
    char *end;

    errno = 0;
    o->idle_exit_s = strtoll(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || o->idle_exit_s < 0)
        return srq_fail_field(err, -SRQ_EINVAL, "--idle-exit", "--idle-exit \"%.60s\": not a number of seconds", value);
    return 0;
}

static int apply(struct srqd_options *o, enum option_id id, const char *value, struct srq_error *err)
{
    switch (id) {
    case O_CONFIG:
        o->places.config = value;
        break;
    case O_SOCKET:
        o->places.socket = value;
        break;
    case O_STATE:
        o->places.state_dir = value;
        break;
    case O_SYSTEM:
        o->places.system = true;
        break;
    case O_USER:
        o->places.system = false;
        break;
    case O_FOREGROUND:
        o->foreground = true;
        break;
    case O_IDLE:
        return set_idle(o, value, err);
    case O_CHECK:
        o->check_config = true;
        break;
    case O_DEBUG:
        o->debug = true;
        break;
    case O_HELP:
        o->help = true;
        break;
    case O_VERSION:
        o->version = true;
        break;
    }
    return 0;
}

int options_parse(struct srqd_options *o, int argc, char **argv, struct srq_error *err)
{
    memset(o, 0, sizeof(*o));
    o->idle_exit_s = -1;
    for (int i = 1; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        size_t len = value != NULL ? (size_t)(value++ - argv[i]) : strlen(argv[i]), k;
        int rc;

        for (k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            if (strlen(rows[k].name) == len && memcmp(rows[k].name, argv[i], len) == 0)
                break;
        }
        if (k == sizeof(rows) / sizeof(rows[0]))
            return srq_fail_field(err, -SRQ_EINVAL, argv[i], "unknown argument \"%.100s\"", argv[i]);
        if (rows[k].value == NULL && value != NULL)
            return srq_fail_field(err, -SRQ_EINVAL, rows[k].name, "%s takes no value", rows[k].name);
        if (rows[k].value != NULL && value == NULL) {
            if (i + 1 >= argc)
                return srq_fail_field(err, -SRQ_EINVAL, rows[k].name, "%s wants %s", rows[k].name, rows[k].value);
            value = argv[++i];
        }
        rc = apply(o, rows[k].id, value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

char *options_help(void)
{
    struct srq_buf b;

    srq_buf_init(&b, 8192);
    srq_buf_puts(&b, "Usage: srqd [OPTION]...\nRuns the queue of compression jobs: takes them from clients, starts and "
                     "watches their workers.\n\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char left[64];

        snprintf(left, sizeof(left), "%s%s%s", rows[i].name, rows[i].value != NULL ? " " : "",
                 rows[i].value != NULL ? rows[i].value : "");
        srq_buf_printf(&b, "  %-22s %s\n", left, rows[i].help);
    }
    srq_buf_puts(&b, "\nExamples:\n  srqd                                   a daemon of your own, in the background\n"
                     "  srqd --system --foreground             the machine's service, as a unit starts it\n\n"
                     "SIGHUP reads the configuration again; SIGTERM ends the daemon, its workers go on.\n");
    return srq_buf_take(&b);
}
