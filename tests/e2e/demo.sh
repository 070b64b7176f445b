#!/bin/sh
# The demo that README promises, run as it stands: it comes to its end and leaves three models with their reports.
. "$top_srcdir/tests/lib/tap.sh"
. "$top_srcdir/tests/lib/env.sh"
trap 'rm -rf "$SRQ_TEST_DIR"' EXIT

out=$SRQ_TEST_DIR/out
ends() {
    sh "$top_srcdir/share/demo/demo.sh" "$out" >"$SRQ_TEST_DIR/said" 2>&1 || { tail -n 20 "$SRQ_TEST_DIR/said"; return 1; }
}
says() { grep -q "$1" "$SRQ_TEST_DIR/said"; }
whole() { test -s "$out/rounded/report.json" && test -s "$out/tuned/report.json" && test -s "$out/pictures/samples.png"; }

ok "it comes to its end" ends
ok "its models are there" whole
ok "it shows a report" says '^\$ srqctl report'
ok "it compares pictures" says '^squared difference'
done_testing
