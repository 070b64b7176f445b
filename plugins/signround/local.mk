plugin_LTLIBRARIES += plugins/signround/signround.la
plugins_signround_signround_la_SOURCES = plugins/signround/signround.c plugins/grid_rows.c plugins/grid_rows.h
plugins_signround_signround_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_signround_signround_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
