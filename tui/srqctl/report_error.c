/* Words about failures, and the end of standard output. */
#include "tui/srqctl/verb.h"

#include "core/base/alloc.h"
#include "core/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int ctl_exit_of(const struct srq_error *err)
{
    switch (err->code) {
    case SRQ_ENOENT:
        return strcmp(err->field, "job") == 0 ? CTL_NO_JOB : CTL_REFUSED;
    case SRQ_EPERM:
        return CTL_DENIED;
    case SRQ_ETIMEOUT:
        return CTL_TIMEOUT;
    case SRQ_ECANCELED:
        return ctl_interrupted ? CTL_INTERRUPTED : CTL_REFUSED;
    default:
        return CTL_REFUSED;
    }
}

int ctl_complain(const struct ctl *ctl, int exit_code, const struct srq_error *err)
{
    char line[sizeof(err->text) * 4];

    if (ctl != NULL && ctl->json) {
        ctl_print_json(srq_proto_error(err));
        return exit_code;
    }
    fflush(stdout);
    fprintf(stderr, "srqctl: %s\n", srq_escape_control(err->text, line, sizeof(line)));
    return exit_code;
}

int ctl_refused(const struct ctl *ctl, const struct srq_error *err)
{
    return ctl_complain(ctl, ctl_exit_of(err), err);
}

int ctl_flush(const struct ctl *ctl)
{
    struct srq_error err = { 0 };

    if (fflush(stdout) == 0 && !ferror(stdout))
        return CTL_OK;
    if (errno == EPIPE)
        return CTL_REFUSED; /* the reader has gone, as with `| head`: nothing to say */
    srq_fail(&err, -SRQ_EIO, "cannot write standard output: %s", strerror(errno));
    (void)ctl;
    fprintf(stderr, "srqctl: %s\n", err.text);
    return CTL_REFUSED;
}

int ctl_print_text(struct srq_buf *text)
{
    fputs(text->data != NULL ? text->data : "", stdout);
    srq_buf_fini(text);
    return ctl_flush(NULL);
}

int ctl_print_json(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    if (text == NULL) {
        fprintf(stderr, "srqctl: out of memory printing JSON\n");
        return CTL_REFUSED;
    }
    puts(text);
    cJSON_free(text);
    return ctl_flush(NULL);
}
