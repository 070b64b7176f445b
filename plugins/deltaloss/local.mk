plugin_LTLIBRARIES += plugins/deltaloss/deltaloss.la
plugins_deltaloss_deltaloss_la_SOURCES = plugins/deltaloss/deltaloss.c
plugins_deltaloss_deltaloss_la_CPPFLAGS = -I$(top_srcdir)/core/include
plugins_deltaloss_deltaloss_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
