plugin_LTLIBRARIES += plugins/hqq/hqq.la
plugins_hqq_hqq_la_SOURCES = plugins/hqq/hqq.c
plugins_hqq_hqq_la_CPPFLAGS = -I$(top_srcdir)/core/include
plugins_hqq_hqq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
