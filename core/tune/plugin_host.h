/* Loading plugins and serving them: dlopen, ABI check, option values, struct srq_host. */
#ifndef SRQ_TUNE_PLUGIN_HOST_H
#define SRQ_TUNE_PLUGIN_HOST_H

#include <srq/plugin.h>

struct srq_plugin_handle {
    /* The host's copy of what the object exports: complete by this build's headers, members that an older plugin does
     * not have are zero. */
    const struct srq_plugin *plugin;
    void *copy;
    void *dl;
    char *path;
};

/* Searches $SRQ_PLUGIN_PATH (colon-separated folders), then the installed folder, for NAME.so. Unknown: -SRQ_ENOENT
 * listing what there is. A file that is no plugin of this ABI: -SRQ_EUNSUPPORTED or -SRQ_EFORMAT with the reason; its
 * option table and recipes are checked here too, so that later only users' values can be wrong. */
int srq_plugin_load(const char *name, struct srq_plugin_handle *out, struct srq_error *err);
int srq_plugin_load_path(const char *path, struct srq_plugin_handle *out, struct srq_error *err);
void srq_plugin_unload(struct srq_plugin_handle *h);
/* Names of all plugins found, sorted, NULL-terminated; free with srq_plugin_names_free. */
int srq_plugin_names(char ***names, struct srq_error *err);
void srq_plugin_names_free(char **names);

/* SRQ_NEED_… of a job's instance: the quantizer's part that will be used, a tunable one before a one-shot one. */
uint32_t srq_plugin_needs(const struct srq_plugin *p, void *self);

/* Option values of one plugin for one job: defaults, then the recipe's, then the user's. */
int srq_options_create(const struct srq_plugin *p, struct srq_options **out, struct srq_error *err);
/* `value` as text; unknown name, wrong type, out of range: -SRQ_EINVAL naming option ("PLUGIN.NAME", also in
 * err->field as "options.PLUGIN.NAME"), value and what is accepted. */
int srq_options_set(struct srq_options *o, const char *name, const char *value, struct srq_error *err);
/* Applies the recipe named by the option "recipe" to what the user did not set; calls job(ctx, key, value) for rows
 * "job.KEY", with the key alone (a value that the user set for KEY wins: that is job()'s to see). `job` may be NULL. */
int srq_options_finish(struct srq_options *o, int (*job)(void *ctx, const char *key, const char *value), void *ctx,
                       struct srq_error *err);
/* Canonical text of the value now in force, for the normalised spec; NULL when unset. Free with srq_free. */
char *srq_options_text(const struct srq_options *o, const char *name);
void srq_options_free(struct srq_options *o);

/* The services. The seed makes `uniform` this job's own. */
const struct srq_host *srq_host_services(void);
void srq_host_seed(uint64_t seed);

#endif
