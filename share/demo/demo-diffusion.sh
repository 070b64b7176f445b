#!/bin/sh
# The shipped diffusion model at 8 and at 4 bits, as a user would run it: ranges observed alone, then trained; sampled beside
# the original, exported for diffusers and for integers, and sampled from that export. Minutes, not seconds.
#
# Usage: top_srcdir=… top_builddir=… demo-diffusion.sh [OUTPUT-DIR]     (default: ./demo-diffusion-out)
set -eu
out=${1:-$PWD/demo-diffusion-out}
SRQ_TEST_DIR=$(mktemp -d /tmp/srq-demo.XXXXXX)
. "$top_srcdir/tests/lib/env.sh"
. "$top_srcdir/share/demo/show.sh"
mkdir -p "$out"
model=$top_srcdir/share/models/demo-ddpm
pictures=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz

# Words of a job, behind its method and scheme.
job() {
    name=$1
    shift
    set -- submit "$model" "$@" --set samples=256 --set sample_steps=20 --set nsamples=64 --name "$name" -o "$out/$name" \
        --force --wait
    if [ -e "$pictures" ]; then
        set -- "$@" --eval "$pictures" --features "$top_srcdir/share/models/demo-features/model.safetensors"
    fi
    show "$@"
}

show inspect "$model"
[ -e "$pictures" ] || printf '\nThere is no %s (dataset-fashion-mnist): distances from it are left out.\n' "$pictures"
job ranges-w8a8 --method diffusion-ptq --scheme w8a8 --format int8
job ranges-w4a8 --method diffusion-ptq --scheme w4a8
job trained-w4a8 --method diffusion-qat --scheme w4a8 --format fake,int8 --set diffusion-qat.steps=100 \
    --set diffusion-qat.batch=16 --set diffusion-qat.lr=5e-5 --set diffusion-qat.decay=cosine
show sample "$out/trained-w4a8/int8" --steps 20 --seed 42 -n 64 -o "$out/trained-w4a8.png" --force
show list
printf '\nThe models are in %s, with their reports and sheets of pictures; trained-w4a8.png is made of integers.\n' "$out"
