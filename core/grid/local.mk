core_libsrq_la_SOURCES += \
	core/grid/grid.c core/grid/grid.h \
	core/grid/scheme.c \
	core/grid/codes.c \
	core/grid/int_rows.c core/grid/int_rows.h \
	core/grid/int_sym.c \
	core/grid/int_asym.c
