#!/bin/sh
# A worker is killed (SIGKILL) again and again at moments drawn at random, until it comes to its end: the output is that of
# an undisturbed run, kills land inside blocks, and the time lost is bounded by the checkpoints.
. "$top_srcdir/tests/lib/env.sh"
exec 2>/dev/null # the shell's own words about killed children
trap 'rm -rf "$SRQ_TEST_DIR"' EXIT
share=$top_srcdir/share
kills_wanted=${SRQ_KILLS:-12}
count=0
ok() { count=$((count + 1)); echo "ok $count - $1"; }
not_ok() { count=$((count + 1)); echo "not ok $count - $1"; failed=1; }
check() { if [ "$1" -eq 0 ]; then ok "$2"; else not_ok "$2"; fi; }

spec=$SRQ_TEST_DIR/job.json
cat > "$spec" <<JSON
{"model": "$share/models/demo-lm", "method": "signround", "scheme": "w3g64", "output": "out", "formats": ["auto_round"],
 "calib": ["$share/text/demo-calib.txt"], "eval": ["$share/text/demo-eval.txt"],
 "options": {"nsamples": 4, "seqlen": 32, "batch": 2, "threads": 1, "probe_every": 10, "probe_samples": 2,
             "checkpoint_s": 0.05, "eval.windows": 4, "eval.seqlen": 64, "signround.iters": 40}}
JSON
base=$SRQ_TEST_DIR/base run=$SRQ_TEST_DIR/killed
mkdir "$base" "$run"
start=$(date +%s%N)
if ! (cd "$base" && "$SRQ_WORKER" --spec "$spec" --dir "$base/job" >"$base/log" 2>&1); then
    sed 's/^/# /' "$base/log"
    echo "Bail out! the undisturbed run failed"
    exit 1
fi
took_ms=$((($(date +%s%N) - start) / 1000000))

# The first right after a checkpoint inside a block, whatever the machine's speed.
(cd "$run" && exec "$SRQ_WORKER" --spec "$spec" --dir "$run/job" >>"$run/log" 2>&1) &
pid=$!
until grep -q '"event":"checkpoint"' "$run/job/journal.ndjson" || ! kill -0 "$pid"; do sleep 0.01; done
kill -9 "$pid"
wait "$pid"
# Moments from a small generator with a fixed seed, between 50 ms and a third of an undisturbed run.
seed=12345 kills=1 code=137
echo "# seed $seed"
span=$((took_ms / 3 + 100))
while [ "$kills" -lt "$kills_wanted" ]; do
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    wait_ms=$((50 + seed / 65536 % span))
    (cd "$run" && exec "$SRQ_WORKER" --spec "$spec" --dir "$run/job" >>"$run/log" 2>&1) &
    pid=$!
    sleep "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))"
    kill -9 "$pid" 2>/dev/null
    wait "$pid"
    code=$?
    [ "$code" -eq 137 ] || break
    kills=$((kills + 1))
done
if [ "$code" -eq 137 ]; then
    (cd "$run" && "$SRQ_WORKER" --spec "$spec" --dir "$run/job" >>"$run/log" 2>&1)
    code=$?
fi
check "$code" "a worker killed $kills times comes to its end"
diff -r -x report.json "$base/out" "$run/out" >>"$run/log" 2>&1
check $? "its output is that of an undisturbed run"
grep -q 'goes on at iteration [1-9]' "$run/job/journal.ndjson"
check $? "a restart went on inside a block, at an iteration above 0"
[ "$(grep -c '"event":"block.end"' "$run/job/journal.ndjson")" -eq 6 ]
check $? "every block ended once in the journal"

# A pause is a checkpoint and an end with code 10.
rm -rf "$run"
mkdir "$run"
(cd "$run" && exec "$SRQ_WORKER" --spec "$spec" --dir "$run/job" >>"$run/log" 2>&1) &
pid=$!
until grep -q '"event":"tune.point"' "$run/job/journal.ndjson" 2>/dev/null || ! kill -0 "$pid"; do sleep 0.02; done
kill -TERM "$pid"
wait "$pid"
[ $? -eq 10 ]
check $? "SIGTERM ends a worker with code 10"
(cd "$run" && "$SRQ_WORKER" --spec "$spec" --dir "$run/job" >>"$run/log" 2>&1) &&
    diff -r -x report.json "$base/out" "$run/out" >>"$run/log" 2>&1
check $? "and the job goes on to the same bytes"
[ "${failed:-0}" -eq 0 ] || tail -30 "$run/log" | sed 's/^/# /'
echo "1..$count"
exit ${failed:-0}
