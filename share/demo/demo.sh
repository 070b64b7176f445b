#!/bin/sh
# The main jobs on the shipped demo models, as a user would run them: a language model by plain rounding and by SignRound
# with their table, a diffusion model trained with its rounding.
#
# Runs the programs of a build tree ($top_builddir) without installing them, with a daemon of its own that ends with it.
# Usage: top_srcdir=… top_builddir=… demo.sh [OUTPUT-DIR]     (default: ./demo-out)
set -eu
out=${1:-$PWD/demo-out}
SRQ_TEST_DIR=$(mktemp -d /tmp/srq-demo.XXXXXX)
. "$top_srcdir/tests/lib/env.sh"
. "$top_srcdir/share/demo/show.sh"
mkdir -p "$out"
model=$top_srcdir/share/models/demo-lm
calib=$top_srcdir/share/text/demo-calib.txt
eval_text=$top_srcdir/share/text/demo-eval.txt
scheme=w3g128

show inspect "$model"
show submit "$model" --method rtn --scheme "$scheme" --eval "$eval_text" --set eval.windows=32 --set eval.seqlen=256 \
    --name rounded -o "$out/rounded" --force --wait
show submit "$model" --method signround --scheme "$scheme" --calib "$calib" --eval "$eval_text" \
    --set nsamples=32 --set seqlen=256 --set eval.windows=32 --set signround.iters=60 \
    --name tuned -o "$out/tuned" --force --wait
show report @last
show submit "$top_srcdir/share/models/demo-ddpm" --method diffusion-qat --scheme w4a8 --set diffusion-qat.steps=20 \
    --set diffusion-qat.warmup=8 --set diffusion-qat.batch=8 --set diffusion-qat.lr=2e-4 \
    --set nsamples=8 --set samples=8 --set sample_steps=10 --name pictures -o "$out/pictures" --force --wait
show list
printf '\nThe models are in %s (rounded, tuned, pictures); their reports are report.json there.\n' "$out"
