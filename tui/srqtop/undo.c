/* The changes that still count, oldest first, as the history tells them. */
#include "tui/srqtop/undo.h"

#include "core/base/alloc.h"
#include "core/proto/members.h"
#include "core/proto/words.h"

#include <stdio.h>
#include <string.h>

struct standing {
    int64_t revision;
    const char *by;
    bool own;
};

/* "ada (uid 1000)" */
static bool is_by(const char *by, int64_t uid)
{
    char end[40];
    size_t n = by != NULL ? strlen(by) : 0, len;

    snprintf(end, sizeof(end), "(uid %lld)", (long long)uid);
    len = strlen(end);
    return n >= len && strcmp(by + n - len, end) == 0;
}

/* Fills `all`, as long as the history, with the changes that no later one went back behind. */
static int standing_changes(const cJSON *revisions, int64_t uid, struct standing *all)
{
    const cJSON *r;
    int n = 0;

    cJSON_ArrayForEach(r, revisions)
    {
        const char *op = srq_member_text(r, "op"), *what = srq_member_text(r, "what");
        double revision = srq_member_number(r, "revision"), to = -1;

        if (op == NULL || !(revision > 0 && revision < 9e15))
            continue;
        if (strcmp(op, srq_change_words[SRQ_ASK_RETUNE]) == 0)
            continue; /* says nothing of the plan: there is nothing to go back to */
        if (strcmp(op, srq_change_words[SRQ_ASK_REVERT]) != 0) {
            all[n++] =
                (struct standing){ (int64_t)revision, srq_member_text(r, "by"), is_by(srq_member_text(r, "by"), uid) };
            continue;
        }
        if (what == NULL || sscanf(what, "%lf", &to) != 1)
            continue;
        while (n > 0 && (double)all[n - 1].revision > to)
            n--;
    }
    return n;
}

bool top_undo_target(const cJSON *history, int64_t uid, int64_t *to, char *why, size_t cap)
{
    const cJSON *revisions = cJSON_GetObjectItemCaseSensitive(history, "revisions");
    struct standing *all = srq_calloc((size_t)cJSON_GetArraySize(revisions) + 1, sizeof(*all));
    int n = all != NULL ? standing_changes(revisions, uid, all) : 0, at = n - 1;
    bool found;

    while (at >= 0 && !all[at].own)
        at--;
    found = at >= 0 && at == n - 1;
    if (found)
        *to = all[at].revision - 1;
    else if (at < 0)
        snprintf(why, cap, "there is no change of yours to undo");
    else
        snprintf(why, cap, "%.100s changed the plan after you (revision %lld); :revert %lld takes both changes back",
                 all[at + 1].by != NULL ? all[at + 1].by : "the job itself", (long long)all[at + 1].revision,
                 (long long)all[at].revision - 1);
    srq_free(all);
    return found;
}
