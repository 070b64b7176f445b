#!/bin/sh
# What Tab offers: the bash script is run as bash would run it, against a scripted daemon for names of jobs.
. "$top_srcdir/tests/lib/tap.sh"
ctl=${SRQ_CTL:-$top_builddir/tui/srqctl/srqctl}
export ctl
if ! command -v bash >/dev/null 2>&1; then
    skip "bash completion" "there is no bash"
    done_testing
fi
dir=$(mktemp -d /tmp/srqctl-XXXXXX)
trap 'rm -rf "$dir"' EXIT
ln -s "$ctl" "$dir/srqctl"
for shell in bash zsh fish; do "$ctl" completion $shell >"$dir/$shell"; done
touch "$dir/text-file"
mkdir "$dir/text-dir"

# offers WORD… : what Tab after the last word gives, sorted, in one line
cat >"$dir/offers" <<'END'
cd "$(dirname "$0")"
PATH=$PWD:$PATH
compopt() { :; } # works only inside a real completion
. ./bash
COMP_WORDS=(srqctl "$@")
COMP_CWORD=$#
_srqctl
printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ' | sed 's/ $//'
END
offers() { bash "$dir/offers" "$@"; }
same() { [ "$1" = "$2" ] || { echo "want: $2"; echo "seen: $1"; return 1; }; }

export SRQ_SOCKET="$dir/none"
ok "verbs are offered first" same "$(offers re)" "report resume retune"
ok "both words of a verb are offered" same "$(offers daemon '')" "drain info reload stop"
ok "verbs that change a plan have their options" same "$(offers pin j p w8 --a),$(offers heatmap j --by s)" \
    "--after,saturation sensitivity"
ok "options of the verb are offered after a dash" same "$(offers daemon stop --jo)" "--jobs"
ok "words of an option are offered after it" same "$(offers submit M --format auto_g)" "auto_gptq"
ok "samplers are offered, and steps of the high model" same "$(offers sample M --sampler d),$(offers sample M --hp)" \
    "ddim ddpm,--hp-first --hp-last"
ok "files are offered for a text, folders for an output" \
    same "$(offers submit M --eval te),$(offers submit M -o te)" "text-dir text-file,text-dir"
ok "common options are offered everywhere" same "$(offers list --soc)" "--socket"
ok "an option and its value before the verb are no verb" same "$(offers --socket x dae)" "daemon"
ok "words of a verb's argument are offered" same "$(offers completion '')" "bash fish zsh"
ok "Tab starts no daemon" sh -c "[ \"\$(bash '$dir/offers' show '')\" = '' ] && [ ! -e '$dir/none' ]"

SRQ_SOCKET="$dir/s" SRQ_STATE_DIR="$dir" SRQ_FAKE_LIFE=60 SRQ_FAKE_JOBS=2 SRQ_FAKE_LAYERS=2 \
    python3 "$top_srcdir/tests/lib/fake_srqd.py" --socket "$dir/s" &
fake=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -S "$dir/s" ] || sleep 0.2; done
export SRQ_SOCKET="$dir/s"
layers="model.layers.0.mlp.down_proj model.layers.1.mlp.down_proj"
ok "jobs of a daemon that runs are offered" same "$(offers show '')" "7f3a90c1 @last job000 job001"
ok "layers of the job are offered to pin, unpin, retune and series" same \
    "$(offers pin 7f '')|$(offers unpin 7f x model.layers.1)|$(offers retune 7f '')|$(offers series 7f --layer '')" \
    "$layers|${layers#* }|$layers|$layers"
ok "a verb's other name is completed as it is" same "$(offers status job00),$(offers ls --st),$(offers rm j '')" \
    "job000 job001,--states,7f3a90c1 @last job000 job001"
ok "after the one job of a verb nothing is offered" same "$(offers show job000 '')" ""
kill "$fake"
cat >"$dir/worker" <<'END'
#!/bin/sh
echo '{"plugins":[{"name":"rtn","options":[{"name":"mse"}]}],"job_options":[{"name":"nsamples"},{"name":"seqlen"}]}'
END
chmod +x "$dir/worker"
export SRQ_WORKER="$dir/worker"
ok "keys of --set are offered, without a daemon" same "$(offers submit M --set ''),$(offers compare M --set rt)" \
    "nsamples= rtn.mse= seqlen=,rtn.mse="

for shell in zsh fish; do
    if command -v $shell >/dev/null 2>&1; then
        ok "the script for $shell parses" $shell -n "$dir/$shell"
    else
        skip "the script for $shell parses" "there is no $shell"
    fi
done
done_testing
