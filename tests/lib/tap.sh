# TAP for shell tests: ok "what" command…, not_ok, skip, done_testing.
tap_n=0
tap_failed=0
tap_begun=$(date +%s)
tap_result() { # status name
    tap_n=$((tap_n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $tap_n - $2"; else echo "not ok $tap_n - $2"; tap_failed=1; fi
    echo "# that took $(($(date +%s) - tap_begun)) s"
    tap_begun=$(date +%s)
}
ok() { # name command…
    tap_name=$1
    shift
    if tap_out=$("$@" 2>&1); then tap_result 0 "$tap_name"; else
        tap_result 1 "$tap_name"
        printf '%s\n' "$tap_out" | sed 's/^/# /'
    fi
}
skip() { tap_n=$((tap_n + 1)); echo "ok $tap_n - $1 # SKIP $2"; }
done_testing() { echo "1..$tap_n"; exit "$tap_failed"; }
