plugin_LTLIBRARIES += plugins/diffusion-qat/diffusion-qat.la
plugins_diffusion_qat_diffusion_qat_la_SOURCES = plugins/diffusion-qat/diffusion-qat.c plugins/diffusion_grid.h
plugins_diffusion_qat_diffusion_qat_la_CPPFLAGS = -I$(top_srcdir)/core/include -I$(top_srcdir)
plugins_diffusion_qat_diffusion_qat_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
plugins_diffusion_qat_diffusion_qat_la_LIBADD = -lm
