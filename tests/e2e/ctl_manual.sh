#!/bin/sh
# The EXAMPLES of srqctl(1), srqtop(1) and srq(7), run as they stand.
. "$top_srcdir/tests/lib/tap.sh"
if ! command -v bash >/dev/null 2>&1; then
    skip "examples" "there is no bash, whose syntax they use"
    done_testing
fi
. "$top_srcdir/tests/lib/env.sh"
trap '"$SRQ_CTL" daemon stop --jobs >/dev/null 2>&1; rm -rf "$SRQ_TEST_DIR"' EXIT
mkdir "$SRQ_TEST_DIR/bin"
ln -s "$SRQ_CTL" "$SRQ_TEST_DIR/bin/srqctl"
case $top_builddir in /*) built=$top_builddir ;; *) built=$PWD/$top_builddir ;; esac
ln -s "$built/tui/srqtop/srqtop" "$SRQ_TEST_DIR/bin/srqtop"
export PATH="$SRQ_TEST_DIR/bin:$PATH"
export MODEL=$top_srcdir/share/models/demo-lm TEXT=$top_srcdir/share/text/demo-eval.txt
export DDPM=$top_srcdir/share/models/demo-ddpm

# Writes each literal display of the EXAMPLES to PREFIX.1, PREFIX.2 …
displays() { # page prefix
    awk -v prefix="$2" '
        /^\.Sh / { inside = ($2 == "EXAMPLES") }
        inside && /^\.Ed/ { show = 0; close(file) }
        show { gsub(/\\e/, "\\"); print >file }
        inside && /^\.Bd/ { show = 1; file = prefix "." ++n }' "$1"
}
displays "$top_builddir/man/srqctl.1" "$SRQ_TEST_DIR/srqctl.1"
displays "$top_builddir/man/srqtop.1" "$SRQ_TEST_DIR/srqtop.1"
displays "$top_srcdir/man/srq.7" "$SRQ_TEST_DIR/srq.7"
for page in srqctl.1 srqtop.1 srq.7; do
    export OUT=$SRQ_TEST_DIR/out.$page
    found=0
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
        [ -f "$SRQ_TEST_DIR/$page.$n" ] || continue
        found=$((found + 1))
        ok "example $n of $page: $(head -n 1 "$SRQ_TEST_DIR/$page.$n")" bash -e "$SRQ_TEST_DIR/$page.$n"
    done
    ok "$page has examples" test "$found" -ge 2
done
done_testing
