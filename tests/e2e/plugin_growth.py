#!/usr/bin/env python3
"""Structs of the plugin interface grow at their ends: plugins that were built with longer ones than the host's do what the
shipped ones do, and all that any plugin is shown says how long it is."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import CALIB, MODEL, SOURCE, Place, differing  # noqa: E402
from srqd_client import run_tests  # noqa: E402

HEADERS = os.path.join(SOURCE, "core/include")
LATER = 24  # bytes that every struct has more in the headers made here
SMALL = dict(nsamples=4, seqlen=32, batch=2, threads=2, refine=0)


def longer_headers(p):
    """The headers with another member at the end of every struct, as one of a later minor version would have."""
    folder = p.path("longer")
    os.makedirs(os.path.join(folder, "srq"))
    structs = 0
    for path in glob.glob(os.path.join(HEADERS, "srq/*.h")):
        with open(path) as f:
            text, n = re.subn(r"^(struct srq_\w+ \{\n.*?)^\};", r"\1    uint64_t later[%d];\n};" % (LATER // 8), f.read(),
                              flags=re.M | re.S)
        structs += n
        with open(os.path.join(folder, "srq", os.path.basename(path)), "w") as f:
            f.write(text)
    assert structs == 31, structs
    return folder


def build(folder, name, headers, *words):
    os.makedirs(folder, exist_ok=True)
    cc = (os.environ.get("CC") or "cc").split()
    subprocess.run([*cc, "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I" + SOURCE, "-I" + headers,
                    "-o", os.path.join(folder, name + ".so"), *words, "-lm"], check=True)


def build_shipped(folder, headers):
    shared = glob.glob(os.path.join(SOURCE, "plugins/*.c"))
    for source in glob.glob(os.path.join(SOURCE, "plugins/*/*.c")):
        build(folder, os.path.basename(source)[:-2], headers, source, *shared)


def run(p, name, plugins, method, options, **more):
    job = dict(model=MODEL, method=method, formats=["auto_round"], calib=[CALIB], output=p.path(name),
               options=dict(SMALL, **{k.replace("__", "."): v for k, v in options.items()}), **more)
    p.env["SRQ_PLUGIN_PATH"] = plugins
    p.run(p.env["SRQ_WORKER"], "--spec", p.write_job(name, job), "--dir", p.path(name + ".job"))


def no_compiler():
    return None if shutil.which((os.environ.get("CC") or "cc").split()[0]) else "there is no compiler"


def every_struct_begins_with_its_size_and_holds_no_other():
    for path in glob.glob(os.path.join(HEADERS, "srq/*.h")):
        with open(path) as f:
            for name, members in re.findall(r"^struct (srq_\w+) \{\n(.*?)^\};", f.read(), flags=re.M | re.S):
                assert members.startswith("    uint32_t size;") or name == "srq_plugin", name
                assert not re.search(r"^    (const )?struct srq_\w+ \w+", members, flags=re.M), name


def longer_structs_change_no_byte():
    if no_compiler():
        return no_compiler()
    teq = dict(teq__steps=2, teq__nsamples=4, teq__holdout=1, teq__batch=2, teq__init="awq")
    jobs = {
        "tuned": dict(method="teq,signround", scheme="w3g64", options=dict(teq, signround__iters=3)),
        "clipped": dict(method="smoothquant,omniquant", scheme="w4g64", options=dict(omniquant__iters=3)),
        "rounded": dict(method="awq,gptq", scheme="w3g64z", options=dict(gptq__range_search=True)),
        "fitted": dict(method="hqq", scheme="w2g32z", options={}),
        "budgeted": dict(method="deltaloss,knapsack,rtn", options=dict(deltaloss__nsamples=2, deltaloss__seqlen=32),
                         budget=dict(bits=3.4, candidates=["w2g64", "w3g64", "w4g64"])),
    }
    with Place() as p:
        build_shipped(p.path("same"), HEADERS)
        build_shipped(p.path("more"), longer_headers(p))
        for name, job in jobs.items():
            run(p, name, p.path("same"), **job)
            run(p, name + "-longer", p.path("more"), **job)
            assert not differing(p.path(name), p.path(name + "-longer")), name


def what_plugins_are_shown_says_how_long_it_is():
    if no_compiler():
        return no_compiler()
    source = os.path.join(SOURCE, "tests/e2e/witness_plugin.c")
    with Place() as p:
        for kind, headers, later in (("own", HEADERS, 0), ("longer", longer_headers(p), LATER)):
            for part in ("oneshot", "tunable", "scorer", "allocator", "transform"):
                build(p.path(kind + "-plugins"), part, headers, source, "-DLATER=%d" % later, '-DNAME="%s"' % part,
                      "-DGIVE=.%s = &%s_part" % (part, part))
            for quantizer in "oneshot", "tunable":
                run(p, kind + "-" + quantizer, p.path(kind + "-plugins"),
                    "scorer,allocator,transform," + quantizer, {},
                    budget=dict(bits=3.4, candidates=["w3g64", "w4g64"]))
        assert not differing(p.path("own-oneshot"), p.path("longer-oneshot"))
        assert not differing(p.path("own-tunable"), p.path("longer-tunable"))


if __name__ == "__main__":
    run_tests([
        every_struct_begins_with_its_size_and_holds_no_other,
        longer_structs_change_no_byte,
        what_plugins_are_shown_says_how_long_it_is,
    ])
