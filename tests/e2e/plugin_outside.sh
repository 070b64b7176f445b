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

# Plugins of an older minor version go on working: their headers are kept as they were.
compile_old() {
    $compiler -std=c17 -Wall -Wextra -Werror -O2 -fPIC -shared -I"$top_srcdir/tests/e2e/abi_$3" -o "$SRQ_TEST_DIR/$1.so" \
        "$top_srcdir/tests/e2e/$2.c"
}

headers_do_not_reach_into_the_tree() {
    ! grep -rn '#include "core/' "$root"
}

for plugin in rtn signround gptq awq hqq omniquant; do
    ok "the shipped $plugin passes the suite of plugins" "$suite" "$top_builddir/plugins/$plugin/.libs/$plugin.so"
done
for abi in 1_0 1_1; do
    version=$(echo "$abi" | tr _ .)
    ok "a one-shot plugin compiles with the headers of ABI $version" compile_old dither outside_plugin $abi
    ok "the one-shot plugin of ABI $version passes the suite" "$suite" "$SRQ_TEST_DIR/dither.so"
    ok "a tunable plugin compiles with the headers of ABI $version" compile_old nudge outside_tunable $abi
    ok "the tunable plugin of ABI $version passes the suite" "$suite" "$SRQ_TEST_DIR/nudge.so"
done
if ! command -v pkg-config >/dev/null; then
    skip "a plugin compiles outside the tree" "there is no pkg-config"
    done_testing
fi
ok "headers and pkg-config file are installed" install_headers
ok "installed headers need nothing of the tree" headers_do_not_reach_into_the_tree
ok "a plugin compiles with them alone" compile
ok "it passes the same suite" "$suite" "$SRQ_TEST_DIR/dither.so"
done_testing
