/* srqtop: watch jobs, change their plans. */
#include "tui/srqtop/app.h"
#include "tui/srqtop/once.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>

static int print_help(void)
{
    struct srq_buf b;

    srq_buf_init(&b, 1 << 16);
    top_options_help(&b);
    fputs(b.data != NULL ? b.data : "", stdout);
    srq_buf_fini(&b);
    return fflush(stdout) == 0 ? TOP_OK : TOP_REFUSED;
}

int main(int argc, char **argv)
{
    struct top_options o;
    struct srq_error err = { 0 };

    setlocale(LC_CTYPE, ""); /* numbers stay as JSON writes them */
    signal(SIGPIPE, SIG_IGN);
    if (top_options_read(argc, argv, &o, &err) != 0) {
        fprintf(stderr, "srqtop: %s\n", err.text);
        return TOP_USAGE;
    }
    if (o.help)
        return print_help();
    if (o.version) {
        printf("srqtop %s\n", PACKAGE_VERSION);
        return fflush(stdout) == 0 ? TOP_OK : TOP_REFUSED;
    }
    return o.once ? top_once(&o) : top_run(&o);
}
