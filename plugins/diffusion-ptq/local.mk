plugin_LTLIBRARIES += plugins/diffusion-ptq/diffusion-ptq.la
plugins_diffusion_ptq_diffusion_ptq_la_SOURCES = plugins/diffusion-ptq/diffusion-ptq.c plugins/diffusion_grid.h
plugins_diffusion_ptq_diffusion_ptq_la_CPPFLAGS = -I$(top_srcdir)/core/include -I$(top_srcdir)
plugins_diffusion_ptq_diffusion_ptq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
plugins_diffusion_ptq_diffusion_ptq_la_LIBADD = -lm
