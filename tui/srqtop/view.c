/* What the user looks at: its beginning and end, and the job shown. */
#include "tui/srqtop/view.h"

#include "core/base/alloc.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

void view_init(struct top_view *v)
{
    memset(v, 0, sizeof(*v));
    v->width = 80;
    v->height = 24;
    v->tree_layer = v->tree_block = v->followed = -1;
    v->log_level = 2;
    v->follow = v->log_scale = true;
}

void view_fini(struct top_view *v)
{
    srq_free(v->folded);
    for (int i = 0; i < v->history_count; i++)
        srq_free(v->history[i]);
    v->folded = NULL;
    v->folded_count = v->history_count = 0;
}

bool view_matches(const char *name, const char *pattern)
{
    if (name == NULL)
        return false;
    return strpbrk(pattern, "*?") != NULL ? fnmatch(pattern, name, FNM_CASEFOLD) == 0
                                          : strcasestr(name, pattern) != NULL;
}

struct top_job *view_job(const struct top_model *m, const struct top_view *v)
{
    return v->job[0] != '\0' ? top_model_job(m, v->job) : NULL;
}

void view_open(struct top_view *v, const char *id)
{
    snprintf(v->job, sizeof(v->job), "%s", id);
    v->tree_job[0] = '\0'; /* settling starts anew */
}
