plugin_LTLIBRARIES += plugins/omniquant/omniquant.la
plugins_omniquant_omniquant_la_SOURCES = plugins/omniquant/omniquant.c plugins/grid_rows.c plugins/grid_rows.h
plugins_omniquant_omniquant_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_omniquant_omniquant_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$' -lm
