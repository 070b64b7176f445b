#!/bin/sh
# Every verb of srqctl with the real daemon and worker on the demo model.
. "$top_srcdir/tests/lib/tap.sh"
. "$top_srcdir/tests/lib/env.sh"
python=${SRQ_PYTHON:-python3}
model=$top_srcdir/share/models/demo-lm
text=$top_srcdir/share/text/demo-eval.txt
calib=$top_srcdir/share/text/demo-calib.txt
dir=$SRQ_TEST_DIR
short="--set nsamples=8 --set seqlen=64 --set eval.windows=4 --set eval.seqlen=64"
trap '"$SRQ_CTL" daemon stop --jobs >/dev/null 2>&1; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# json EXPRESSION : true when the Python expression over `a`, the JSON on standard input, is
json() { "$python" -c 'import json,sys; a=json.load(sys.stdin); sys.exit(0 if eval(sys.argv[1]) else (print(a), 1)[1])' "$1"; }
# ctl_json EXPRESSION WORD… : the same over what srqctl answers
ctl_json() {
    ctl_expression=$1
    shift
    "$SRQ_CTL" --json "$@" | json "$ctl_expression"
}
exits() { # code WORD… : srqctl exits so
    ctl_want=$1
    shift
    "$SRQ_CTL" "$@"
    ctl_got=$?
    [ "$ctl_got" -eq "$ctl_want" ] || { echo "exit code $ctl_got, not $ctl_want"; return 1; }
}
says() { # text WORD… : the answer for people, or the complaint, has the text
    ctl_want=$1
    shift
    ctl_out=$("$SRQ_CTL" "$@" 2>&1)
    case $ctl_out in *"$ctl_want"*) ;; *) echo "$ctl_out"; return 1 ;; esac
}

ok "doctor finds daemon, worker and plugins before anything runs" says "signround" doctor
ok "doctor is content" ctl_json "a['ok'] and not [c for c in a['checks'] if c['status'] == 'failure']" doctor
ok "doctor names who computes products, as the worker tells" \
    ctl_json "[c['text'] for c in a['checks'] if c['check'] == 'products'][0].startswith(json.loads(
        __import__('subprocess').check_output(['$SRQ_WORKER', '--machine']))['gemm'])" doctor
ok "doctor has started no daemon" exits 3 daemon info
ok "plugin list names both algorithms" ctl_json "{p['name'] for p in a['plugins']} >= {'rtn', 'signround'}" plugin list
ok "plugin info shows options with their defaults" says "signround.iters" plugin info signround
ok "plugin info of an unknown name is refused" exits 1 plugin info nosuch
ok "daemon info shows the socket" ctl_json "a['socket'] == '$SRQ_SOCKET' and a['mode'] == 'user'" daemon info
ok "list of no jobs says how to submit one" says "no jobs" list

ok "dry run prints plan, memory, disk and size" says "self_attn.q_proj" submit "$model" -m rtn -s w4g128 -o "$dir/o" --dry-run
ok "dry run has every layer in JSON" ctl_json "len(a['layers']) == 42 and a['memory']['planned_bytes'] > 0" \
    submit "$model" -m rtn -s w4g128 -o "$dir/o" --dry-run
ok "dry run submits nothing" ctl_json "a['jobs'] == []" list

ok "a model that does not exist is refused with its path" says "$dir/nosuch" submit nosuch -m rtn -s w4g128 -o o
ok "and with exit code 1" exits 1 submit nosuch -m rtn -s w4g128 -o o
ok "an option out of range is refused with its name" \
    ctl_json "a['error']['field'] == 'options.signround.iters'" \
    submit "$model" -m signround -s w4g128 --calib "$calib" --set signround.iters=-1 -o o
ok "a pattern that matches nothing is refused" says "nothing.*" submit "$model" -m rtn -s w4g128 -l 'nothing.*=w8' -o o

# shellcheck disable=SC2086
ok "submit --wait ends with the table" says "average bits" \
    submit "$model" -m rtn -s w4g128 --eval "$text" $short -o rounded --wait
ok "the output is there with its report" test -s "$dir/rounded/report.json"
ok "an output that exists is refused" exits 1 submit "$model" -m rtn -s w4g128 -o rounded
ok "report shows what report.json holds" \
    ctl_json "a['eval']['after']['perplexity'] == json.load(open('$dir/rounded/report.json'))['eval']['after']['perplexity']" \
    report @last
ok "report --layers has the layers" says "model.layers.5.mlp.down_proj" report @last --layers
ok "plan groups the layers" says "0-5" plan @last
ok "plan --layers lists them" says "model.layers.3.mlp.up_proj" plan @last --layers
ok "show says how it ended" says "done" show @last
ok "list shows it done" ctl_json "[j['state'] for j in a['jobs']] == ['done']" list
ok "list --states leaves others out" ctl_json "a['jobs'] == []" list --states failed
ok "eval agrees with the job's measurement" \
    ctl_json "abs(a['perplexity'] / json.load(open('$dir/rounded/report.json'))['eval']['after']['perplexity'] - 1) < 0.002" \
    eval rounded --eval "$text" --set eval.windows=4 --set eval.seqlen=64
ok "inspect tells a compressed folder" says "llama" inspect rounded

# shellcheck disable=SC2086
job=$("$SRQ_CTL" submit "$model" -m signround -s w4g64 --calib "$calib" $short --set signround.iters=100000 -o tuned \
    --name slow --json | "$python" -c 'import json,sys; print(json.load(sys.stdin)["job"])')
ok "submit --json in \$(…) gives the id at once" test -n "$job"
ok "the beginning of an id names the job" ctl_json "a['job'] == '$job'" show "${job%?}"
ok "wait --timeout leaves a running job with exit code 6" exits 6 wait "$job" --timeout 3
ok "watch on a pipe shows its stages" sh -c "'$SRQ_CTL' watch $job --timeout 120 | grep -m 1 -q '^quantize'"
began=$(date +%s)
left_with_reader() { # by SIGPIPE, or, where whoever runs this ignores it, with a word
    { "$SRQ_CTL" watch "$job" --timeout 120 2>said; echo $? >left; } | grep -m 1 -q '^quantize'
    test "$(cat left)" -eq 141 || grep -q "nobody reads" said
}
ok "and ends with who reads it" left_with_reader
ok "without waiting for more to tell" test $(($(date +%s) - began)) -lt 60
ok "series has a block's losses" ctl_json "len(a['points']) > 0 and a['points'][0]['value'] > 0" series "$job" --block 0
ok "priority is set" ctl_json "a['priority'] == -5" priority "$job" -- -5
ok "pause ends in the paused state" exits 0 pause "$job"
for _ in $(seq 300); do
    "$SRQ_CTL" show "$job" --json | json "a['state'] == 'paused'" >/dev/null && break
    sleep 0.2
done
ok "a paused job has no worker" ctl_json "a['state'] == 'paused' and a['pid'] is None" show "$job"
ok "resume takes it back" exits 0 resume "$job"
ok "finish rounds the rest and exports" sh -c "'$SRQ_CTL' finish $job && '$SRQ_CTL' wait $job --timeout 120"
ok "log prints the job's messages" exits 0 log "$job"
ok "log --worker prints what its worker printed" exits 0 log "$job" --worker -n 5
# shellcheck disable=SC2086
ok "cancel ends a job: wait exits with 7" sh -c "'$SRQ_CTL' submit '$model' -m signround -s w4g64 --calib '$calib' \
    $short --set signround.iters=100000 -o never >/dev/null && '$SRQ_CTL' cancel @last && \
    { '$SRQ_CTL' wait @last --timeout 60; [ \$? -eq 7 ]; }"
ok "no such job is exit code 4" exits 4 show nosuchjob
ok "delete forgets a job; its output stays" sh -c "'$SRQ_CTL' delete $job && [ -s tuned/report.json ] && \
    { '$SRQ_CTL' show $job; [ \$? -eq 4 ]; }"
ok "gc says what would go" exits 0 gc --dry-run
ok "drain starts nothing more, and is taken back" sh -c "'$SRQ_CTL' daemon drain | grep -q draining && \
    '$SRQ_CTL' daemon drain --off | grep -q again"
ok "reload says what was read" exits 0 daemon reload

# shellcheck disable=SC2086
ok "submit --wait survives a restart of the daemon" sh -c "'$SRQ_CTL' submit '$model' -m signround -s w4g64 \
    --calib '$calib' $short --set signround.iters=150 -o again --wait >again.log 2>&1 & p=\$!; \
    until '$SRQ_CTL' list --json | grep -Eq '\"state\": ?\"running\"'; do kill -0 \$p || break; sleep 0.1; done; \
    '$SRQ_CTL' daemon stop && '$SRQ_CTL' list >/dev/null; wait \$p || { cat again.log; exit 1; }"
pid=$("$SRQ_CTL" daemon info --json | tr ',' '\n' | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
ok "daemon stop ends it" exits 0 daemon stop
ok "and returns when it is gone" sh -c "{ ! kill -0 '$pid' 2>/dev/null || grep -q ') Z' '/proc/$pid/stat'; } && [ ! -S '$SRQ_SOCKET' ]"
ok "then nobody answers" exits 3 daemon info
done_testing
