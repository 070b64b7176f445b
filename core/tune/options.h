/* Inside core/tune: option tables and the getters that plugins reach through struct srq_host. */
#ifndef SRQ_TUNE_OPTIONS_H
#define SRQ_TUNE_OPTIONS_H

#include "core/tune/plugin_host.h"

/* Checks a plugin's own table and recipes: names, types, ranges, defaults. -SRQ_EFORMAT naming the row. */
int srq_options_check_table(const struct srq_plugin *p, struct srq_error *err);

bool srq_option_is_set(const struct srq_options *o, const char *name);
int64_t srq_option_int(const struct srq_options *o, const char *name);
double srq_option_float(const struct srq_options *o, const char *name);
bool srq_option_bool(const struct srq_options *o, const char *name);
const char *srq_option_string(const struct srq_options *o, const char *name);

#endif
