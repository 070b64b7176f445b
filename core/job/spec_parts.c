/* What a parsed specification holds: its plugins by their part in the method, and its end. */
#include "core/job/spec.h"

#include "core/base/alloc.h"
#include "core/tune/options.h"

#include <math.h>
#include <string.h>

static void free_list(char **list, int count)
{
    for (int i = 0; i < count; i++)
        srq_free(list[i]);
    srq_free(list);
}

void srq_spec_fini(struct srq_spec *s)
{
    for (int i = 0; i < s->plugin_count; i++) {
        srq_options_free(s->plugins[i].options);
        if (s->plugins[i].handle.plugin != NULL)
            srq_plugin_unload(&s->plugins[i].handle);
        srq_free(s->plugins[i].name);
    }
    for (int i = 0; i < s->pin_count; i++)
        srq_free(s->pins[i].pattern);
    free_list(s->calib, s->calib_count);
    free_list(s->eval, s->eval_count);
    free_list(s->formats, s->format_count);
    srq_free(s->plugins);
    srq_free(s->pins);
    srq_free(s->model);
    srq_free(s->output);
    srq_free(s->name);
    srq_free(s->on_end);
    srq_free(s->features);
    memset(s, 0, sizeof(*s));
}

bool srq_spec_quantizes(const struct srq_spec *s)
{
    return s->quantizer >= 0;
}

const struct srq_plugin *srq_spec_quantizer(const struct srq_spec *s)
{
    static const struct srq_plugin nothing = {
        .size = sizeof(nothing), .name = "nothing", .version = "0", .summary = ""
    };

    return srq_spec_quantizes(s) ? s->plugins[s->quantizer].handle.plugin : &nothing;
}

const struct srq_plugin *srq_spec_trainer(const struct srq_spec *s)
{
    return s->trainer >= 0 ? s->plugins[s->trainer].handle.plugin : NULL;
}

const struct srq_plugin *srq_spec_transform(const struct srq_spec *s)
{
    return s->transform >= 0 ? s->plugins[s->transform].handle.plugin : NULL;
}

bool srq_spec_has_budget(const struct srq_spec *s)
{
    return !isnan(s->budget_bits);
}

const struct srq_plugin *srq_spec_scorer(const struct srq_spec *s)
{
    return s->scorer >= 0 ? s->plugins[s->scorer].handle.plugin : NULL;
}

const struct srq_plugin *srq_spec_allocator(const struct srq_spec *s)
{
    return s->allocator >= 0 ? s->plugins[s->allocator].handle.plugin : NULL;
}
