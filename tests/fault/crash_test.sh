#!/bin/sh
# A worker is killed just before one of its writes, fsyncs, renames and unlinks in the job directory or the output, then
# started again: what it exports must be what an undisturbed run exports, byte for byte.
#
# By default a choice of these moments is tried: one of every call on every kind of file, torn where it is a write, and
# others spread over the run. SRQ_CRASH_ALL=1 tries every one, whole and torn.
. "$top_srcdir/tests/lib/env.sh"
exec 2>/dev/null # the shell's own words about killed children
trap 'rm -rf "$SRQ_TEST_DIR"' EXIT
lib=$top_builddir/tests/fault/.libs/crash_at.so
share=$top_srcdir/share
if [ ! -f "$lib" ]; then
    echo "1..0 # SKIP the preloaded library was not built"
    exit 0
fi
count=0
ok() { count=$((count + 1)); echo "ok $count - $1"; }
not_ok() { count=$((count + 1)); echo "not ok $count - $1"; failed=1; }

# A job that takes a fraction of a second, as it is run twice for each moment: three small blocks (a first, a middle and a
# last one), three iterations, a checkpoint at each, a window of evaluation.
base=$SRQ_TEST_DIR/base model=$SRQ_TEST_DIR/model
"${SRQ_PYTHON:-python3}" "$top_srcdir/tests/lib/make_model.py" "$model" --blocks 3 || exit 1
spec=$SRQ_TEST_DIR/job.json
cat > "$spec" <<JSON
{"model": "$model", "method": "signround", "scheme": "w4g64", "output": "out", "formats": ["auto_round"],
 "calib": ["$share/text/demo-calib.txt"], "eval": ["$share/text/demo-eval.txt"],
 "options": {"nsamples": 2, "seqlen": 16, "batch": 1, "threads": 1, "probe_every": 2, "probe_samples": 1,
             "checkpoint_s": 0, "eval.windows": 1, "eval.seqlen": 16, "signround.iters": 3}}
JSON
worker() { (cd "$1" && "$SRQ_WORKER" --spec "$spec" --dir "$1/job" >>"$1/log" 2>&1); }
crashing() { # where, N, torn, of which calls
    (cd "$1" && SRQ_CRASH_UNDER=$1 SRQ_CRASH_AT=$2 SRQ_CRASH_TORN=$3 SRQ_CRASH_CALL=$4 LD_PRELOAD=$lib \
        "$SRQ_WORKER" --spec "$spec" --dir "$1/job" >>"$1/log" 2>&1)
}
same() { diff -r -x report.json "$base/out" "$1/out" >>"$1/log" 2>&1; }

mkdir "$base"
if ! (cd "$base" && SRQ_CRASH_UNDER=$base SRQ_CRASH_LOG=$SRQ_TEST_DIR/calls LD_PRELOAD=$lib \
        "$SRQ_WORKER" --spec "$spec" --dir "$base/job" >"$base/log" 2>&1); then
    sed 's/^/# /' "$base/log"
    echo "Bail out! the undisturbed run failed"
    exit 1
fi
calls=$(wc -l < "$SRQ_TEST_DIR/calls")
ok "an undisturbed run makes $calls calls that change files"

mkdir "$SRQ_TEST_DIR/again"
worker "$SRQ_TEST_DIR/again"
if same "$SRQ_TEST_DIR/again"; then ok "two runs give the same bytes"; else not_ok "two runs give the same bytes"; fi

# Which of them: lines "N TORN K CALL NAME", the Nth call of all being the Kth like it. Time decides how many checkpoints there
# are, so that another run's Nth call need not be the same.
if [ "${SRQ_CRASH_ALL:-0}" = 1 ]; then
    awk '{ k = ++like[$0]; print NR, 0, k, $0; if ($1 ~ /write/) print NR, 1, k, $0 }' "$SRQ_TEST_DIR/calls" \
        > "$SRQ_TEST_DIR/moments"
else
    awk 'function moment(n, torn) { print n, torn, nth[n], line[n] }
         { line[NR] = $0; nth[NR] = ++like[$0]
           kind = $2; gsub(/[0-9]+/, "N", kind); sub(/^.*\.json/, "x.json", kind); key = $1 " " kind
           if (!(key in seen)) order[++n] = key
           seen[key]++; at[key, seen[key]] = NR }
         END { for (i = 1; i <= n; i++) { k = order[i]; moment(at[k, int((seen[k] + 1) / 2)], k ~ /write/) }
               for (i = 1; i < 8; i++) moment(int(NR * i / 8), i % 2) }' "$SRQ_TEST_DIR/calls" |
        sort -n -u > "$SRQ_TEST_DIR/moments"
fi

while read -r at torn nth what; do
    run=$SRQ_TEST_DIR/killed
    rm -rf "$run"
    mkdir "$run"
    crashing "$run" "$nth" "$torn" "$what"
    code=$?
    if [ "$code" -ne 137 ]; then
        not_ok "killed before call $at, $what (exit code $code)"
        continue
    fi
    tries=1
    until worker "$run"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 2 ]; then break; fi
    done
    if same "$run"; then
        ok "killed before call $at, $what, torn $torn: the same bytes"
    else
        not_ok "killed before call $at, $what, torn $torn: the same bytes"
        tail -5 "$run/log" | sed 's/^/# /'
    fi
done < "$SRQ_TEST_DIR/moments"
echo "1..$count"
exit ${failed:-0}
