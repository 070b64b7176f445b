/* What verbs.c collects: one function a verb, and the option tables of those that have options of their own. Each is
 * in cmd_NAME.c, verbs that do the same to a job in cmd_change.c and to the daemon in cmd_daemon.c. */
#ifndef SRQ_CTL_CMDS_H
#define SRQ_CTL_CMDS_H

#include "tui/srqctl/verb.h"

int ctl_cmd_submit(struct ctl *ctl);
int ctl_cmd_list(struct ctl *ctl);
int ctl_cmd_show(struct ctl *ctl);
int ctl_cmd_wait(struct ctl *ctl);
int ctl_cmd_watch(struct ctl *ctl);
int ctl_cmd_log(struct ctl *ctl);
int ctl_cmd_cancel(struct ctl *ctl);
int ctl_cmd_pause(struct ctl *ctl);
int ctl_cmd_resume(struct ctl *ctl);
int ctl_cmd_finish(struct ctl *ctl);
int ctl_cmd_priority(struct ctl *ctl);
int ctl_cmd_delete(struct ctl *ctl);
int ctl_cmd_gc(struct ctl *ctl);
int ctl_cmd_plan(struct ctl *ctl);
int ctl_cmd_pin(struct ctl *ctl);
int ctl_cmd_unpin(struct ctl *ctl);
int ctl_cmd_budget(struct ctl *ctl);
int ctl_cmd_retune(struct ctl *ctl);
int ctl_cmd_set(struct ctl *ctl);
int ctl_cmd_series(struct ctl *ctl);
int ctl_cmd_heatmap(struct ctl *ctl);
int ctl_cmd_compare(struct ctl *ctl);
int ctl_cmd_report(struct ctl *ctl);
int ctl_cmd_eval(struct ctl *ctl);
int ctl_cmd_sample(struct ctl *ctl);
int ctl_cmd_inspect(struct ctl *ctl);
int ctl_cmd_plugin_list(struct ctl *ctl);
int ctl_cmd_plugin_info(struct ctl *ctl);
int ctl_cmd_daemon_info(struct ctl *ctl);
int ctl_cmd_daemon_drain(struct ctl *ctl);
int ctl_cmd_daemon_reload(struct ctl *ctl);
int ctl_cmd_daemon_stop(struct ctl *ctl);
int ctl_cmd_doctor(struct ctl *ctl);
int ctl_cmd_completion(struct ctl *ctl);
int ctl_cmd_help(struct ctl *ctl);
int ctl_cmd_version(struct ctl *ctl);

extern const struct ctl_option ctl_submit_options[];
extern const struct ctl_option ctl_list_options[];
extern const struct ctl_option ctl_wait_options[];
extern const struct ctl_option ctl_watch_options[];
extern const struct ctl_option ctl_log_options[];
extern const struct ctl_option ctl_cancel_options[];
extern const struct ctl_option ctl_gc_options[];
extern const struct ctl_option ctl_plan_options[];
extern const struct ctl_option ctl_pin_options[];
extern const struct ctl_option ctl_unpin_options[];
extern const struct ctl_option ctl_budget_options[];
extern const struct ctl_option ctl_retune_options[];
extern const struct ctl_option ctl_set_options[];
extern const struct ctl_option ctl_heatmap_options[];
extern const struct ctl_option ctl_series_options[];
extern const struct ctl_option ctl_compare_options[];
extern const struct ctl_option ctl_report_options[];
extern const struct ctl_option ctl_eval_options[];
extern const struct ctl_option ctl_sample_options[];
extern const struct ctl_option ctl_drain_options[];
extern const struct ctl_option ctl_stop_options[];

#endif
