core_libsrq_la_SOURCES += \
	core/grid/grid.h core/grid/ops.c \
	core/grid/scheme.c core/grid/round_plain.c core/grid/round_plain.h \
	core/grid/codes.c \
	core/grid/int_rows.c core/grid/int_rows.h \
	core/grid/int_sym.c \
	core/grid/int_asym.c \
	core/grid/ops.h core/grid/rows.h core/grid/weights_of_error.c core/grid/weights_of_error.h \
	core/grid/float_rows.h core/grid/mx_scale.h \
	core/grid/mxfp4.c core/grid/mxfp8.c core/grid/nvfp4.c core/grid/fp8.c \
	core/grid/k_quants.c core/grid/k_quants.h core/grid/k_search.c
