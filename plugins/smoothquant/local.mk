plugin_LTLIBRARIES += plugins/smoothquant/smoothquant.la
plugins_smoothquant_smoothquant_la_SOURCES = plugins/smoothquant/smoothquant.c plugins/scale_rules.c plugins/scale_rules.h
plugins_smoothquant_smoothquant_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_smoothquant_smoothquant_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$' -lm
