# Shipped data: the demo models and their texts, and the network whose features pictures are compared by.
demomodeldir = $(pkgdatadir)/models/demo-lm
dist_demomodel_DATA = \
	share/models/demo-lm/config.json share/models/demo-lm/generation_config.json \
	share/models/demo-lm/model.safetensors share/models/demo-lm/tokenizer.json \
	share/models/demo-lm/tokenizer_config.json
demoddpmdir = $(pkgdatadir)/models/demo-ddpm
dist_demoddpm_DATA = share/models/demo-ddpm/model_index.json
demoddpmunetdir = $(demoddpmdir)/unet
dist_demoddpmunet_DATA = share/models/demo-ddpm/unet/config.json \
	share/models/demo-ddpm/unet/diffusion_pytorch_model.safetensors
demoddpmschedulerdir = $(demoddpmdir)/scheduler
dist_demoddpmscheduler_DATA = share/models/demo-ddpm/scheduler/scheduler_config.json
demofeaturesdir = $(pkgdatadir)/models/demo-features
dist_demofeatures_DATA = share/models/demo-features/model.safetensors
demotextdir = $(pkgdatadir)/text
dist_demotext_DATA = share/text/demo-calib.txt share/text/demo-eval.txt

EXTRA_DIST += share/demo/demo.sh share/demo/demo-diffusion.sh share/demo/show.sh

demo: all
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(SHELL) $(srcdir)/share/demo/demo.sh
demo-diffusion: all
	top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(SHELL) $(srcdir)/share/demo/demo-diffusion.sh
.PHONY: demo demo-diffusion

# Completions are printed by srqctl itself, from the tables that it parses with.
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
nodist_bashcompletion_DATA = share/completions/srqctl
nodist_zshcompletion_DATA = share/completions/_srqctl
nodist_fishcompletion_DATA = share/completions/srqctl.fish
srqctl_completions = $(nodist_bashcompletion_DATA) $(nodist_zshcompletion_DATA) $(nodist_fishcompletion_DATA)
CLEANFILES += $(srqctl_completions)
make_completion = $(AM_V_GEN)$(MKDIR_P) share/completions && tui/srqctl/srqctl$(EXEEXT) completion
share/completions/srqctl: tui/srqctl/srqctl$(EXEEXT)
	$(make_completion) bash >$@.tmp && mv $@.tmp $@
share/completions/_srqctl: tui/srqctl/srqctl$(EXEEXT)
	$(make_completion) zsh >$@.tmp && mv $@.tmp $@
share/completions/srqctl.fish: tui/srqctl/srqctl$(EXEEXT)
	$(make_completion) fish >$@.tmp && mv $@.tmp $@

# The batch script of srq(7).
exampledir = $(docdir)/examples
dist_example_DATA = share/slurm/srq.sbatch

# The machine's service. Packages enable it; a source install only puts the files there.
nodist_systemdsystemunit_DATA = share/systemd/srqd.service
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
srqdocdir = $(docdir)
dist_srqdoc_DATA = share/systemd/srqd.conf
EXTRA_DIST += share/systemd/srqd.service.in share/systemd/srq.sysusers share/systemd/srq.tmpfiles
CLEANFILES += share/systemd/srqd.service
share/systemd/srqd.service: $(srcdir)/share/systemd/srqd.service.in
	$(AM_V_GEN)$(MKDIR_P) share/systemd && sed 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/share/systemd/srqd.service.in >$@.tmp && \
	  mv $@.tmp $@

install-data-local: install-srqd-system
install-srqd-system:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/share/systemd/srq.sysusers '$(DESTDIR)$(sysusersdir)/srq.conf'
	$(INSTALL_DATA) $(srcdir)/share/systemd/srq.tmpfiles '$(DESTDIR)$(tmpfilesdir)/srq.conf'
uninstall-local: uninstall-srqd-system
uninstall-srqd-system:
	rm -f '$(DESTDIR)$(sysusersdir)/srq.conf' '$(DESTDIR)$(tmpfilesdir)/srq.conf'
.PHONY: install-srqd-system uninstall-srqd-system
