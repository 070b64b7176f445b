# For demo scripts, behind tests/lib/env.sh: commands are shown before they run, and the daemon ends with the script.
finish() {
    status=$?
    "$SRQ_CTL" daemon stop --jobs >/dev/null 2>&1 || true
    rm -rf "$SRQ_TEST_DIR"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

show() {
    printf '\n$ srqctl'
    for word in "$@"; do printf ' %s' "$word"; done
    printf '\n'
    "$SRQ_CTL" "$@"
}
