# Measurements beside the anchor figures of another implementation (../shared/assets/anchors.json). Each speaks TAP, ends
# with a non-zero status when a bound is missed, and is skipped with its reason where something that it needs is absent.
EXTRA_DIST += tests/reference/fidelity.py
measuring = SRQ_WORKER='$(abs_top_builddir)/daemon/srq-worker/srq-worker'; export SRQ_WORKER; \
	SRQ_PLUGIN_PATH=`echo '$(abs_top_builddir)'/plugins/*/.libs | tr ' ' ':'`; export SRQ_PLUGIN_PATH; \
	SRQ_PLUGIN_DIR=/nonexistent; export SRQ_PLUGIN_DIR; \
	SRQ_SHARED="$${SRQ_SHARED:-$(abs_top_srcdir)/../shared}"; export SRQ_SHARED

# Perplexity and KL of tuned models: `make fidelity`, or part of it with MODEL=demo-lm SCHEME=w3g128 VERSION=1 SEEDS=1
# ITERS=50 SET="signround.decay=linear".
FIDELITY_BOUND = 0.95
FIDELITY_SLACK = 0
SEEDS = 3
fidelity: all
	@$(measuring); $(PYTHON3) $(srcdir)/tests/reference/fidelity.py --bound $(FIDELITY_BOUND) --slack $(FIDELITY_SLACK) \
	  --seeds $(SEEDS) $${MODEL:+--model "$$MODEL"} $${SCHEME:+--scheme "$$SCHEME"} $${VERSION:+--version "$$VERSION"} \
	  $${ITERS:+--iters "$$ITERS"} $${SET:+--set "$$SET"}

# One seed on the demo model: bounds that hold whatever the seed's luck. The excess of a row has a standard deviation of about
# 0.0005 at 4 bits (sqrt(2 KL / tokens)), ours and the anchor's alike; the KL bounds are the narrow ones.
fidelity-demo: all
	@$(measuring); $(PYTHON3) $(srcdir)/tests/reference/fidelity.py --model demo-lm --seeds 1 --bound 1.3 --slack 0.002

# Time of an iteration: `make peer`; PEER_ARGS='--rounds 1' and others go to the script.
peer: all
	@$(measuring); $(PYTHON3) $(srcdir)/tests/bench/peer.py $(PEER_ARGS)

# Mixed bits by sensitivity: `make allocation`; ALLOCATION_ARGS='--bits 3.5' and others go to the script.
allocation: all
	@$(measuring); $(PYTHON3) $(srcdir)/tests/reference/allocation.py "$$SRQ_WORKER" "$$SRQ_PLUGIN_PATH" "$$SRQ_SMOLLM2" \
	  "$$SRQ_SHARED/assets/text/wiki-valid.txt" "$$SRQ_SHARED/assets/text/wiki-test.txt" --random 0 \
	  --anchors "$$SRQ_SHARED/assets/anchors.json" $(ALLOCATION_ARGS)
.PHONY: fidelity fidelity-demo peer allocation

# What calibration and training make of the demo diffusion model, with distances over 2,000 pictures: `make diffusion-table`, an
# hour; DIFFUSION_ARGS='--only w4a8 --samples 256' is a part of it.
EXTRA_DIST += tests/reference/diffusion_table.py
diffusion-table: all
	@$(measuring); top_srcdir='$(abs_top_srcdir)' $(PYTHON3) $(srcdir)/tests/reference/diffusion_table.py $(DIFFUSION_ARGS)
.PHONY: diffusion-table

# Whether jobs still give the tensors whose hashes are stored: `make same-results`.
EXTRA_DIST += tests/reference/same_results.py tests/reference/same_results.json
same-results: all
	@$(measuring); $(PYTHON3) $(srcdir)/tests/reference/same_results.py $(SAME_ARGS)
.PHONY: same-results
