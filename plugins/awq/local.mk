plugin_LTLIBRARIES += plugins/awq/awq.la
plugins_awq_awq_la_SOURCES = plugins/awq/awq.c plugins/one_group.c plugins/one_group.h plugins/scale_rules.c plugins/scale_rules.h
plugins_awq_awq_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_awq_awq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$' -lm
