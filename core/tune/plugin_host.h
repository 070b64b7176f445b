/* Loading plugins and serving them: dlopen, ABI check, struct srq_host. */
#ifndef SRQ_TUNE_PLUGIN_HOST_H
#define SRQ_TUNE_PLUGIN_HOST_H

#include <srq/plugin.h>

struct srq_plugin_handle {
    /* The host's copy of what the object exports, parts and tables too: as long as this build's headers say, members
     * that a plugin of an older minor version does not have are zero. */
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

/* The services. The seed makes `uniform` this job's own. */
const struct srq_host *srq_host_services(void);
void srq_host_seed(uint64_t seed);

#endif
