/* srqd: command line, places and configuration, then the daemon. */
#include "daemon/srqd/srqd.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "daemon/srqd/base/environment.h"
#include "daemon/srqd/base/options.h"

#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

static void tell(void *ctx, const struct srq_error *why)
{
    int *count = ctx;

    srq_log(SRQ_LOG_ERROR, "%s", why->text);
    (*count)++;
}

/* Groups count in the machine's service alone. */
static void check_group(const struct srqd *d, const char *key, const char *name, int *wrong)
{
    const char *file = places_config(&d->places) != NULL ? d->places.config : "defaults";
    struct srq_error why;

    if (!d->places.system || name[0] == '\0' || strcmp(name, "*") == 0 || getgrnam(name) != NULL)
        return;
    srq_fail_field(&why, -SRQ_ENOENT, key, "%s: %s = %s: there is no such group; run: groupadd --system %s", file, key,
                   name, name);
    tell(wrong, &why);
}

/* All that would stop a start, or somebody from being served; nothing is made or changed. */
static int check_config(struct daemon *s, const struct srqd_options *o)
{
    struct places *places = &s->d.places;
    struct srq_error err = { 0 };
    int wrong = 0;

    if (places_look(places, &o->places, tell, &wrong, &err) != 0)
        return fail(&err, EXIT_REFUSED);
    if (srqd_reload(s, &err) != 0) {
        tell(&wrong, &err);
    } else {
        check_group(&s->d, "socket_group", s->d.config.socket_group, &wrong);
        check_group(&s->d, "admin_group", s->d.config.admin_group, &wrong);
    }
    if (wrong == 0)
        printf("%s: ok\n", places_config(places) != NULL ? places->config : "defaults");
    places_free(places);
    return wrong == 0 ? 0 : EXIT_REFUSED;
}

int main(int argc, char **argv)
{
    struct daemon s;
    struct places *places = &s.d.places;
    struct srqd_options o;
    struct background bg = { 0 };
    struct srq_error err = { 0 };
    int rc;

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
    srqd_init(&s);
    s.d.mask = umask(077);
    signal(SIGPIPE, SIG_IGN);
    if (o.check_config)
        return check_config(&s, &o);
    if (places_find(places, &o.places, &err) != 0)
        return fail(&err, EXIT_REFUSED);
    if (srqd_reload(&s, &err) != 0) {
        places_free(places);
        return fail(&err, EXIT_USAGE);
    }
    if (!o.foreground && background_enter(&bg, places->state, &err) != 0)
        return fail(&err, EXIT_REFUSED);
    s.idle_exit_s = o.idle_exit_s;
    rc = srqd_run(&s, &bg);
    srq_free(bg.state); /* it is there where it never came to serve */
    return rc == 0 ? 0 : EXIT_REFUSED;
}
