plugin_LTLIBRARIES += plugins/rtn/rtn.la
plugins_rtn_rtn_la_SOURCES = plugins/rtn/rtn.c
plugins_rtn_rtn_la_CPPFLAGS = -I$(top_srcdir)/core/include
plugins_rtn_rtn_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
