# tui/srqctl: the scripting client. All but main() is a library, so that tests link it.
noinst_LTLIBRARIES += tui/libsrqctl.la
tui_libsrqctl_la_SOURCES = \
	tui/srqctl/verb.c tui/srqctl/verb.h \
	tui/srqctl/candidates.c \
	tui/srqctl/change.c tui/srqctl/change.h tui/srqctl/change_text.c \
	tui/srqctl/cmd_budget.c tui/srqctl/cmd_change.c tui/srqctl/cmd_completion.c tui/srqctl/cmd_daemon.c tui/srqctl/cmd_doctor.c \
	tui/srqctl/cmd_eval.c tui/srqctl/cmd_heatmap.c tui/srqctl/cmd_help.c tui/srqctl/cmd_inspect.c tui/srqctl/cmd_list.c \
	tui/srqctl/cmd_compare.c tui/srqctl/compare.h tui/srqctl/compare_make.c tui/srqctl/compare_show.c \
	tui/srqctl/compare_stats.c tui/srqctl/cmd_log.c tui/srqctl/cmd_pin.c tui/srqctl/cmd_plan.c tui/srqctl/cmd_plugin.c tui/srqctl/cmd_report.c \
	tui/srqctl/cmd_sample.c \
	tui/srqctl/cmd_retune.c tui/srqctl/cmd_set.c tui/srqctl/cmd_series.c tui/srqctl/cmd_show.c tui/srqctl/cmd_submit.c tui/srqctl/cmd_wait.c \
	tui/srqctl/cmd_unpin.c tui/srqctl/cmd_watch.c tui/srqctl/cmds.h tui/srqctl/csv.c tui/srqctl/csv.h \
	tui/srqctl/completion_bash.c tui/srqctl/completion_fish.c tui/srqctl/completion_zsh.c tui/srqctl/completion.h \
	tui/srqctl/follow.c tui/srqctl/follow.h tui/srqctl/print_end.c \
	tui/srqctl/chart.h tui/srqctl/chart_curves.c tui/srqctl/chart_heatmap.c tui/srqctl/font.c tui/srqctl/font.h \
	tui/srqctl/heatmap.c tui/srqctl/heatmap.h tui/srqctl/picture.c tui/srqctl/picture.h tui/srqctl/picture_png.c \
	tui/srqctl/report_html.c tui/srqctl/report_html.h \
	tui/srqctl/heatmap_text.c tui/srqctl/heatmap_text.h tui/srqctl/help.c \
	tui/srqctl/jobspec.c tui/srqctl/jobspec.h \
	tui/srqctl/json_text.c tui/srqctl/json_text.h \
	tui/srqctl/machine.c tui/srqctl/machine.h \
	tui/srqctl/plan_text.c tui/srqctl/plan_text.h \
	tui/srqctl/progress.c tui/srqctl/progress.h \
	tui/srqctl/report_error.c \
	tui/srqctl/run.c tui/srqctl/run.h \
	tui/srqctl/session.c \
	tui/srqctl/summary.c tui/srqctl/summary.h \
	tui/srqctl/table.c tui/srqctl/table.h \
	tui/srqctl/verbs.c \
	tui/srqctl/worker_run.c tui/srqctl/worker_run.h \
	tui/srqctl/worker_view.c tui/srqctl/worker_view.h
tui_libsrqctl_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_LIBEXECDIR='"$(libexecdir)"'
tui_libsrqctl_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(PNG_CFLAGS)
tui_libsrqctl_la_LIBADD = tui/libsrqclient.la core/libsrqbase.la $(PNG_LIBS) -lm

bin_PROGRAMS += tui/srqctl/srqctl
tui_srqctl_srqctl_SOURCES = tui/srqctl/main.c
tui_srqctl_srqctl_LDADD = tui/libsrqctl.la
