plugin_LTLIBRARIES += plugins/knapsack/knapsack.la
plugins_knapsack_knapsack_la_SOURCES = plugins/knapsack/knapsack.c
plugins_knapsack_knapsack_la_CPPFLAGS = -I$(top_srcdir)/core/include
plugins_knapsack_knapsack_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
