#!/bin/sh
# srq-worker alone: what it refuses and with which exit code, orders given while it runs, little memory, several formats,
# and that every event fits the message table.
. "$top_srcdir/tests/lib/env.sh"
exec 2>/dev/null
trap 'rm -rf "$SRQ_TEST_DIR"' EXIT
share=$top_srcdir/share
cd "$SRQ_TEST_DIR" || exit 1
count=0
check() { # status name
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; failed=1; fi
}
# job NAME METHOD "more members" "more options": writes NAME.json, output NAME
job() {
    cat > "$1.json" <<JSON
{"model": "$share/models/demo-lm", "method": "$2", "scheme": "w4g64", "output": "$SRQ_TEST_DIR/$1",
 "calib": ["$share/text/demo-calib.txt"] $3,
 "options": {"nsamples": 4, "seqlen": 32, "batch": 2, "threads": 1, "probe_every": 2, "probe_samples": 2,
             "eval.windows": 2, "eval.seqlen": 32 $4}}
JSON
}
has() { grep -q -- "$1" "$2"; }

"$SRQ_WORKER" --nonsense >answer 2>words
[ $? -eq 2 ] && has usage words
check $? "what is not understood gives the usage and code 2"
"$SRQ_WORKER" --help | grep -q "srq-worker --spec"
check $? "--help says how it is used"
"$SRQ_WORKER" --describe | grep -q '"name":"signround"'
check $? "--describe names the plugins"
"$SRQ_WORKER" --inspect "$share/models/demo-lm" | grep -q '"blocks":6'
check $? "--inspect counts blocks"
"$SRQ_WORKER" --inspect "$SRQ_TEST_DIR/nowhere" >answer
[ $? -eq 1 ] && has '"error"' answer
check $? "--inspect of nothing answers with an error and code 1"

job plan signround ', "layers": [{"pattern": "*.k_proj", "scheme": "w8"}]' ''
"$SRQ_WORKER" --plan <plan.json >answer && has '"average_bits"' answer && has 'runtimes fuse' answer && [ ! -e plan ]
check $? "--plan gives sizes and says what a pin widens, and writes nothing"
job bad signround ', "layers": [{"pattern": "layers.99.*", "scheme": "w8"}]' ''
"$SRQ_WORKER" --plan <bad.json >answer
[ $? -eq 1 ] && has 'matches nothing; the model has model.layers.0' answer && has '"field":"layers"' answer
check $? "a pattern that matches nothing is refused with the range of names"
job bad signround ', "formats": ["gguf2"]' ''
"$SRQ_WORKER" --plan <bad.json >answer
[ $? -eq 1 ] && has 'no export format' answer && has '"field":"formats"' answer
check $? "an unknown format is refused"
job bad signround ', "quant_lm_head": true' ''
"$SRQ_WORKER" --plan <bad.json >answer
[ $? -eq 1 ] && has 'tied to the embedding' answer
check $? "a tied lm_head is refused"
job bad signround '' ', "max_memory": "1M"'
"$SRQ_WORKER" --plan <bad.json >answer
[ $? -eq 1 ] && has 'the job needs' answer && has 'tuner: activations' answer
check $? "memory that cannot suffice is refused with the table"
mkdir taken && echo precious >taken/file
job taken signround '' ''
"$SRQ_WORKER" --plan <taken.json >answer
[ $? -eq 1 ] && has '"code":"exists"' answer
check $? "an output that exists is refused"
job taken signround ', "force": true' ''
"$SRQ_WORKER" --plan <taken.json >answer
[ $? -eq 1 ] && has precious taken/file
check $? "force does not replace a folder that holds no model"

# Two formats, events, the report.
job two signround ", \"formats\": [\"auto_round\", \"fake\"], \"eval\": [\"$share/text/demo-eval.txt\"]" ', "signround.iters": 6'
"$SRQ_WORKER" --spec two.json >words 2>&1
[ $? -eq 0 ] && [ -f two/auto_round/model.safetensors ] && [ -f two/fake/model.safetensors ] && [ -f two/report.json ]
check $? "several formats are folders in the output, the report beside them"
"$SRQ_WORKER" --spec two.json >words 2>&1
check $? "a job that is done is done at once when asked again"
job two signround ', "formats": ["fake"]' ', "signround.iters": 7'
"$SRQ_WORKER" --spec two.json --dir two.srq-job >words 2>&1
check $? "nor is it run anew"

# Stored activations on disk give the same bytes as in memory.
job roomy signround '' ', "signround.iters": 2'
sed -i 's/"nsamples": 4, "seqlen": 32/"nsamples": 32, "seqlen": 128/' roomy.json
needed=$("$SRQ_WORKER" --plan <roomy.json | sed 's/.*"memory":{.*"planned_bytes":\([0-9]*\)},"disk".*/\1/')
sed "s,/roomy\",/tight\",; s/\"batch\"/\"max_memory\": $((needed - 1000000)), &/" roomy.json >tight.json
"$SRQ_WORKER" --spec roomy.json >words 2>&1 && "$SRQ_WORKER" --spec tight.json >words 2>&1
[ $? -eq 0 ] && has 'go to disk' words && diff -r -x report.json roomy tight >words 2>&1
check $? "with less memory activations go to disk and the bytes are the same"

# A second worker, a pause, an order to finish.
job long signround '' ', "signround.iters": 4000, "checkpoint_s": 0.1'
"$SRQ_WORKER" --spec long.json >words 2>&1 &
pid=$!
until grep -q '"event":"checkpoint"' long.srq-job/journal.ndjson || ! kill -0 "$pid"; do sleep 0.05; done
"$SRQ_WORKER" --job long.srq-job >answer 2>&1
[ $? -eq 12 ] && has "process $pid" answer
check $? "a second worker is turned away with code 12 and who has the job"
kill -TERM "$pid"
wait "$pid"
[ $? -eq 10 ] && has '"state":"paused"' long.srq-job/journal.ndjson
check $? "SIGTERM pauses: code 10, and the journal says so"
sed -i 's/"threads":[^,]*/"threads": 2/' long.srq-job/spec.json
"$SRQ_WORKER" --job long.srq-job >answer 2>&1
[ $? -eq 1 ] && has 'threads was "1" and is "2"' answer
check $? "a resume under other conditions is refused, naming what differs"
sed -i 's/"accept_drift":[^,]*/"accept_drift": true/; s/"iters":[^,]*/&/' long.srq-job/spec.json
"$SRQ_WORKER" --job long.srq-job >answer 2>&1 &
pid=$!
until [ "$(grep -c 'goes on at iteration' long.srq-job/journal.ndjson)" -ge 1 ] || ! kill -0 "$pid"; do sleep 0.05; done
has 'threads was' long.srq-job/journal.ndjson
check $? "where drift is accepted it goes on, and the journal says from what"
kill -TERM "$pid"
wait "$pid"
echo "1..$count"
exit ${failed:-0}
