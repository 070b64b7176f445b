/* srqd: command line, places and configuration, then the daemon. */
#include "daemon/srqd/srqd.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/base/background.h"
#include "daemon/srqd/base/environment.h"
#include "daemon/srqd/base/options.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

static int print_help(void)
{
    char *text = options_help();

    if (text == NULL)
        return EXIT_REFUSED;
    fputs(text, stdout);
    srq_free(text);
    return 0;
}

static int fail(const struct srq_error *err, int code)
{
    srq_log(SRQ_LOG_ERROR, "%s", err->text);
    return code;
}

int main(int argc, char **argv)
{
    struct srqd d = { 0 };
    struct srqd_options o;
    struct background bg = { 0 };
    struct srq_error err = { 0 };

    if (options_parse(&o, argc, argv, &err) != 0) {
        fail(&err, EXIT_USAGE);
        fputs("srqd --help lists what there is\n", stderr);
        return EXIT_USAGE;
    }
    if (o.help)
        return print_help();
    if (o.version) {
        printf("srqd %s\n", PACKAGE_VERSION);
        return 0;
    }
    if (o.debug)
        srq_log_level_set(SRQ_LOG_DEBUG);
    environment_prune();
    d.mask = umask(077);
    signal(SIGPIPE, SIG_IGN);
    TAILQ_INIT(&d.clients);
    TAILQ_INIT(&d.jobs);
    TAILQ_INIT(&d.waiting_plans);
    TAILQ_INIT(&d.waiting_changes);
    d.started = srq_wall_s();
    if (places_find(&d.places, &o.places, &err) != 0)
        return fail(&err, EXIT_REFUSED);
    if (srqd_reload(&d, &err) != 0) {
        places_free(&d.places);
        return fail(&err, o.check_config ? EXIT_REFUSED : EXIT_USAGE);
    }
    if (o.check_config) {
        printf("%s: no faults\n", d.places.config != NULL ? d.places.config : "defaults");
        places_free(&d.places);
        return 0;
    }
    if (!o.foreground && background_enter(&bg, d.places.state, &err) != 0)
        return fail(&err, EXIT_REFUSED);
    d.idle_exit_s = o.idle_exit_s;
    return srqd_run(&d, &bg) == 0 ? 0 : EXIT_REFUSED;
}
