"""Golden text for the tests of chat templates: what Jinja makes of template_cases.py, with the settings of transformers.

    python3 tests/reference/template_reference.py tests/reference/templates/cases.json

Needs jinja2. Where transformers is installed too, its own rendering is compared with what is written."""
import copy
import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

import template_cases as cases

TODAY = datetime.datetime(2024, 7, 26)


class Generation(jinja2.ext.Extension):
    """{% generation %} passes its content through."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("pass_through"), [], [], body).set_lineno(line)

    def pass_through(self, caller):
        return caller()


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = TODAY.strftime
    return env


def render(text, messages, tools, **more):
    """(output, None) or (None, what was raised)"""
    try:
        return environment().from_string(text).render(
            messages=copy.deepcopy(messages), tools=tools, documents=None, add_generation_prompt=False, **cases.SPECIALS,
            **copy.deepcopy(more)), None  # |indent adds to a list that it is given, before it fails
    except Exception as e:  # any: Jinja lets through what Python raises
        return None, "%s: %s" % (type(e).__name__, e)


def check_transformers(text, messages, tools, output):
    """That transformers agrees, where it is installed; strftime_now is not compared with a day that goes on."""
    try:
        from transformers.utils.chat_template_utils import render_jinja_template
    except ImportError:
        return
    if "strftime_now" in text or any("reasoning_content" in m for m in messages):
        return
    try:
        theirs = render_jinja_template([messages], tools, None, text, **cases.SPECIALS)[0][0]
    except Exception:
        theirs = None
    assert theirs == output, (text, theirs, output)


def main():
    rendered, failed = [], 0
    for name, text in cases.TEMPLATES.items():
        for of, (messages, tools) in cases.CONVERSATIONS.items():
            output, error = render(text, messages, tools)
            check_transformers(text, messages, tools, output)
            failed += error is not None
            rendered.append({"template": name, "conversation": of, "output": output, "error": error})
    small = []
    for text in cases.expressions():
        messages, tools = cases.CONVERSATIONS["one"]
        output, error = render(text, messages, tools, X=cases.X)
        if output is not None and " at 0x" in output:
            output, error = None, "an address is printed"
        small.append([text, output, error])
    with open(sys.argv[1], "w") as f:
        json.dump({"specials": cases.SPECIALS, "x": cases.X, "conversations": cases.CONVERSATIONS,
                   "templates": cases.TEMPLATES, "rendered": rendered, "expressions": small}, f, ensure_ascii=False,
                  indent=0)
        f.write("\n")
    print("%d texts of %d templates, %d of them refused; %d expressions, %d of them refused" % (
        len(rendered), len(cases.TEMPLATES), failed, len(small), sum(o is None for _, o, _ in small)))


if __name__ == "__main__":
    main()
