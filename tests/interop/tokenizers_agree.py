#!/usr/bin/env python3
"""srq's ids against those of the `tokenizers` package, for many small tokenizers: patterns, sets of characters, the parts
of tokenizer.json; and against those of `transformers`, for the files beside it. Where srq refuses it is no difference; where both give ids, they are the same."""
import json
import os
import subprocess
import sys
import tempfile
import unicodedata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap

sys.path.insert(0, os.path.join(tap.TOP, "tests/reference"))
import tokenizer_cases as cases

del sys.path[0]  # its folder "tokenizers" would pass for the package

SEED = 20240611


def ours(requests):
    tool = os.path.join(tap.BUILD, "tests/interop/encode_tool")
    with tempfile.TemporaryDirectory() as folder:
        requests = [r if isinstance(r, dict) else {"tokenizer": r[0], "texts": r[1]} for r in requests]
        lines = "".join(json.dumps(r) + "\n" for r in requests)
        run = subprocess.run([tool, folder], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(requests), run.stderr
    return answers


def folder_ids(files, texts, specials):
    """What AutoTokenizer gives for a model folder."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        for name, contents in files.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(contents if isinstance(contents, str) else json.dumps(contents))
        t = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return [t(text, add_special_tokens=specials)["input_ids"] for text in texts]


def theirs(tokenizer, texts):
    """Ids for each text, or None where the package refuses (it panics where its engine gives up)."""
    from tokenizers import Tokenizer

    try:
        t = Tokenizer.from_str(json.dumps(tokenizer))
        return [t.encode(text, add_special_tokens=False).ids for text in texts]
    except BaseException as why:
        if isinstance(why, KeyboardInterrupt):
            raise
        return None


def compare(named, least=1.0):
    """All of (name, tokenizer): same ids where both give any, and srq gives some for `least` of those that the package takes."""
    named = list(named)
    answers, taken, given = ours([(t, cases.TEXTS) for _, t in named]), 0, 0
    for (name, tokenizer), answer in zip(named, answers):
        want = theirs(tokenizer, cases.TEXTS)
        taken += want is not None
        given += want is not None and "ids" in answer
        if want is None or "error" in answer:
            assert want is None or least < 1, f"{name}: {answer}"
            continue
        for text, a, b in zip(cases.TEXTS, answer["ids"], want):
            assert a == b, f"{name} on {text!r}: {a}, the package {b}"
    print(f"# {len(named)} tokenizers, {taken} that the package takes, {given} that both take")
    assert given >= least * taken, (given, taken)


@tap.test
def patterns_cut_as_the_package_cuts():
    tap.need("tokenizers")
    compare((f"{p} {b} {invert}", cases.tokenizer(pre_tokenizer=cases.split(p, b, invert)))
            for p in cases.PATTERNS for b in cases.BEHAVIORS for invert in (False, True))


@tap.test
def patterns_of_chance_cut_as_the_package_cuts():
    tap.need("tokenizers")
    print(f"# seed {SEED}")
    compare(((f"{p} {b} {invert}", cases.tokenizer(pre_tokenizer=cases.split(p, b, invert)))
             for p, b, invert in cases.generated(SEED, 1500)), 0.8)


@tap.test
def what_srq_does_not_read_is_refused_by_name():
    tap.need("tokenizers")
    requests = [(cases.tokenizer(pre_tokenizer=cases.split(p)), [""]) for p in cases.REFUSED]
    for (p, names), (tokenizer, _), answer in zip(cases.REFUSED.items(), requests, ours(requests)):
        assert theirs(tokenizer, [""]) is not None or p == "(*FAIL)", f"{p}: the package does not take it either"
        assert "tokenizer.json" in answer["error"] and names in answer["error"], f"{p}: {answer}"


@tap.test
def sets_hold_the_same_characters():
    """Each character becomes a or b, in the set or not. Unicode grows, so that only what Python's data knows is compared."""
    tap.need("tokenizers")
    chars = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs") and chr(c) != "\x01"]
    text = "".join(chars)
    requests = []
    for pattern in cases.SETS:
        normalizer = cases.sequence(cases.replace(pattern, "\x01"), cases.replace("[^\\x01]", "b"))
        requests.append((cases.tokenizer({"\x01": 0, "b": 1}, None, normalizer=normalizer), [text]))
    for pattern, (tokenizer, texts), answer in zip(cases.SETS, requests, ours(requests)):
        want = theirs(tokenizer, texts)
        assert want is not None and "ids" in answer, f"{pattern}: {answer}"
        differ = [f"U+{ord(c):04X}" for c, a, b in zip(chars, answer["ids"][0], want[0]) if a != b]
        assert len(answer["ids"][0]) == len(want[0]) == len(chars) and not differ, f"{pattern}: {len(differ)}: {differ[:8]}"


@tap.test
def parts_of_the_file_mean_the_same():
    tap.need("tokenizers")
    compare(cases.structures())


@tap.test
def members_of_a_wrong_type_are_refused_by_name():
    """Where the package refuses a member, srq does too."""
    tap.need("tokenizers")
    requests, names = [], []

    def with_member(part, name, value):
        names.append(name)
        requests.append((part, ["a"]))
        assert theirs(part, ["a"]) is None, f"{name} {value!r}: the package takes it"

    for value in (1, "yes", [], {}):
        for name in ("ignore_merges", "fuse_unk", "byte_fallback"):
            with_member(cases.tokenizer(**{name: value}), name, value)
        for name in ("single_word", "lstrip", "rstrip", "normalized", "special"):
            with_member(cases.tokenizer(added_tokens=[cases.added(999, "x", **{name: value})]), name, value)
        with_member(cases.tokenizer(pre_tokenizer=cases.split("a", invert=value)), "invert", value)
        with_member(cases.tokenizer(pre_tokenizer={"type": "Digits", "individual_digits": value}), "individual_digits", value)
        for name in ("add_prefix_space", "use_regex", "trim_offsets"):
            step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
            with_member(cases.tokenizer(pre_tokenizer=dict(step, **{name: value})), name, value)
        step = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}
        for name in ("split", "add_prefix_space", "prepend_scheme"):
            with_member(cases.tokenizer(pre_tokenizer=dict(step, **{name: value})), name, value)
        for name in ("strip_left", "strip_right"):
            with_member(cases.tokenizer(normalizer=dict(cases.strip(True, True), **{name: value})), name, value)
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        for value in (True, {}, []):
            with_member(cases.tokenizer(**{name: value}), name, value)
    with_member(cases.tokenizer(added_tokens={}), "added_tokens", {})
    with_member(cases.tokenizer(version="2.0"), "version", "2.0")
    for name, answer in zip(names, ours(requests)):
        assert "tokenizer.json" in answer.get("error", "") and name in answer["error"], f"{name}: {answer}"


@tap.test
def folders_give_the_ids_of_transformers():
    """Tokens of tokenizer_config.json, special_tokens_map.json and added_tokens.json; vocab.json with merges.txt."""
    tap.need("transformers")
    named = list(cases.folders())
    for specials in (False, True):
        answers = ours([{"files": files, "texts": cases.FOLDER_TEXTS, "specials": specials} for _, files, _, _ in named])
        for (name, files, refusal, other), answer in zip(named, answers):
            if refusal is not None:
                assert refusal in answer.get("error", ""), f"{name}: {answer}"
                continue
            want = folder_ids(files, cases.FOLDER_TEXTS, specials)
            assert "ids" in answer, f"{name}: {answer}"
            assert (answer["doubt"] is not None) == other, f"{name}: doubt {answer['doubt']}"
            assert (answer["ids"] != want) == other, f"{name}, specials {specials}: {answer['ids']}, transformers {want}"


tap.done()
