# Shipped data: the demo model and its texts.
demomodeldir = $(pkgdatadir)/models/demo-lm
dist_demomodel_DATA = \
	share/models/demo-lm/config.json share/models/demo-lm/generation_config.json \
	share/models/demo-lm/model.safetensors share/models/demo-lm/tokenizer.json \
	share/models/demo-lm/tokenizer_config.json
demotextdir = $(pkgdatadir)/text
dist_demotext_DATA = share/text/demo-calib.txt share/text/demo-eval.txt

EXTRA_DIST += share/demo/demo.sh

demo: all
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(SHELL) $(srcdir)/share/demo/demo.sh
.PHONY: demo
