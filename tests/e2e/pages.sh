#!/bin/sh
# The examples of srq-plugin(7), srq-job(5), srq-measured(7) and README.md, taken out of the text and run on a small model.
. "$top_srcdir/tests/lib/tap.sh"
. "$top_srcdir/tests/lib/env.sh"
trap '"$SRQ_CTL" daemon stop --jobs >/dev/null 2>&1; rm -rf "$SRQ_TEST_DIR"' EXIT
python=${SRQ_PYTHON:-python3}
cd "$SRQ_TEST_DIR" || exit 1
mkdir bin home
ln -s "$SRQ_CTL" bin/srqctl
ln -s "$SRQ_WORKER" bin/srq-worker
PATH=$SRQ_TEST_DIR/bin:$PATH

make_model() { "$python" "$top_srcdir/tests/lib/make_model.py" "$@"; }
make_model "$SRQ_TEST_DIR/tiny" --blocks 1 || exit 1

# The nth literal display of a page, as a reader sees it.
display() { # page n
    awk -v want="$2" '
        /^\.Ed/ { show = 0 }
        show { gsub(/\\e/, "\\"); print }
        /^\.Bd/ { show = ++n == want }' "$1"
}
refused_with() { # text command…
    want=$1
    shift
    if out=$("$@" 2>&1); then echo "not refused: $out"; return 1; fi
    case $out in *"$want"*) ;; *) echo "$out"; return 1 ;; esac
}

# ---- srq-plugin(7) ----
page=$top_srcdir/man/srq-plugin.7
display "$page" 1 >shrink.c
display "$page" 2 >build.sh
display "$page" 3 >even.c
display "$page" 4 >build-even.sh
display "$page" 5 >fisher.c
display "$page" 6 >build-fisher.sh
display "$page" 7 >greedy.c
display "$page" 8 >build-greedy.sh
display "$page" 9 >budget.sh
warning_free() { # file
    cc -std=c17 -Wall -Wextra -Wshadow -Werror -O2 -fPIC -shared $(pkg-config --cflags srq) -o "$SRQ_TEST_DIR/warned.so" "$1" -lm
}
says_part() { # plugin part
    srqctl plugin info "$1" --json | "$python" -c '
import json, sys
parts = json.load(sys.stdin)["parts"]
assert parts == [sys.argv[1]], parts' "$2"
}
# The budget is kept, by plans of several schemes; no plan beats the bound, and the best one is that of knapsack, or better.
within_budget() {
    "$python" - "$OUT" "$SRQ_TEST_DIR/best" <<'END'
import json, os, sys
mine, best = (json.load(open(os.path.join(folder, "report.json"))) for folder in sys.argv[1:])
a, b = mine["allocation"], best["allocation"]
assert mine["size"]["average_bits"] <= 4 and abs(mine["size"]["average_bits"] - a["average_bits"]) < 1e-9, mine["size"]
of = {layer["scheme"] for layer in mine["layers"] if layer["source"] == "allocator"}
assert len(of) > 1, of
assert 0 < a["bound"] <= b["loss"] * (1 + 1e-9) and b["loss"] <= a["loss"] * (1 + 1e-9), (a, b)
front = a["front"]
assert len(front) > 2, front
assert all(x["average_bits"] < y["average_bits"] and x["loss"] > y["loss"] for x, y in zip(front, front[1:])), front
for x in front:  # no plan of the exact front beats one of these
    assert not any(y["average_bits"] <= x["average_bits"] and y["loss"] < x["loss"] * (1 - 1e-9) for y in b["front"]), x
END
}
ok "srq-plugin(7) begins with the whole of shrink.c" grep -q '^/\* shrink.c \*/' shrink.c
ok "then says how it is built and tried" grep -q 'pkg-config --cflags srq' build.sh
if ! command -v pkg-config >/dev/null; then
    skip "it builds as the page says" "there is no pkg-config"
elif ! command -v cc >/dev/null; then
    skip "it builds as the page says" "there is no cc"
else
    (cd "$top_builddir" && ${MAKE:-make} -s install-srqincludeHEADERS install-pkgconfigDATA \
        DESTDIR="$SRQ_TEST_DIR/root") >/dev/null 2>&1
    PKG_CONFIG_PATH=$(dirname "$(find root -name srq.pc)")
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR="$SRQ_TEST_DIR/root"
    ok "it builds and describes itself as the page says" sh -e build.sh
    ok "and so does the transform" sh -e build-even.sh
    ok "and so does the scorer" sh -e build-fisher.sh
    ok "and so does the allocator" sh -e build-greedy.sh
    for name in shrink even fisher greedy; do
        ok "$name.c is free of warnings" warning_free $name.c
    done
    "$SRQ_CTL" daemon stop >/dev/null 2>&1 # it was started with the page's plugin path alone
    while [ -S "$SRQ_SOCKET" ]; do sleep 0.1; done
    SRQ_PLUGIN_PATH=$SRQ_PLUGIN_PATH:$SRQ_TEST_DIR
    export SRQ_PLUGIN_PATH
    ok "a job runs with it" srqctl submit tiny -m shrink -s w4g32 -o shrunk --set shrink.factor=0.9 --wait
    ok "its output is a model that srq reads" srqctl inspect shrunk
    ok "a job runs with the transform before it" srqctl submit tiny -m even,shrink -s w4g32 -o evened --wait
    ok "its scales are in the output" test -s evened/srq_scales.st
    ok "the scorer says what it is" says_part fisher scorer
    ok "and so does the allocator" says_part greedy allocator
    export MODEL="$SRQ_TEST_DIR/tiny" CALIB="$top_srcdir/share/text/demo-calib.txt" OUT="$SRQ_TEST_DIR/budgeted"
    ok "a budget is spent by both as the page says" sh -e budget.sh
    ok "the shipped allocator takes the scores too" srqctl submit "$MODEL" --method fisher,knapsack,rtn --budget 4 \
        --calib "$CALIB" -o best --wait
    ok "the budget is kept, and the bound and the front are those of all plans" within_budget
    ok "its option is checked against its table" refused_with "from 0.1 to 1" \
        srqctl submit tiny -m shrink -s w4g32 -o other --set shrink.factor=1.5
    ok "and nothing is left of the refusal" test ! -e other
fi

# ---- srq-job(5) ----
# /models/SmolLM2-135M-Instruct is the small model, /data/*.txt the shipped texts, and the result comes here.
display "$top_builddir/man/srq-job.5" 1 | sed -e "s#/models/SmolLM2-135M-Instruct#$SRQ_TEST_DIR/tiny#" \
    -e "s#/data/calib.txt#$top_srcdir/share/text/demo-calib.txt#" -e "s#/data/eval.txt#$top_srcdir/share/text/demo-eval.txt#" \
    -e "s#/models/SmolLM2-w4#$SRQ_TEST_DIR/page-out#" >job.json
ok "the example of srq-job(5) is a job" srqctl submit --job job.json --dry-run
pinned() {
    srqctl --json submit --job job.json --dry-run | "$python" -c '
import json, sys
layers = json.load(sys.stdin)["layers"]
assert layers and all(l["scheme"] == ("w8g64" if l["name"].endswith("down_proj") else "w4g64") for l in layers), layers'
}
ok "its plan is the one that the page tells" pinned

# ---- srq-measured(7) ----
display "$top_srcdir/man/srq-measured.7" 3 >compare.sh
compared() { # as the page says, on the small model
    MODEL=$SRQ_TEST_DIR/tiny CALIB=$top_srcdir/share/text/demo-calib.txt EVAL=$top_srcdir/share/text/demo-eval.txt \
        sh -e compare.sh && test -s compare.html
}
ok "methods are compared as the page says" compared

# ---- README.md ----
# Commands run as they stand, in a home of their own: ~/models/SmolLM2-135M-Instruct is the small model there, its GGUF
# file ~/models/SmolLM2-F16.gguf, ~/models/demo-ddpm a small diffusion model (demo.sh has the shipped one trained),
# calib.txt and eval.txt are the shipped texts, and job.json is the job above.
HOME=$SRQ_TEST_DIR/home
export HOME
mkdir "$HOME/models"
make_model "$HOME/models/SmolLM2-135M-Instruct" --blocks 1 --hidden 64 --heads 1 --kv 1 --mlp 64
cp -R "$top_srcdir/tests/reference/unets/plain" "$HOME/models/demo-ddpm"
chmod -R u+w "$HOME/models/demo-ddpm"
srqctl submit "$HOME/models/SmolLM2-135M-Instruct" -m rtn -s bf16 -F gguf -o "$HOME/plain" --wait >/dev/null 2>&1
mv "$HOME/plain/model.gguf" "$HOME/models/SmolLM2-F16.gguf"
cp "$top_srcdir/share/text/demo-calib.txt" "$HOME/calib.txt"
cp "$top_srcdir/share/text/demo-eval.txt" "$HOME/eval.txt"
sed -e "s#$SRQ_TEST_DIR/tiny#$HOME/models/SmolLM2-135M-Instruct#" -e "s#$SRQ_TEST_DIR/page-out#$HOME/from-file#" job.json \
    >"$HOME/job.json"
cd "$HOME" || exit 1
awk '
    /^    / { line = substr($0, 5); if (more || line ~ /^(srqctl|srq-worker) /) { print line; more = line ~ /\\$/ } next }
    { more = 0 }' "$top_srcdir/README.md" | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' >commands
ok "README.md has the commands of its first job and of a run without a daemon" sh -c \
    "grep -q '^srqctl submit .*--wait' commands && grep -q '^srq-worker --spec job.json' commands"
while read -r command; do
    # shellcheck disable=SC2088
    ok "README.md: $command" sh -c "$command" </dev/null
done <commands
ok "the first job's result is there" test -s "$HOME/models/SmolLM2-w4g64/report.json"
ok "and that of a GGUF file is one" test -s "$HOME/models/SmolLM2-q4_k/model.gguf"
ok "and that of the run without a daemon" test -s "$HOME/from-file/report.json"
cd / && done_testing
