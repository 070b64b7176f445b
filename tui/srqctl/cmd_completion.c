/* srqctl completion: scripts for bash, zsh and fish, written from the tables. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/completion.h"

#include <stdio.h>
#include <string.h>

bool ctl_completion_script(const char *shell, struct srq_buf *b)
{
    if (strcmp(shell, "bash") == 0)
        ctl_completion_bash(b);
    else if (strcmp(shell, "zsh") == 0)
        ctl_completion_zsh(b);
    else if (strcmp(shell, "fish") == 0)
        ctl_completion_fish(b);
    else
        return false;
    return true;
}

int ctl_cmd_completion(struct ctl *ctl)
{
    const char *shell = ctl->args.positional[0];
    struct srq_error err = { 0 };
    const char *job = ctl->args.positional_count > 1 ? ctl->args.positional[1] : NULL;
    struct srq_buf b;
    char words[100];
    cJSON *json;

    if ((job != NULL) != (strcmp(shell, "layers") == 0)) {
        srq_fail_field(&err, SRQ_EINVAL, "job",
                       job != NULL ? "completion does not expect \"%s\"; only layers are a job's"
                                   : "completion layers needs JOB",
                       job);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    if (ctl_choice("completion", ctl_candidate_words, shell, strlen(shell), &err) == 0)
        return ctl_print_candidates(ctl, shell, job);
    srq_buf_init(&b, 1 << 20);
    if (!ctl_completion_script(shell, &b)) {
        snprintf(words, sizeof(words), "bash zsh fish %s", ctl_candidate_words);
        ctl_choice("completion", words, shell, strlen(shell), &err);
        srq_buf_fini(&b);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    if (ctl->json) {
        json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "shell", shell);
        cJSON_AddStringToObject(json, "script", b.data != NULL ? b.data : "");
        srq_buf_fini(&b);
        return ctl_print_json(json);
    }
    fputs(b.data != NULL ? b.data : "", stdout);
    srq_buf_fini(&b);
    return ctl_flush(ctl);
}
