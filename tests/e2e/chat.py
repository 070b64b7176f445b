#!/usr/bin/env python3
"""Rows of messages with the real programs: they are what the model's chat template makes of them, and a template that cannot
be run is an error of submit."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
from real_jobs import (CALIB, EVAL, MODEL, Failed, Place, differing, events, report, results_of,  # noqa: E402
                       wait_until)
from srqd_client import run_tests  # noqa: E402

TEMPLATE = """{{- bos_token }}
{%- for m in messages %}
    {%- if m.role not in ["user", "assistant"] %}
        {{- raise_exception("Only user and assistant talk here, not " + m.role) }}
    {%- endif %}
    {{- m.role | capitalize + ": " + m.content | trim + "\\n" }}
{%- endfor %}
"""
OPTIONS = {"nsamples": 8, "seqlen": 64, "batch": 4, "threads": 2, "signround.iters": 4, "eval.windows": 4, "probe_samples": 4}


def rendered(messages):
    """What TEMPLATE makes of them, told once more."""
    return "<|endoftext|>" + "".join("%s: %s\n" % (m["role"].capitalize(), m["content"].strip()) for m in messages)


def conversations(path):
    """Lines of a text, by turns."""
    with open(path) as f:
        lines = [line for line in f.read().split("\n") if line.strip()]
    return [[{"role": ("user", "assistant")[k % 2], "content": "  " + line + " \n"} for k, line in enumerate(lines[i:i + 4])]
            for i in range(0, 160, 4)]


def write_rows(path, rows):
    with open(path, "w") as f:
        f.write("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Talk:
    """A model with a chat template, and conversations in two forms: as messages, and as the text that they give."""

    def __init__(self, place, template=TEMPLATE):
        self.place = place
        self.model = place.path("model")
        shutil.copytree(MODEL, self.model)
        self.template = os.path.join(self.model, "chat_template.jinja")
        self.write_template(template)
        self.messages, self.texts = {}, {}
        for name, source in (("calib", CALIB), ("eval", EVAL)):
            talks = conversations(source)
            self.messages[name] = write_rows(place.path(name + "-messages.jsonl"), [{"messages": t} for t in talks])
            self.texts[name] = write_rows(place.path(name + "-texts.jsonl"), [{"text": rendered(t)} for t in talks])

    def write_template(self, text):
        with open(self.template, "w") as f:
            f.write(text)

    def spec(self, files, **more):
        return dict({"model": self.model, "method": "signround", "scheme": "w4g64", "formats": ["auto_round"],
                     "calib": [files["calib"]], "eval": [files["eval"]], "options": OPTIONS}, **more)

    def refused(self, spec, words):
        """A submission that is an error which says these words; nothing is queued."""
        p = self.place
        try:
            p.submit("refused", spec)
            raise AssertionError("it was queued")
        except Failed as e:
            said = json.loads(e.text)["error"]["message"]
            missing = [w for w in words if w not in said]
            assert not missing, (missing, said)
        assert not p.ctl("list", "--all")["jobs"] and not os.path.exists(p.path("refused"))


def messages_give_the_result_of_the_text_that_they_render_to():
    with Place() as p:
        talk = Talk(p)
        for name, files in (("talked", talk.messages), ("told", talk.texts)):
            p.wait(p.submit(name, talk.spec(files)))
        assert report(p.path("talked"))["eval"]["after"]["perplexity"] > 1
        assert results_of(p.path("talked")) == results_of(p.path("told"))
        assert not differing(p.path("talked"), p.path("told"))


def shuffled_records_get_no_second_special_tokens():
    """The demo model's tokenizer adds none; this one puts one before and one behind each record."""
    with Place() as p:
        talk = Talk(p)
        path = os.path.join(talk.model, "tokenizer.json")
        with open(path) as f:
            tokenizer = json.load(f)
        token = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
        tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": [token, {"Sequence": {"id": "A", "type_id": 0}}],
                                       "pair": [], "special_tokens": {"<|endoftext|>": {
                                           "id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}
        with open(path, "w") as f:
            json.dump(tokenizer, f)
        bare = write_rows(p.path("bare.jsonl"), [{"text": rendered(t)[len("<|endoftext|>"):]} for t in conversations(CALIB)])
        for name, calib in (("talked", talk.messages["calib"]), ("told", bare)):
            p.wait(p.submit(name, talk.spec({"calib": calib, "eval": talk.texts["eval"]},
                                            options=dict(OPTIONS, sampling="shuffled"))))
        assert results_of(p.path("talked")) == results_of(p.path("told"))


def eval_measures_messages():
    with Place() as p:
        talk = Talk(p)
        got = [p.ctl("eval", talk.model, "--eval", files["eval"], "--set", "eval.windows=4", "--set", "eval.seqlen=64")
               for files in (talk.messages, talk.texts)]
        assert got[0]["perplexity"] == got[1]["perplexity"] > 1, got


def a_template_that_cannot_be_run_is_an_error_of_submit():
    with Place() as p:
        talk = Talk(p)
        cases = [
            ("a\n{% for m in messages %}\n{{ m.content | wordwrap(40) }}{% endfor %}", ["line 3: filter \"wordwrap\" is not supported"]),
            ("{% include 'other' %}", ["line 1: tag \"include\" is not supported"]),
            ("\n{% if x %}{{ x.format(1) }}{% endif %}", ["line 2: method \"format\" is not supported"]),
            ("{% for m in messages %}", ["the template ends before \"endfor\""]),
            ("\n\n{{ raise_exception('Not these: ' ~ messages | length) }}", ["line 3", "Not these: 4"]),
        ]
        for template, words in cases:
            talk.write_template(template)
            for files in (dict(talk.texts, calib=talk.messages["calib"]), dict(talk.texts, eval=talk.messages["eval"])):
                name = [f for f in files.values() if "messages" in f][0]
                talk.refused(talk.spec(files), [name + ":1: ", "chat_template.jinja", *words])
        os.remove(talk.template)
        talk.refused(talk.spec(talk.messages), ["needs the model's chat template", "chat_template.jinja", "tokenizer_config.json"])
        p.run(p.env["SRQ_CTL"], "submit", "--dry-run", "--job", p.write_job("texts", dict(talk.spec(talk.texts), output=p.path("o"))))
        rtn = dict(talk.spec(talk.messages), method="rtn", eval=[], options={"threads": 2})  # reads no text
        p.run(p.env["SRQ_CTL"], "submit", "--dry-run", "--job", p.write_job("rtn", dict(rtn, output=p.path("o"))))


def a_later_row_that_the_template_refuses_ends_the_job_with_file_and_line():
    with Place() as p:
        talk = Talk(p)
        with open(talk.messages["calib"], "a") as f:
            f.write("\n" + json.dumps({"messages": [{"role": "narrator", "content": "x"}]}) + "\n")
        job = p.submit("out", talk.spec(talk.messages, options=dict(OPTIONS, nsamples=100000)))
        got = wait_until("its end", lambda: (lambda g: g if g["state"] == "failed" else None)(p.ctl("show", job)))
        for word in ("calib-messages.jsonl:42: ", "chat_template.jinja, line 4", "Only user and assistant talk here, not narrator"):
            assert word in got["reason"], got["reason"]


def a_resume_with_another_template_is_refused():
    with Place() as p:
        talk = Talk(p)
        job = p.submit("out", talk.spec(talk.messages, options=dict(OPTIONS, **{"signround.iters": 100000, "checkpoint_s": 0.1})))
        wait_until("a checkpoint", lambda: [e for e in events(p.job_dir(job), "checkpoint") if e["iter"] > 0])
        p.ctl("pause", job)
        wait_until("the pause", lambda: p.ctl("show", job)["state"] == "paused")
        talk.write_template(TEMPLATE + "\n{#- the same text, but who knows -#}")
        p.ctl("resume", job)
        got = wait_until("the refusal", lambda: (lambda g: g if g["state"] == "failed" else None)(p.ctl("show", job)))
        assert "files was" in got["reason"], got["reason"]


if __name__ == "__main__":
    run_tests([
        messages_give_the_result_of_the_text_that_they_render_to,
        shuffled_records_get_no_second_special_tokens,
        eval_measures_messages,
        a_template_that_cannot_be_run_is_an_error_of_submit,
        a_later_row_that_the_template_refuses_ends_the_job_with_file_and_line,
        a_resume_with_another_template_is_refused,
    ])
