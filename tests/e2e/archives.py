#!/usr/bin/env python3
"""Models in archives with the real programs: the same bytes as from the folder, unpacked once, begun again after a kill,
and refused by name where an archive is hostile."""
import contextlib
import glob
import gzip
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import EVAL, SOURCE, Place, differing, wait_until  # noqa: E402
from srqd_client import run_tests  # noqa: E402

UNET = os.path.join(SOURCE, "tests/reference/unets/plain")
FEW = {"samples": 2, "sample_steps": 4, "nsamples": 4, "threads": 2, "diffusion-ptq.batches": 2, "diffusion-ptq.batch": 4}


def zstd(data):
    """A frame of stored blocks: what any zstd reads, without a zstd to write it."""
    out, step = b"\x28\xb5\x2f\xfd\x00\x38", 128 << 10
    for at in range(0, max(len(data), 1), step):
        part = data[at:at + step]
        out += struct.pack("<I", len(part) << 3 | (at + step >= len(data)))[:3] + part
    return out


def tar(entries):
    """entries: (name, bytes or TarInfo to be changed by a function)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, data, *change in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for f in change:
                f(info)
            t.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def zipped(entries, how=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, data, *_ in entries:
            z.writestr(name, data)
    return out.getvalue()


def files(folder, below=""):
    found = []
    for at, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(at, name)
            with open(path, "rb") as f:
                found.append((os.path.join(below, os.path.relpath(path, folder)), f.read()))
    return sorted(found)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def unpacked(p):
    return sorted(os.path.basename(x) for x in glob.glob(p.path("cache", "archive-*")))


def parts(p):
    return glob.glob(p.path("cache", "part-*"))


def worker(p, name, model, method="diffusion-ptq", scheme="w8a8", formats=("fake",), code=0, **more):
    job = dict({"model": model, "method": method, "scheme": scheme, "formats": list(formats), "output": p.path(name),
                "options": FEW}, **more)
    return p.run(p.env["SRQ_WORKER"], "--spec", p.write_job(name, job), "--dir", p.path(name + ".job"), code=code)


def inspect(p, model):
    return p.ctl("inspect", model)


def refused(p, name, data, *says):
    """What inspect says of an archive with these bytes, which leaves nothing behind."""
    path = write(p.path(name), data)
    text = p.run(p.env["SRQ_CTL"], "inspect", path, code=1)
    for s in says:
        assert s in text, (name, s, text)
    assert not parts(p) and not unpacked(p), (name, os.listdir(p.path("cache")))
    return text


def an_archive_is_the_folder_that_it_holds():
    with Place() as p:
        worker(p, "want", UNET)
        top, inside = files(UNET), files(UNET, "plain")
        archives = {
            "a.tar": tar(inside), "b.tar.gz": gzip.compress(tar(top)), "c.tar.zst": zstd(tar([("./" + n, d) for n, d in inside])),
            "d.zip": zipped(inside), "e.zip": zipped(top, zipfile.ZIP_STORED),
            "no suffix": tar(top + [("._unet", b"x"), ("__MACOSX/plain/._config.json", b"x"), (".DS_Store", b"x")]),
        }
        for name, data in archives.items():
            path = write(p.path(name), data)
            worker(p, "out " + name, path)
            assert not differing(p.path("want"), p.path("out " + name)), name
            about = inspect(p, path)
            assert about["path"] == path and dict(about, path=UNET) == inspect(p, UNET), about
        if shutil.which("zstd"):
            path = p.path("f.tar.zst")
            subprocess.run(["zstd", "-q", "-o", path, p.path("a.tar")], check=True)
            worker(p, "out f", path)
            assert not differing(p.path("want"), p.path("out f"))


def pictures_are_sampled_from_an_archive():
    with Place() as p:
        path = write(p.path("model.tar.gz"), gzip.compress(tar(files(UNET))))
        for name, model in (("a.npy", UNET), ("b.npy", path)):
            p.ctl("sample", model, "--steps", "3", "-n", "2", "--npy", p.path(name))
        with open(p.path("a.npy"), "rb") as a, open(p.path("b.npy"), "rb") as b:
            assert a.read() == b.read()


def a_language_model_comes_in_an_archive_too():
    with Place() as p:
        folder = p.path("model")
        subprocess.run([sys.executable, os.path.join(SOURCE, "tests/lib/make_model.py"), folder], check=True)
        path = write(p.path("model.zip"), zipped(files(folder, "some model")))
        for name, model in (("want", folder), ("out", path)):
            worker(p, name, model, "rtn", "w4g32", ("auto_round",), eval=[EVAL],
                   options={"eval.windows": 2, "eval.seqlen": 16, "threads": 2})
        assert not differing(p.path("want"), p.path("out"))
        results = [p.ctl("eval", m, "--eval", EVAL, "--set", "eval.windows=2", "--set", "eval.seqlen=16")
                   for m in (folder, path)]
        assert results[0]["perplexity"] == results[1]["perplexity"], results


def the_daemon_takes_an_archive():
    with Place() as p:
        path = write(p.path("model.tar"), tar(files(UNET, "plain")))
        job = {"model": path, "method": "diffusion-ptq", "scheme": "w8a8", "formats": ["fake"], "options": FEW}
        p.wait(p.submit("out", job))
        worker(p, "want", UNET)
        assert not differing(p.path("want"), p.path("out"))
        text = p.run(p.env["SRQ_CTL"], "submit", write(p.path("bad.tar"), tar([("../x", b"")])), "-o", p.path("no"),
                     "-m", "diffusion-ptq", "-s", "w8a8", "-F", "fake", code=1)
        assert "../x" in text, text


def an_output_is_packed_beside_its_folder():
    with Place() as p:
        for kind in ("tar", "tar.gz", "tar.zst", "zip"):
            for name in ("a", "b"):
                os.mkdir(p.path(name + kind))
                worker(p, name + kind + "/out", UNET, options=dict(FEW, archive=kind))
            out, packed = p.path("a" + kind, "out"), p.path("a" + kind, "out." + kind)
            with open(packed, "rb") as a, open(p.path("b" + kind, "out." + kind), "rb") as b:
                assert a.read() == b.read(), kind
            assert sorted(os.listdir(p.path("a" + kind))) == sorted(["out", "out." + kind, "out.job", "out.json"])
            inspect(p, packed)
            have, = unpacked(p)
            assert not differing(out, p.path("cache", have, "out")), kind
            assert not os.path.exists(p.path("cache", have, "out", "report.json"))
            assert dict(inspect(p, packed), path=out) == inspect(p, out)
            shutil.rmtree(p.path("cache"))
        os.rename(p.path("atar", "out"), p.path("atar", "moved"))
        text = worker(p, "atar/out2", UNET, output=p.path("atar/out"), options=dict(FEW, archive="tar"), code=1)
        assert "out.tar exists" in text, text


def names_of_outputs_are_checked_before_the_work():
    """An archive is an output like its folder, for other jobs and for what is there; and both names must be possible."""
    with Place() as p:
        def submit(name, code=0, **more):
            job = {"model": UNET, "method": "rtn", "scheme": "w8", "formats": ["fake"], "output": p.path(name), **more}
            return p.run(p.env["SRQ_CTL"], "submit", "--job", p.write_job("job", job), "--paused", code=code)
        for first, second in (({"name": "a.tar.gz"}, {"name": "a", "options": {"archive": "tar.gz"}}),
                              ({"name": "b", "options": {"archive": "zip"}}, {"name": "b.zip"})):
            submit(**first)
            said = submit(code=1, **second)
            assert "is going to write %s already" % p.path(first["name"] if "." in first["name"] else second["name"]) in said, said
        os.mkdir(p.path("c.tar"))
        said = submit("c", code=1, force=True, options={"archive": "tar"})
        assert "c.tar exists and is no file" in said, said
        most = os.pathconf(p.top, "PC_NAME_MAX")
        submit("x" * (most - 9))
        assert "bytes, and %d are possible there" % (most - 9) in submit("y" * (most - 8), code=1)
        assert "are possible there" in submit("y" * (most - 9), code=1, options={"archive": "tar"})
        assert "are possible there" in submit("y" * (most + 1) + "/x", code=1)


def what_was_unpacked_is_found_by_its_content():
    with Place() as p:
        path = write(p.path("model.tar"), tar(files(UNET)))
        inspect(p, path)
        have, = unpacked(p)
        before = os.stat(p.path("cache", have, "unet")).st_ino
        shutil.copy(path, p.path("copy.tar"))
        inspect(p, path)
        inspect(p, p.path("copy.tar"))
        assert unpacked(p) == [have] and os.stat(p.path("cache", have, "unet")).st_ino == before
        # another content under the same name is another model, though the old one is remembered
        write(path, tar(files(os.path.join(SOURCE, "tests/reference/unets/narrow"))))
        assert inspect(p, path)["pictures"]["channels"] == 3
        assert len(unpacked(p)) == 2
        # what was not opened for long goes when another one comes
        long_ago = time.time() - 40 * 86400
        os.utime(p.path("cache", have), (long_ago, long_ago))
        write(p.path("third.tar"), tar(files(os.path.join(SOURCE, "tests/reference/unets/headless"))))
        inspect(p, p.path("third.tar"))
        assert have not in unpacked(p) and len(unpacked(p)) == 2
        # and is unpacked again where it is wanted again
        inspect(p, p.path("copy.tar"))
        assert have in unpacked(p)


def a_kill_while_unpacking_leaves_nothing_that_counts():
    with Place() as p:
        big = random.Random(1).randbytes(1 << 20) * 192
        path = write(p.path("model.tar"), tar([("other.bin", big)] + files(UNET)))
        worker_ = subprocess.Popen([p.env["SRQ_WORKER"], "--inspect", path], env=p.env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        wait_until("a folder that is being filled", lambda: parts(p) or worker_.poll() is not None, pause=0.001)
        worker_.send_signal(signal.SIGKILL)
        worker_.wait()
        assert parts(p) and not unpacked(p), os.listdir(p.path("cache"))
        assert inspect(p, path)["family"] == "UNet2DModel"
        assert not parts(p) and len(unpacked(p)) == 1


def two_at_once_share_one_folder():
    with Place() as p:
        path = write(p.path("model.tar"), tar(files(UNET) + [("x.bin", random.Random(2).randbytes(8 << 20))]))
        both = [subprocess.Popen([p.env["SRQ_WORKER"], "--inspect", path], env=p.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL) for _ in range(3)]
        for one in both:
            assert json.loads(one.communicate()[0])["family"] == "UNet2DModel"
        assert not parts(p) and len(unpacked(p)) == 1


def hostile_archives_are_refused_by_their_entry():
    def kind(what, to=""):
        def change(info):
            info.type, info.linkname = what, to
        return change

    fine = files(UNET)
    whole = tar(fine)
    named = [
        ("../evil", "leads out of the folder"), ("a/../../evil", "leads out of the folder"), ("/tmp/evil", "is absolute"),
        ("a//b", "has an empty component"), ("a\\b", "has a backslash"), ("a\nb", "control character"),
        ("d/" * 40 + "f", "is deeper than 16"), ("n" * 300, "more than 255 bytes"), ("d/" * 600 + "f", "longer than 1024"),
    ]
    special = [(tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, "unet"), (tarfile.LNKTYPE, "unet/config.json"),
               (tarfile.CHRTYPE, ""), (tarfile.FIFOTYPE, "")]
    with Place() as p:
        for name, says in named:
            shown = name[:20].replace("\n", "\\x0a")
            refused(p, "m.tar", tar(fine + [(name, b"x")]), 'entry "' + shown.replace("\\b", ""), says)
            if "\\" not in name and "\n" not in name and len(name) < 500:
                refused(p, "m.zip", zipped(fine + [(name, b"x")]), says)
        for what, to in special:
            refused(p, "m.tar", tar(fine + [("unet/extra", b"", kind(what, to))]), 'entry "unet/extra"', "is a link or a device")
        refused(p, "m.tar", tar(fine + [("unet/config.json", b"{}")]), 'entry "unet/config.json" is there twice')
        refused(p, "m.tar", tar(fine + [("unet/config.json/x", b"{}")]), 'entry "unet/config.json/x" is in a folder that')
        refused(p, "m.tar", tar([("x%d" % i, b"") for i in range(10001)]), "more than 10000 entries")
        # cut short, at many places; behind the last file's data only zeros are missing
        last = whole.rstrip(b"\0")
        for at in range(700, len(last), len(last) // 12):
            for name, data in (("m.tar", whole[:at]), ("m.tar.gz", gzip.compress(whole)[:at // 4]),
                               ("m.tar.zst", zstd(whole)[:at]), ("m.zip", zipped(fine)[:at // 4])):
                refused(p, name, data, p.path(name))
        # damaged
        broken = bytearray(zipped(fine, zipfile.ZIP_STORED))
        at = broken.index(fine[-1][1]) + len(fine[-1][1]) // 2
        broken[at] ^= 0xff
        refused(p, "m.zip", bytes(broken), 'entry "unet/diffusion_pytorch_model.safetensors" cannot be unpacked')
        packed = bytearray(gzip.compress(whole))
        packed[-6] ^= 0xff  # of the checksum
        refused(p, "m.tar.gz", bytes(packed), p.path("m.tar.gz"))
        # nothing, and nothing that is a model
        refused(p, "m.tar", tar([]), "m.tar")
        refused(p, "m.tar", tar([("readme", b"hello")]), "holds no model")
        refused(p, "m.tar", tar(files(UNET, "a") + files(UNET, "b")), "holds several models")
        text = p.run(p.env["SRQ_CTL"], "inspect", write(p.path("m.bin"), b"\0" * 2000), code=1)
        assert "nor an archive of one (.tar, .tar.gz, .tar.zst, .zip)" in text, text


def what_grows_beyond_measure_is_refused():
    fine = files(UNET)
    with Place() as p:
        # 300 MiB of nothing in a few hundred kB, in one entry and in many
        for name, entries in (("one", [("zeros", bytes(300 << 20))]), ("many", [("z%d" % i, bytes(3 << 20)) for i in range(100)])):
            refused(p, "bomb.tar.gz", gzip.compress(tar(fine + entries), 1), "it becomes more than", 'entry "z')
            refused(p, "bomb.zip", zipped(fine + entries), "it becomes more than", 'entry "z')
        # what is declared is not what comes: sizes in the entry's own header and in the directory are changed
        data = b"0123456789" * 1000
        for declared in (10, 9999, 10001, 1 << 20):
            z = bytearray(zipped(fine + [("unet/liar", data)]))
            crc = struct.pack("<III", zlib.crc32(data), 0, len(data))
            for at in (i for i in range(len(z)) if z[i:i + 4] == crc[:4] and z[i + 8:i + 12] == crc[8:]):
                z[at + 8:at + 12] = struct.pack("<I", declared)
            refused(p, "liar.zip", bytes(z), 'entry "unet/liar"')
        # a tar that declares a terabyte
        t = bytearray(tar([("huge", b"x")]))
        t[124:136] = b"%011o\0" % ((1 << 33) - 1)
        t[148:156] = b" " * 8
        t[148:156] = b"%06o\0 " % sum(t[:512])
        refused(p, "huge.tar", bytes(t), 'entry "huge" of 8589934591 bytes', "it becomes more than")


def a_full_disk_is_said_before_it_is_full():
    with tempfile.TemporaryDirectory() as d:
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", d],
                                               capture_output=True).returncode:
            return "a small file system cannot be mounted here (root can)"
        with contextlib.ExitStack() as stack:
            stack.callback(subprocess.run, ["umount", "-l", d], check=False)
            with Place() as p:
                p.env["SRQ_CACHE_DIR"] = d
                big = random.Random(3).randbytes(1 << 20) * 60
                path = write(p.path("model.tar"), tar(files(UNET) + [("z.bin", big)]))
                text = p.run(p.env["SRQ_CTL"], "inspect", path, code=1)
                assert 'entry "z.bin" has 62914560 bytes, and %s' % d in text, text
                assert not os.listdir(d), os.listdir(d)


def without_a_cache_an_archive_is_refused():
    with Place() as p:
        p.env["SRQ_CACHE_DIR"] = ""
        text = p.run(p.env["SRQ_CTL"], "inspect", write(p.path("m.tar"), tar(files(UNET))), code=1)
        assert "there is no cache folder to unpack it into" in text, text


if __name__ == "__main__":
    run_tests([
        an_archive_is_the_folder_that_it_holds,
        pictures_are_sampled_from_an_archive,
        a_language_model_comes_in_an_archive_too,
        the_daemon_takes_an_archive,
        an_output_is_packed_beside_its_folder,
        names_of_outputs_are_checked_before_the_work,
        what_was_unpacked_is_found_by_its_content,
        a_kill_while_unpacking_leaves_nothing_that_counts,
        two_at_once_share_one_folder,
        hostile_archives_are_refused_by_their_entry,
        what_grows_beyond_measure_is_refused,
        a_full_disk_is_said_before_it_is_full,
        without_a_cache_an_archive_is_refused,
    ])
