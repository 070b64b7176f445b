# Sourced by shell tests and by the demo: runs the programs of this build tree without installing them.
# Needs top_srcdir and top_builddir; gives a private socket, state and runtime directory under $SRQ_TEST_DIR.
: "${top_srcdir:?}" "${top_builddir:?}"
SRQ_SRQD=$top_builddir/daemon/srqd/srqd
SRQ_WORKER=$top_builddir/daemon/srq-worker/srq-worker
SRQ_CTL=$top_builddir/tui/srqctl/srqctl
SRQ_PLUGIN_PATH=
for srq_plugin_dir in "$top_builddir"/plugins/*/.libs; do
    SRQ_PLUGIN_PATH=${SRQ_PLUGIN_PATH:+$SRQ_PLUGIN_PATH:}$srq_plugin_dir
done
SRQ_TEST_DIR=${SRQ_TEST_DIR:-$(mktemp -d /tmp/srq-test.XXXXXX)}
SRQ_SOCKET=${SRQ_SOCKET:-$SRQ_TEST_DIR/srqd.sock}
SRQ_STATE_DIR=${SRQ_STATE_DIR:-$SRQ_TEST_DIR/state}
SRQ_RUNTIME_DIR=${SRQ_RUNTIME_DIR:-$SRQ_TEST_DIR/run}
SRQ_CACHE_DIR=${SRQ_CACHE_DIR:-$SRQ_TEST_DIR/cache}
SRQ_PLUGIN_DIR=${SRQ_PLUGIN_DIR:-/nonexistent} # no plugin of an srq that is installed
SRQ_CONFIG=${SRQ_CONFIG:-$SRQ_TEST_DIR/srqd.conf} # nor settings of the user's own daemon
SRQ_SHARED=${SRQ_SHARED:-$top_srcdir/../shared}
OMP_WAIT_POLICY=passive
mkdir -p "$SRQ_STATE_DIR" "$SRQ_RUNTIME_DIR"
chmod 700 "$SRQ_STATE_DIR" "$SRQ_RUNTIME_DIR"
[ -e "$SRQ_CONFIG" ] || : >"$SRQ_CONFIG"
export SRQ_PLUGIN_DIR SRQ_CONFIG SRQ_CACHE_DIR SRQ_SRQD SRQ_WORKER SRQ_CTL SRQ_PLUGIN_PATH SRQ_TEST_DIR SRQ_SOCKET SRQ_STATE_DIR SRQ_RUNTIME_DIR SRQ_SHARED
export OMP_WAIT_POLICY
