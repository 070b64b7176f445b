plugin_LTLIBRARIES += plugins/hqq/hqq.la
plugins_hqq_hqq_la_SOURCES = plugins/hqq/hqq.c plugins/one_group.c plugins/one_group.h
plugins_hqq_hqq_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_hqq_hqq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
