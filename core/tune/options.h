/* Option values of plugins: their tables, and the getters that plugins reach through struct srq_host. */
#ifndef SRQ_TUNE_OPTIONS_H
#define SRQ_TUNE_OPTIONS_H

#include <srq/plugin.h>

/* Checks a plugin's own table and recipes: names, types, ranges, defaults. -SRQ_EFORMAT naming the row. */
int srq_options_check_table(const struct srq_plugin *p, struct srq_error *err);

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

/* true, yes, on, 1 or their opposites; false: another word. */
bool srq_bool_parse(const char *text, bool *out);

/* Inside core/tune, for struct srq_host. */
bool srq_option_is_set(const struct srq_options *o, const char *name);
int64_t srq_option_int(const struct srq_options *o, const char *name);
double srq_option_float(const struct srq_options *o, const char *name);
bool srq_option_bool(const struct srq_options *o, const char *name);
const char *srq_option_string(const struct srq_options *o, const char *name);

#endif
