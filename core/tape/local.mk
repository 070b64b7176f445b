core_libsrq_la_SOURCES += core/tape/arena.c core/tape/arena.h core/tape/record.c core/tape/tape.h core/tape/times.h core/tape/ops.h \
	core/tape/record.h core/tape/ops_linear.c core/tape/ops_norm.c core/tape/ops_rope.c core/tape/ops_attention.c core/tape/attention.h core/tape/attention_panels.c core/tape/attention_rows.c \
	core/tape/ops_elementwise.c core/tape/ops_loss.c core/tape/ops_dot.c core/tape/vector_grad.c \
	core/tape/vector_grad.h core/tape/largest_errors.c core/tape/largest_errors.h core/tape/ops_round.h \
	core/tape/ops_round.c core/tape/ops_layer.c core/tape/layer.h core/tape/ops_picture.h core/tape/ops_conv.c \
	core/tape/patches.c core/tape/patches.h core/tape/ops_group_norm.c core/tape/ops_upsample.c core/tape/ops_concat.c \
	core/tape/ops_sample.c core/tape/ops_geglu.c core/tape/column_sums.c core/tape/column_sums.h core/tape/ops_integer.c
