"""Golden ids for the tokenizer tests.

Trains tiny tokenizers of the kinds that language models use, with the `tokenizers` library, on a text of this file, and
writes for each a folder FOLDER/KIND with tokenizer.json (or vocab.json and merges.txt) and ids.json: for every text of
FOLDER/probes.json the library's ids without special tokens, and with them (null where that is the same).

    python3 tests/reference/tokenizer_reference.py [--cases] tests/reference/tokenizers share/models/demo-lm

Training breaks ties in no fixed order, so that tokenizers and ids change together from run to run.
The ids of the demo model's own tokenizer go to FOLDER/demo-lm.

FOLDER/cases.json holds what the library gives for the small tokenizers of tokenizer_cases.py, which are not trained: rows
of a name, the tokenizer (its vocabulary by index) and the ids of every text. With --cases only that file is written.
"""
import json
import os
import sys

import tokenizer_cases as cases
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

TEXT = [
    "The quick brown fox jumps over the lazy dog; the dog doesn't mind, it's used to foxes and they're used to it.",
    "In 1984 there were 365 days, 12 months, and 1,000,000 reasons to count them: 3.14159, 2.71828, 0x7f.",
    "Der Käse kostet 5 Euro, die Brötchen dürfen 1 Euro kosten. Où est la bibliothèque? Él está aquí, señor.",
    "Москва слезам не верит. Γνῶθι σεαυτόν. 東京は日本の首都です。北京是中国的首都。 한국어 문장입니다.",
    "def main(argc, argv):\n    for i in range(10):\n\tprint(i ** 2)\r\n        return  argc\n\n\n",
    "the then there these those this that than thanks think thing things thinking thought though through",
]

PROBES = [
    "", " ", "a", "  ", "\n", "\r\n", "Hello, world!", " leading", "trailing ", "two  blanks", "three   blanks   here",
    "tabs\tand\ttabs\t\t", "line\nline\r\nline\rline\n\n\n  indented", "blank at end of line \n next", " \n \n x",
    "1 12 123 1234 12345 3.14 ½ ² Ⅷ ٣ 4a5b", "it's IT'S they'RE I'Ve we'll he'd 'twas don''t \u017f'\u017f I'\u212a",
    "café cafe\u0301 nai\u0308ve ﬁne Å \u212b \u1e9b\u0323 q\u0307\u0323", "\u0301start with a mark", "İstanbul ISTANBUL ẞ Σίσυφος",
    "emoji 😀 👨‍👩‍👧‍👦 🇩🇪 👍🏽 ☃️!", "東京は日本の首都です。한국어 हिन्दी العربية ไทย", "non\u00a0breaking\u2003em\u3000wide\u2028sep\u0085nel",
    "\u180e mongolian\u180evowel \u200b zero \ufeff width", "punct: ...!?,;:()[]{}<>#$%^&*_-+=~`|\\/\"'", "a_b __init__ snake_case",
    "https://example.org/a?b=c&d=e#f", "x" * 70, "ab" * 60, " " * 50, "\n" * 20, "the" * 30, "é" * 40, "😀" * 20,
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", "a <|endoftext|> b", "<|endoftext|", "<<|endoftext|>>",
    "<mask> left <mask>  <mask>right<mask>", "word wordy sword word. (word) word", "Ünï Ünïcode ünï", "U\u0308ni\u0308 x",
    "a  <keep>  b", "tool toolbox <tool> <toolbox> <toolbo", "nul\x00 and \x01 \x7f controls", "\u10ffff \U0010ffff \ud7ff \ue000",
    "mixed 中文abc123дом\tend  ", "  the\n\n\tthe  ", "…。，、 a…b , c", "▁ already ▁▁ there", "ŉ ǰ ΐ ǅ ŒUVRE",
]


def added():
    return [
        AddedToken("<|endoftext|>", special=True, normalized=False),
        AddedToken("<mask>", lstrip=True, rstrip=True, special=True, normalized=False),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("<tool>", normalized=False),
        AddedToken("<toolbox>", normalized=False),
        AddedToken("Ünï", normalized=True),
        AddedToken("<keep>", rstrip=True, normalized=True),
    ]


def train(kind, normalizer, pre, post=None, alphabet=True, size=420, suffix=None, with_added=True, **model):
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=suffix, **model) if suffix else models.BPE(**model))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    special = [t for t in ("<unk>", "<s>", "</s>") if model.get("unk_token") or post]
    initial = sorted(pre_tokenizers.ByteLevel.alphabet()) if alphabet else []
    kwargs = {"end_of_word_suffix": suffix} if suffix else {} if alphabet else {"limit_alphabet": 60}
    trainer = trainers.BpeTrainer(
        vocab_size=size + len(special), initial_alphabet=initial, special_tokens=special, show_progress=False, **kwargs
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    state = json.loads(tokenizer.to_str())
    extra = ["Ġreasons"] if model.get("ignore_merges") else []  # a whole word that no merge gives
    if model.get("byte_fallback"):
        extra = ["<0x%02X>" % b for b in range(256)]
    for token in extra:
        state["model"]["vocab"][token] = len(state["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(state))
    if with_added:
        tokenizer.add_tokens(added())
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    return tokenizer


def template(tokenizer):
    ids = {t: tokenizer.token_to_id(t) for t in ("<s>", "</s>")}
    return processors.TemplateProcessing(single="<s> $A </s>", special_tokens=list(ids.items()))


def sequence(tokenizer):
    bos = ("<s>", tokenizer.token_to_id("<s>"))
    return processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<s> $A", special_tokens=[bos])]
    )


def roberta(tokenizer):
    return processors.RobertaProcessing(("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))


def kinds():
    byte_level = pre_tokenizers.ByteLevel
    split = pre_tokenizers.Split
    isolated = lambda pattern: pre_tokenizers.Sequence(
        [split(Regex(pattern), "isolated"), byte_level(add_prefix_space=False, use_regex=False)]
    )
    spaces = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "gpt2", train("gpt2", None, byte_level(add_prefix_space=False), roberta)
    yield "prefix", train("prefix", None, byte_level(add_prefix_space=True))
    yield "smollm", train(
        "smollm", None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False)])
    )
    yield "digits", train(
        "digits", None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), byte_level(add_prefix_space=False)])
    )
    yield "llama3", train("llama3", None, isolated(LLAMA3), sequence, ignore_merges=True)
    yield "qwen", train("qwen", normalizers.NFC(), isolated(QWEN))
    yield "bloom", train("bloom", None, isolated(BLOOM))
    yield "clip", train(
        "clip",
        normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        pre_tokenizers.Sequence([split(Regex(CLIP), "removed", invert=True), byte_level(add_prefix_space=False, use_regex=False)]),
        suffix="</w>", size=520,
    )
    yield "llama2", train("llama2", spaces, None, template, False, size=160, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "unknown", train("unknown", normalizers.NFKC(), pre_tokenizers.Metaspace(), None, False, size=200, unk_token="<unk>")
    yield "fused", train(
        "fused", normalizers.Sequence([normalizers.NFD(), normalizers.Strip()]),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False), None, False, size=200, unk_token="<unk>", fuse_unk=True,
    )
    yield "dropped", train("dropped", normalizers.NFKD(), None, None, False, size=120)
    for behavior in ("merged_with_previous", "merged_with_next", "contiguous"):
        yield behavior, train(
            behavior, None,
            pre_tokenizers.Sequence([split("t", behavior), split(Regex(r"\s|,"), behavior), byte_level(add_prefix_space=False, use_regex=False)]),
            with_added=False, size=300,
        )


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("]],[[", "]],\n[["))
        f.write("\n")


def write_ids(path, tokenizer, probes):
    rows = []
    for text in probes:
        plain, special = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
        rows.append([plain, special if special != plain else None])
    write(os.path.join(path, "ids.json"), rows)


def main(folder, demo):
    probes = [p.encode("utf-16", "surrogatepass").decode("utf-16", "ignore") for p in PROBES]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "probes.json"), "w", encoding="ascii") as f:
        f.write("[" + ",\n".join(json.dumps(p) for p in probes) + "]\n")
    for kind, tokenizer in kinds():
        path = os.path.join(folder, kind)
        os.makedirs(path, exist_ok=True)
        tokenizer = Tokenizer.from_str(tokenizer.to_str())
        write(os.path.join(path, "tokenizer.json"), json.loads(tokenizer.to_str()))
        write_ids(path, tokenizer, probes)
    write_gpt2_files(os.path.join(folder, "gpt2-files"), probes)
    os.makedirs(os.path.join(folder, "demo-lm"), exist_ok=True)
    write_ids(os.path.join(folder, "demo-lm"), Tokenizer.from_file(os.path.join(demo, "tokenizer.json")), probes)


def write_gpt2_files(path, probes):
    """vocab.json and merges.txt alone, as older repositories have them."""
    os.makedirs(path, exist_ok=True)
    tokenizer = train("gpt2", None, pre_tokenizers.ByteLevel(add_prefix_space=False), with_added=False)
    state = json.loads(tokenizer.to_str())["model"]
    state["vocab"]["<|endoftext|>"] = len(state["vocab"])
    write(os.path.join(path, "vocab.json"), state["vocab"])
    with open(os.path.join(path, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(" ".join(m if isinstance(m, list) else m.split(" ")) + "\n" for m in state["merges"]))
    tokenizer = Tokenizer(models.BPE.from_file(os.path.join(path, "vocab.json"), os.path.join(path, "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    write_ids(path, tokenizer, probes)


def case_tokenizers():
    for pattern in cases.PATTERNS:
        yield pattern, cases.tokenizer(pre_tokenizer=cases.split(pattern))
    for name, tokenizer in cases.structures():
        if not name.startswith("Split") or name.endswith("Contiguous"):
            yield name, tokenizer


def write_cases(path):
    vocabularies, rows = [], []
    for name, tokenizer in case_tokenizers():
        library = Tokenizer.from_str(json.dumps(tokenizer))
        ids = [library.encode(text, add_special_tokens=False).ids for text in cases.TEXTS]
        vocab = tokenizer["model"]["vocab"]
        if vocab not in vocabularies:
            vocabularies.append(vocab)
        tokenizer["model"]["vocab"] = vocabularies.index(vocab)
        rows.append(json.dumps([name, tokenizer, ids], ensure_ascii=False, separators=(",", ":")))
    refused = [[cases.tokenizer(0, pre_tokenizer=cases.split(p)), names] for p, names in cases.REFUSED.items()]
    for tokenizer, _ in refused:
        tokenizer["model"]["vocab"] = 0
    with open(path, "w", encoding="utf-8") as f:
        parts = {"texts": cases.TEXTS, "vocabularies": vocabularies, "refused": refused}
        f.write(json.dumps(parts, ensure_ascii=False, separators=(",", ":"))[:-1])
        f.write(',"rows":[\n' + ",\n".join(rows) + "\n]}\n")


if __name__ == "__main__":
    folder, demo = sys.argv[-2:]
    if sys.argv[1] != "--cases":
        main(folder, demo)
    write_cases(os.path.join(folder, "cases.json"))
