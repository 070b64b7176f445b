"""Small tokenizers and texts on which engines disagree: patterns, sets of characters, added tokens, normalizers.

Used by tokenizer_reference.py, which writes what the `tokenizers` library gives for them, and by
tests/interop/tokenizers_agree.py, which compares with the library that is there. In these tokenizers each character is a
token, and another one at the end of a word, so that the ids show where words end."""
import random

TEXTS = [
    "a\nb\n", "aaaaa,{,3}", "a\vb\n", "apLb", "a\r\nb\r\n\n", "aBC aBaCc", "abaabb", "aaab",
    " e\u0301a\u00df ss SS \u017f K\u212a k", "abcde-", "it's IT'S they'RE", "x  y\t z\u0085\u180e\u200b\u00a0 w",
    "1 12 \u0663 \u00bd\u00b2 _ab_ c-d", "漢字かなカナ \u3400", "a]b[c}d{e", "\u2460\u24b6 \u200cx\u200dy", "", "\n", "\n\n", "a",
    "foo.bar(baz)=1+2;", "\x07\x08\x1b\x0c", "  a  ", "<t> a<t>b <t><t>", "word wordy 9word word", "aWORDa Ünï u\u0308",
    "cd", "éb c", "İb 1",
]
BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

PATTERNS = r"""
\n$ | $ | ^ | \Z | \z | \A | b\n$ | ^a¦b$ | a\n?\Z
. | (?m:.) | (?m)a.b | (?mi:A.B) | (?m:a.*b) | (?-mix:a)
a{,3} | a{2}? | a{1,3}? | a{1,3}+ | a** | a+* | a?+ | a*+ | a++b | (?:a+?)* | (?:a*?)+b | (?:a??)+ | a{1,2}{2} | [a-z]{2,3}?
a{,} | a{} | {a | a{1 | a{1,2 | a*? | ()
\v | \pL | \PL | \R | \N | \O | \q | \_ | \' | \- | \é | \e | \a | \f | [\b] | \012 | \0 | \x{61} | \x{1F600} | \x61 | \u0061
(?i)b¦c | a(?i)b¦c | (a(?i)b¦c)c | (?i:a)b | (?i)a(?-i)b | (?i:s) | (?i:k) | (?i:[a-z]+) | (?i:[^a-z]+) | (?i:'s¦'t¦'re) | (?i:\w+)
(?<n>a)(b)\k<n> | (a)\1 | (a)(b)\2 | (a¦b)\1 | (?:(a)¦b)*\1 | (?'n'a)\k'n'
[a-z&&[^aeiou]] | [^a-z&&[^aeiou]] | [a-z&&b-d] | [a[^b]] | [^a[^b]] | [^a[bc]] | [a&b] | [\p{L}&&[^a-c]] | [\p{L}&&\p{Lu}]
[\S\n] | [^\S\n] | [\s\S] | [\W\d] | [\D] | [^\D] | [\H] | [\w-] | [a-c-e] | [-a] | [a\-c] | [\]\[] | []a] | [^]a] | [:alpha:] | [[=a=]]
\w | \W | \w+ | \b | \B | \bb | \d | \D | \s | \S | \h | \H | [\w] | [^\w] | [\h]
[[:alpha:]] | [[:^alpha:]] | [^[:alpha:]] | [[:punct:]] | [[:space:]] | [[:upper:]] | [[:word:]] | [[:blank:]] | [[:cntrl:]] | [[:graph:]]
\p{L} | \P{L} | \p{^L} | \P{^L} | [\p{^L}] | [\P{L}] | \p{Letter} | \p{LC} | \p{Any} | \p{han} | \p{Hiragana} | \p{Punct} | \p{Alpha}
\p{Word} | \P{word} | \p{^WORD} | [\p{Word}]
(?<=a¦bc)d | (?<!a)b | (?<=\n)b | (?!a)\w | a(?=b) | (?>a¦ab)c | (?>a+)b
[^\r\n\p{L}\p{N}]?+\p{L}+ | \p{N}{1,3} | \s+(?!\S) | \s*[\r\n]+ | [一-龥ぁ-ゟ゠-ヿ]+
""".replace("\n", " | ")
PATTERNS = [p.replace("¦", "|") for p in PATTERNS.split(" | ") if p] + [" ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*", " ?[^(\\s|[.,!?…。，、।۔،])]+", " ", "a| b"]

# What the library takes and srq refuses, with what the refusal names.
REFUSED = {
    r"\X": r"\X", r"a\Kb": r"\K", r"\G": r"\G", r"\y": r"\y", r"(?x)a b": "(?x", r"(?~a)": "(?~", r"(?#x)a": "(?#", r"(?W:a)": "(?W",
    r"\cA": r"\c", r"\C-a": r"\C", r"\M-a": r"\M", r"\xc3\xa9": r"\x", r"\101": r"\1", r"a{3,1}": "n above m", r"a{2}??": "lazy",
    r"a{1,3}?+": "lazy", r"(?i:ss)": "fold to one", r"(?i:ß)": "beyond ASCII under (?i)", r"(?i:\p{Lu})": "property under (?i)",
    r"(?i:s{2})": "{n} of a letter", r"(?i:[é])": "beyond ASCII under (?i)", r"[--a]": "range after a class", r"[a-[b]]": "range after",
    r"[a&&]": "empty class", r"(?<=a+)d": "lookbehind", r"\p{InCyrillic}": "property", r"(?<n>a)(?<n>b)": "one name", r"(*FAIL)": "(*",
}

# Sets of characters, compared over all that were assigned long ago.
SETS = r"\w [\w] \d \s \S \h [[:alpha:]] [[:alnum:]] [[:digit:]] [[:punct:]] [[:space:]] [[:blank:]] [[:cntrl:]] [[:upper:]] " \
    r"[[:lower:]] [[:graph:]] [[:print:]] [[:xdigit:]] [[:word:]] [[:ascii:]] \p{Alpha} \p{Punct} \p{Alnum} \p{Graph} \p{Space} " \
    r"\p{Word} \P{Word} \p{^word} [\p{Word}] [\P{Word}] [^\p{WORD}] \p{Print} \p{Blank} \p{Cntrl} \p{Digit} \p{XDigit} \p{Upper} " \
    r"\p{Lower} \p{ASCII} [\P{Punct}] [^\p{Alpha}] \W [\W] " \
    r"\p{L} \p{M} \p{N} \p{P} \p{S} \p{Z} \p{Lu} \p{Lt} \p{Lm} \p{Lo} \p{Han} \p{Latin} \p{Greek} (?i:\w) (?i:[a-z]) (?i:k) . \N \O".split()


def vocabulary(more=()):
    chars = sorted(set("".join(TEXTS)) | set(more))
    return {t: i for i, t in enumerate(chars + [c + "$$" for c in chars])}


def tokenizer(vocab=None, suffix="$$", merges=(), **parts):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": suffix,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab or vocabulary("▁ẞ"), "merges": list(merges)}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
             "post_processor": None, "decoder": None, "model": model}
    for name, value in parts.items():
        (model if name in model else whole)[name] = value
    return whole


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def replace(pattern, content, kind="Regex"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def added(id, content, **flags):
    return dict({"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                 "special": False}, **flags)


def strip(left, right):
    return {"type": "Strip", "strip_left": left, "strip_right": right}


def structures():
    """Tokenizers of which the parts, not the patterns, are in question: (what, tokenizer)."""
    known = vocabulary("▁ẞ")
    last = len(known)
    few = {"a": 0, "b": 1, "ab": 2, "<unk>": 3, " ": 4}
    fallback = dict(few, **{"<0x%02X>" % b: 5 + b for b in range(256) if b != 0xCC})
    for flags in ({}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}, {"lstrip": True, "rstrip": True, "single_word": True}):
        for normalized in (False, True):
            more = dict(flags, normalized=normalized)
            yield f"added tokens {more}", tokenizer(
                added_tokens=[added(last, "<t>", **more), added(last + 1, "word", **more), added(last + 2, "Ünï", **more)],
                normalizer={"type": "Lowercase"}, vocab=vocabulary("▁ẞ"))
    for flags in ({"rstrip": True}, {"lstrip": True, "rstrip": True}):
        yield f"added white space that swallows its like {flags}", tokenizer(
            added_tokens=[added(last, "  ", lstrip=True), added(known["\n"], "\n", **flags, normalized=True),
                          added(known["a"], "a", **flags)])
    yield "an added word inside a word", tokenizer(few, None, ignore_merges=True, pre_tokenizer=split("[a-z]+|."),
                                                   added_tokens=[added(5, "word", single_word=True), added(6, "w", single_word=True)])
    yield "an added token that the model has", tokenizer(few, None, [["a", "b"]], added_tokens=[added(2, "ab", single_word=True)])
    yield "ids of added tokens that leave a gap", tokenizer(few, None, added_tokens=[added(70, "<t>"), added(60, "word")])
    yield "an added token twice", tokenizer(few, None, added_tokens=[added(5, "<t>"), added(5, "<t>"), added(6, "word")])
    yield "an empty added token", tokenizer(few, None, added_tokens=[added(5, ""), added(6, "word")])
    yield "an added byte", tokenizer(few, None, byte_fallback=True, unk_token="<unk>",
                                     added_tokens=[added(5, "<0x65>", single_word=True)])
    for fuse in (False, True):
        yield f"unknown characters, fused {fuse}", tokenizer(few, None, unk_token="<unk>", fuse_unk=fuse)
        yield f"bytes of the unknown, fused {fuse}", tokenizer(fallback, None, unk_token="<unk>", fuse_unk=fuse, byte_fallback=True)
        yield f"bytes without unknown, fused {fuse}", tokenizer(fallback, None, fuse_unk=fuse, byte_fallback=True)
    for kind, patterns in (("String", ["", "a", "aa", ".", "^", "\n"]), ("Regex", ["", "x*", "^", "$", "a|$", "\\b", "\\s+", "(a)"])):
        for p in patterns:
            yield f"Replace {kind} {p!r}", tokenizer(normalizer=replace(p, "b", kind))
            for b in BEHAVIORS:
                yield f"Split {kind} {p!r} {b}", tokenizer(pre_tokenizer=split(p, b, False, kind))
                yield f"Split {kind} {p!r} {b} inverted", tokenizer(pre_tokenizer=split(p, b, True, kind))
    for left in (False, True):
        for right in (False, True):
            yield f"Strip {left} {right}", tokenizer(normalizer=sequence(strip(left, right), replace("^", "b"), replace(" ", "e", "String")))
            yield f"Strip {left} {right}, added", tokenizer(normalizer=strip(left, right), added_tokens=[added(last, "<t>", normalized=True)])
    yield "Metaspace first behind what takes the beginning away", tokenizer(
        normalizer=sequence(replace("a", "", "String"), replace("b+", "")),
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True})
    marks = vocabulary("▁ẞi\u0307\u0323ẹ")
    first = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
    yield "Metaspace first behind two characters replaced by one", tokenizer(normalizer=replace("ab", "e", "String"), pre_tokenizer=first)
    yield "Metaspace first behind a run of blanks replaced", tokenizer(normalizer=replace("\\s+", "a"), pre_tokenizer=first)
    for prefix, then in ((" ", strip(True, False)), ("ab", replace("a", "", "String")), ("", replace("b", "", "String"))):
        yield f"Metaspace first behind Prepend {prefix!r} and its end", tokenizer(
            normalizer=sequence(strip(True, False), {"type": "Prepend", "prepend": prefix}, then), pre_tokenizer=first)
    for form, at in (({"type": "NFD"}, "e"), ({"type": "NFC"}, "e"), ({"type": "NFKD"}, "1"), ({"type": "Lowercase"}, "i"),
                     (replace("a", "bcb", "String"), "c"), (replace("^", "a"), "a"), (replace("$", "aa"), "a"),
                     (sequence({"type": "NFD"}, replace("e", "e\u0323", "String"), {"type": "NFC"}), "\u0301"),
                     ({"type": "Prepend", "prepend": "ab"}, "a")):
        yield f"Metaspace first of what {form} gives, cut at {at!r}", tokenizer(
            marks, normalizer=form,
            pre_tokenizer={"type": "Sequence", "pretokenizers": [split(at), {"type": "Digits", "individual_digits": True}, first]},
            added_tokens=[added(marks["b"], "b", normalized=True)])
    yield "two Metaspace first", tokenizer(pre_tokenizer={"type": "Sequence", "pretokenizers": [first, dict(first, replacement="a")]})
    yield "no normalizer in a Sequence", tokenizer(normalizer=sequence())
    yield "no pre-tokenizer in a Sequence", tokenizer(pre_tokenizer={"type": "Sequence", "pretokenizers": []})
    yield "Prepend", tokenizer(normalizer=sequence(strip(True, True), {"type": "Prepend", "prepend": "▁"}))
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield form, tokenizer(normalizer={"type": form})
    for individual in (False, True):
        yield f"Digits {individual}", tokenizer(pre_tokenizer={"type": "Digits", "individual_digits": individual})
    for scheme in ("always", "first", "never"):
        for cut in (False, True):
            yield f"Metaspace {scheme} {cut}", tokenizer(
                pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": cut},
                added_tokens=[added(last, "<t>")], normalizer=strip(True, False))


def byte_vocabulary(merges, more=()):
    """(vocabulary, merges) of the byte alphabet: `merges` are pairs of texts, `more` tokens at the end."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    chars = {b: chr(b) for b in own} | {b: chr(0x100 + i) for i, b in enumerate(others)}
    mapped = [tuple("".join(chars[b] for b in part.encode()) for part in pair) for pair in merges]
    vocab = {chars[b]: i for i, b in enumerate(range(256))}
    for left, right in mapped:
        vocab.setdefault(left + right, len(vocab))
    for text in more:
        vocab[text] = len(vocab)
    return vocab, mapped


FOLDER_TEXTS = ["ab 1234 it'S .ab e\u0301x\n\n ab <|im_start|>user<|endoftext|> 12 \u0435\u0301 ab", "<x> <|im_start|> <Y> <y>  e\u0301", ""]


def folders():
    """Model folders of which the files beside the vocabulary are in question: (what, files, what a refusal names or None,
    whether transformers cuts otherwise than tokenizer.json says)."""
    pairs = [("1", "2"), ("12", "3"), (" ", "a"), (" a", "b"), ("\n", "\n"), ("'", "S"), (".", "a"), ("a", "b")]
    vocab, merges = byte_vocabulary(pairs, ["<|endoftext|>"])
    text = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    n = len(vocab)
    token = {"content": "<|im_start|>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    typed = {"model_type": "llama"}

    def slow(config, more=None, model=typed, **files):
        return {"vocab.json": vocab, "merges.txt": text, "tokenizer_config.json": config, "config.json": model,
                **({"added_tokens.json": more} if more else {}), **files}

    def whole(config, more=None, model=typed, pre=bytes_, normalizer=None, known=(), **files):
        json = tokenizer(vocab, None, merges, pre_tokenizer=pre, normalizer=normalizer, added_tokens=list(known))
        return {"tokenizer.json": json, "tokenizer_config.json": dict({"tokenizer_class": "PreTrainedTokenizerFast"}, **config),
                "config.json": model, **({"added_tokens.json": more} if more else {}), **files}

    for name in ("GPT2Tokenizer", "Qwen2Tokenizer", "Qwen2TokenizerFast"):
        named = {"tokenizer_class": name}
        yield f"slow {name}", slow(named), None, False
        yield f"slow {name} with a prefix", slow(dict(named, add_prefix_space=True)), None, False
        yield f"slow {name}, added_tokens.json", slow(named, {"<|im_start|>": n, "<Y>": n + 1}), None, False
        yield f"slow {name}, decoder", slow(dict(named, added_tokens_decoder={str(n + 1): dict(token, content="<Y>", normalized=True, special=False), str(n): dict(token, lstrip=True)})), None, False
        yield f"slow {name}, ends", slow(dict(named, bos_token="<x>", eos_token=dict(token, __type="AddedToken"), add_bos_token=True, add_eos_token=True)), None, False
        yield f"slow {name}, a gap of ids", slow(named, {"<|im_start|>": n + 7}), '"<|im_start|>" is none of the vocabulary and has the id', False
    yield "slow, no class", slow({}, model={"model_type": "gpt2"}), None, False
    yield "slow, Qwen2 by its type", slow({}, model={"model_type": "qwen2"}), None, False
    yield "slow, Qwen2 by its type against the class", slow({"tokenizer_class": "GPT2Tokenizer"}, model={"model_type": "qwen2"}), None, False
    yield "slow CLIPTokenizer", slow({"tokenizer_class": "CLIPTokenizer"}), 'tokenizer_class "CLIPTokenizer"', False
    yield "slow, special_tokens_map.json", slow({"tokenizer_class": "GPT2Tokenizer"}, **{"special_tokens_map.json": {"bos_token": "<x>", "pad_token": dict(token, lstrip=True)}}), None, False
    yield "specials split", whole({"split_special_tokens": True}), "split_special_tokens", False

    yield "decoder", whole({"added_tokens_decoder": {str(n): token}}), None, False
    yield "decoder of other flags", whole({"added_tokens_decoder": {str(n): dict(token, lstrip=True, rstrip=True)}}, known=[added(n, "<|im_start|>")]), None, False
    yield "decoder that leaves one out", whole({"added_tokens_decoder": {str(n + 1): token}}, known=[added(n, "<x>", lstrip=True)]), None, False
    yield "decoder of a token of the model", whole({"added_tokens_decoder": {str(n - 1): dict(token, content="<|endoftext|>")}}), None, False
    yield "decoder with a gap", whole({"added_tokens_decoder": {str(n + 3): token}}), '"<|im_start|>" is none of the vocabulary', False
    yield "decoder under a normalizer", whole({"added_tokens_decoder": {str(n): dict(token, content="<Y>", normalized=True, special=False)}}, normalizer={"type": "Lowercase"}), None, False
    yield "decoder of two that are one", whole({"added_tokens_decoder": {str(n): dict(token, content="<Y>", normalized=True), str(n + 1): dict(token, content="<y>", normalized=True)}}, normalizer={"type": "Lowercase"}), '"<Y>" and "<y>" are the same', False
    yield "added_tokens.json", whole({}, {"<|im_start|>": n, "<Y>": n + 1}, normalizer={"type": "Lowercase"}), None, False
    yield "added_tokens.json, a special one", whole({"pad_token": "<Y>"}, {"<|im_start|>": n, "<Y>": n + 1}, normalizer={"type": "Lowercase"}), None, False
    yield "added_tokens.json beside a decoder", whole({"added_tokens_decoder": {}}, {"<|im_start|>": n}), None, False
    yield "named tokens", whole({"mask_token": "<x>", "eos_token": "<|im_start|>", "image_token": "<Y>"}), None, False
    yield "named tokens that are objects", whole({"mask_token": dict(token, __type="AddedToken", content="<x>", lstrip=True)}), None, False
    yield "a named token of the model", whole({"eos_token": "<|endoftext|>"}), None, False
    yield "a named token that is there", whole({"eos_token": "<x>"}, known=[added(n, "<x>", lstrip=True)]), None, False
    yield "a named token that is a number", whole({"eos_token": 3}), '"eos_token" is not a token', False
    yield "additional tokens", whole({"additional_special_tokens": ["<|im_start|>", "<x>"]}), None, False
    yield "extra tokens", whole({"extra_special_tokens": ["<x>"], "additional_special_tokens": ["<|im_start|>"]}), None, False
    yield "extra tokens by name", whole({"extra_special_tokens": {"image_token": "<x>"}}), None, False
    yield "special_tokens_map.json", whole({"eos_token": "<Y>"}, **{"special_tokens_map.json": {"eos_token": "<x>", "additional_special_tokens": ["<|im_start|>"]}}), None, False
    yield "special_tokens_map.json beside a decoder", whole({"added_tokens_decoder": {str(n): token}}, **{"special_tokens_map.json": {"eos_token": "<x>"}}), None, False
    yield "add_bos_token beside tokenizer.json", whole({"bos_token": "<x>", "add_bos_token": True}), None, False
    yield "steps of another class", whole({"tokenizer_class": "Qwen2Tokenizer"}), None, True
    yield "steps of another class by its type", whole({}, model={"model_type": "qwen2"}), None, True
    yield "digits that GPT-2 has not", whole({"tokenizer_class": "GPT2Tokenizer"}, pre={"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, bytes_]}), None, True
    yield "steps of the class", whole({"tokenizer_class": "GPT2TokenizerFast"}), None, False
    yield "a class for bytes that is not one", whole({"tokenizer_class": "LlamaTokenizerFast"}), None, False


def generated(seed, count):
    """Patterns put together at random: (pattern, behavior, invert). Many are taken by neither side."""
    r = random.Random(seed)
    atoms = (r"a b c B s é \n \s \S \w \W \d \h . \b ^ $ \A \Z \z [a-c] [^a] [^\s] [a-z&&[^b]] [\S\n] [^\W] \p{L} \P{L} \p{N} \p{Han} "
             r"[[:alpha:]] [[:^punct:]] - \R \N \O { } ] , ' \1 \2 [\p{L}\p{M}] [^[:alpha:]\s] \x{61} \u0062 | |").split() + [" "]
    repeats = [""] * 5 + "* + ? *? +? ?? *+ ++ ?+ {2} {2}? {1,2} {,2} {1,} {1,2}? {1,2}+ {2}+ ** +*".split()
    groups = ("(?:%s) (%s) (?>%s) (?=%s) (?!%s) (?<=%s) (?<!%s) (?i:%s) (?m:%s) (?i)%s (?<n>%s) (?-i:%s) ((?i)%s) (?:%s|%s)").split()

    def one(depth):
        out = ""
        for _ in range(r.randint(1, 4)):
            group = r.choice(groups) if depth and r.random() < 0.35 else None
            atom = group % tuple(one(depth - 1) for _ in range(group.count("%s"))) if group else r.choice(atoms)
            out += atom + r.choice(repeats)
        return out

    return [(one(2), r.choice(BEHAVIORS), r.random() < 0.3) for _ in range(count)]
