plugin_LTLIBRARIES += plugins/teq/teq.la
plugins_teq_teq_la_SOURCES = plugins/teq/teq.c plugins/teq/teq.h plugins/scale_rules.c plugins/scale_rules.h
plugins_teq_teq_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_teq_teq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$' -lm
