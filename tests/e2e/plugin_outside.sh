#!/bin/sh
# A plugin built outside the tree, with nothing but the installed headers and pkg-config, does what the shipped ones do.
. "$top_srcdir/tests/lib/tap.sh"
. "$top_srcdir/tests/lib/env.sh"
trap 'rm -rf "$SRQ_TEST_DIR"' EXIT

suite=$top_builddir/tests/e2e/plugin_suite
root=$SRQ_TEST_DIR/root
compiler=${CC:-cc}

install_headers() {
    (cd "$top_builddir" && ${MAKE:-make} -s install-srqincludeHEADERS install-pkgconfigDATA DESTDIR="$root")
}

compile() {
    pc=$(find "$root" -name srq.pc) || return 1
    flags=$(PKG_CONFIG_PATH=$(dirname "$pc") PKG_CONFIG_SYSROOT_DIR=$root pkg-config --cflags srq) || return 1
    # shellcheck disable=SC2086
    $compiler -std=c17 -Wall -Wextra -Werror -O2 -fPIC -shared $flags -o "$SRQ_TEST_DIR/dither.so" \
        "$top_srcdir/tests/e2e/outside_plugin.c"
}

compile_old() {
    $compiler -std=c17 -Wall -Wextra -Werror -O2 -fPIC -shared -I"$top_srcdir/tests/e2e/abi_1_1" -o "$SRQ_TEST_DIR/old.so" \
        "$top_srcdir/tests/e2e/old_plugin.c"
}
old_is_refused() {
    ! "$suite" "$SRQ_TEST_DIR/old.so" 2>"$SRQ_TEST_DIR/said" || return 1
    grep -qx "plugin $SRQ_TEST_DIR/old.so was built for ABI 1.1, this srq has 2\.[0-9]*; build it again with the headers of this srq (srq-plugin(7))" \
        "$SRQ_TEST_DIR/said" || { cat "$SRQ_TEST_DIR/said"; return 1; }
}

headers_do_not_reach_into_the_tree() {
    ! grep -rn '#include "core/' "$root"
}

for plugin in rtn signround gptq awq hqq omniquant; do
    ok "the shipped $plugin passes the suite of plugins" "$suite" "$top_builddir/plugins/$plugin/.libs/$plugin.so"
done
ok "a plugin compiles with the headers of ABI 1.1" compile_old
ok "it is refused with what it was built for, what this srq has, and what to do" old_is_refused
if ! command -v pkg-config >/dev/null; then
    skip "a plugin compiles outside the tree" "there is no pkg-config"
    done_testing
fi
ok "headers and pkg-config file are installed" install_headers
ok "installed headers need nothing of the tree" headers_do_not_reach_into_the_tree
ok "a plugin compiles with them alone" compile
ok "it passes the same suite" "$suite" "$SRQ_TEST_DIR/dither.so"
done_testing
