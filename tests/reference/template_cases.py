"""Chat templates in the styles that language models use, conversations for them, and small expressions.

Used by template_reference.py, which writes what Jinja makes of them."""

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}

TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "Weather of a \"place\" – today",
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": "A town\nor village"},
            "days": {"type": "integer", "enum": [1, 3, 7], "default": 1}}, "required": ["place"]}}},
    {"type": "function", "function": {"name": "noon", "description": "Time", "parameters": {}}},
]

# name: [messages, tools]
CONVERSATIONS = {
    "one": [[{"role": "user", "content": "Hello"}], None],
    "turns": [[{"role": "system", "content": "  Be brief.  "}, {"role": "user", "content": "What is 2 + 2?\n"},
               {"role": "assistant", "content": "4"}, {"role": "user", "content": "And <b>é</b> 東京 \"x\" 'y'?"},
               {"role": "assistant", "content": " It is\n\n fine. "}], None],
    "no_system": [[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                   {"role": "user", "content": ""}, {"role": "assistant", "content": "c"}], None],
    "two_users": [[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], None],
    "reasoning": [[{"role": "user", "content": "Why?"},
                   {"role": "assistant", "content": "<think>\nfirst this\n\nthen that\n</think>\n\nBecause."},
                   {"role": "user", "content": "Sure?"},
                   {"role": "assistant", "content": "<think>again</think>Yes.", "reasoning_content": "hm"}], None],
    "tools": [[{"role": "system", "content": "Use tools."}, {"role": "user", "content": "Weather in Bern?"},
               {"role": "assistant", "content": "", "tool_calls": [
                   {"id": "call12345", "type": "function",
                    "function": {"name": "weather", "arguments": {"place": "Bern", "days": 3, "odd": [1.5, None, True]}}}]},
               {"role": "tool", "name": "weather", "tool_call_id": "call12345", "content": "{\"sky\": \"blue\"}"},
               {"role": "tool", "name": "noon", "tool_call_id": "call67890", "content": "12:00"},
               {"role": "assistant", "content": "Blue."}, {"role": "user", "content": "Thanks"}], TOOLS],
    "parts": [[{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"},
                                            {"type": "text", "text": " two"}]},
               {"role": "assistant", "content": [{"type": "text", "text": "three"}]}], None],
    "odd_role": [[{"role": "narrator", "content": "Once"}, {"role": "user", "content": "x"}], None],
}

TEMPLATES = {
    "chatml": """{% for message in messages %}
{%- if loop.first and message.role != 'system' -%}
<|im_start|>system
You help people.<|im_end|>
{% endif %}
<|im_start|>{{ message['role'] }}
{{ message['content'] | trim }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}
""",
    "inst": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\\n' + messages[0].content.strip() + '\\n<</SYS>>\\n\\n' %}{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}
{%- for m in rest -%}
    {%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Roles have to take turns: user, assistant, user, …; turn ' ~ loop.index ~ ' is of ' ~ m.role) }}
    {%- endif -%}
    {%- if loop.index0 == 0 %}{% set text = system + m['content'] %}{% else %}{% set text = m['content'] %}{% endif -%}
    {%- if m.role == 'user' -%}
        {{ '[INST] ' + text.strip() + ' [/INST]' }}
    {%- elif m.role == 'assistant' -%}
        {{ ' ' + text.strip() + ' ' + eos_token }}
        {%- if not loop.last %}{{ bos_token }}{% endif -%}
    {%- endif -%}
{%- endfor -%}""",
    "headers": """{{- bos_token }}
{%- if not date is defined %}
    {%- if strftime_now is defined %}
        {%- set date = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date = "01 Jan 2000" %}
    {%- endif %}
{%- endif %}
{%- if tools is not defined %}{% set tools = none %}{% endif %}

{#- the system turn -#}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|head|>system<|end_head|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Tools: on\\n" }}
{%- endif %}
{{- "Today: " + date + "\\n\\n" }}
{%- if tools is not none %}
    {{- "Functions that may be called:\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system }}
{{- "<|end_turn|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or message.role == 'function' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|end_head|>\\n\\n' + message['content'] | trim + '<|end_turn|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at a time.") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|head|>assistant<|end_head|>\\n\\n' -}}
        {{- '{"name": "' + call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" }}
        {{- "<|end_turn|>" }}
    {%- else %}
        {{- "<|head|>result<|end_head|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|end_turn|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|end_head|>\\n\\n' }}
{%- endif %}""",
    "alternating": """{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set turns = messages %}
{%- endif %}
{%- set user_turns = turns | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for m in turns %}
    {%- if not (m.role == "tool" or m.role == "tool_results" or (m.tool_calls is defined and m.tool_calls is not none)) %}
        {%- if (m["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant have to alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for m in turns %}
    {%- if m["role"] == "user" %}
        {%- if tools is not none and (m == user_turns[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system is defined %}
            {{- "[INST] " + system + "\\n\\n" + m["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + m["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif m.tool_calls is defined and m.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for call in m.tool_calls %}
            {%- set out = call.function|tojson %}
            {{- out[:-1] }}
            {%- if not call.id is defined or call.id|length != 9 %}
                {{- raise_exception("ids of calls have 9 characters") }}
            {%- endif %}
            {{- ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif m["role"] == "assistant" %}
        {{- " " + m["content"]|trim + eos_token}}
    {%- elif m["role"] == "tool_results" or m["role"] == "tool" %}
        {%- if m.content is defined and m.content.content is defined %}
            {%- set content = m.content.content %}
        {%- else %}
            {%- set content = m.content %}
        {%- endif %}
        {{- '[RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + m.tool_call_id + '"}[/RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user, assistant and tool turns are known, not " + m.role) }}
    {%- endif %}
{%- endfor %}""",
    "turns": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- else -%}
        {%- set first_prefix = messages[0]['content'][0]['text'] + '\\n\\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Turns must be user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<turn>' + role + '\\n' + (first_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<turn>model\\n'}}
{%- endif -%}""",
    "short": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] in ['user', 'narrator'] %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{% generation %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "thinking": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\nSignatures are inside <tools></tools>:\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n\\n<call>\\n{\\"name\\": <name>, \\"arguments\\": <object>}\\n</call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.step and message.role == "user" and message.content is string and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {%- if loop.last or (not loop.last and reasoning) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<result>\\n' }}
        {{- content }}
        {{- '\\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "namespaced": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system = ns.system + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system = ns.system + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system }}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<User>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}{%- if not ns.is_first %}{{'<Assistant><calls><call>' + tool['type'] + '<sep>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments']|tojson + '\\n' + '```' + '</call>'}}{%- set ns.is_first = true -%}{%- else %}{{'\\n<call>' + tool['type'] + '</call>'}}{%- endif %}{%- endfor %}{{'</calls>' + eos_token}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{%- if ns.is_tool %}{{'</outputs>' + message['content'] + eos_token}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<Assistant>' + content + eos_token}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<outputs><output>' + message['content'] + '</output>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\\n<output>' + message['content'] + '</output>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'</outputs>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<Assistant>'}}{% endif %}""",
    "macros": """{%- macro type_of(spec, required=true) -%}
    {%- if spec.type == "array" -%}
        {{ type_of(spec['items']) }}[]
    {%- elif spec.enum is defined and spec.enum -%}
        {{ spec.enum | join('" | "') }}
    {%- else -%}
        {{ spec.type | default("any") }}
    {%- endif -%}
    {%- if not required %} | undefined{% endif -%}
{%- endmacro -%}
{%- macro signature(function) -%}
// {{ function.description | replace("\\n", "\\n// ") }}
type {{ function.name }} = (
{%- for name, spec in (function.parameters.properties or {}).items() %}
  {%- if spec.description %}

  // {{ spec.description | indent(2) }}
  {%- endif %}

  {{ name }}{{ "?" if name not in function.parameters.required else "" }}: {{ type_of(spec, required=name in function.parameters.required) }},
{%- endfor %}
) => any;
{% endmacro -%}
{%- for t in tools or [] %}{{ signature(t.function) }}{% endfor %}
{%- for m in messages %}
{%- if m.content is not string and m.content is iterable %}
    {%- set text %}{% for p in m.content if p.type == "text" %}{{ p.text }}{% if not loop.last %}|{% endif %}{% endfor %}{% endset %}
{%- else %}
    {%- set text = m.content %}
{%- endif %}
{%- if m.role == "narrator" %}{% continue %}{% endif %}
<{{ m.role | upper }} n={{ loop.index }}/{{ loop.length }} prev={{ loop.previtem.role if loop.previtem is defined else "none" }} next={{ (loop.nextitem | default({"role": "none"})).role }}>
{{ text | trim }}
{%- if loop.index >= 4 %}{% break %}{% endif %}
{%- endfor %}""",
    "raw": """{% raw %}{{ not run }} {% if %}{% endraw %}

  {% raw -%}
   x {#- no comment -#}
  {%- endraw +%}
{% for m in messages %}
  {%+ if m.role == 'user' %}U{% endif %}
    {#- gone -#}
  {{+ loop.cycle('a', 'b') }}
   {% filter upper %}{{ m.role }}: é{% endfilter %}

{% else %}
nobody
{% endfor %}
{% with x = 1, y = 'z' -%}
  {{ x }}{{ y }}
{%- endwith %}
end


""",
}

# One expression or fragment a row; several with "¦" between are rows of their own. X is the variable below.
X = {"d": {"a": 1, "b": [1, 2, 3], "items": "it", "c d": None}, "l": [3, 1, 2], "s": " Ab,cd ", "e": [], "t": True,
     "f": 1.5, "n": None, "big": 12345678901234, "u": "ÄÖ straße ΣΑΣ", "o": [{"k": "B", "v": 2}, {"k": "a", "v": 1},
                                                                         {"k": "b", "v": 3, "w": {"z": [7]}}]}

EXPRESSIONS = r"""
{{ 1 }} ¦ {{ 1.0 }} ¦ {{ 1e3 }} ¦ {{ 1e16 }} ¦ {{ 123456789012345680.0 }} ¦ {{ 0.1 + 0.2 }} ¦ {{ 1e-5 }} ¦ {{ 0.0001 }} ¦ {{ -0.0 }} ¦ {{ 5e-324 }} ¦ {{ 1_000 }} ¦ {{ 0x1F }} ¦ {{ 0b11 }} ¦ {{ 0o17 }} ¦ {{ 1.5e300 * 1e10 }}
{{ true }} ¦ {{ True }} ¦ {{ none }} ¦ {{ None }} ¦ {{ false ~ none ~ 1 }} ¦ {{ nothing }} ¦ {{ [nothing] }} ¦ {{ '' }} ¦ {{ "a" 'b' "c" }}
{{ 'it\'s' }} ¦ {{ "\n\t\\ \x41 \u00e9 \U0001F600 \101 \q" }} ¦ {{ "a\
b" }} ¦ {{ ['it\'s', "q\"", 'both\'"', 'n\n', 'é\u200b\x07'] }}
{{ [1, 'a', none, true, 1.5] }} ¦ {{ (1,) }} ¦ {{ () }} ¦ {{ (1, 2) }} ¦ {{ 1, 2 }} ¦ {{ {'a': 1, 2: [3], none: {}} }} ¦ {{ {} }} ¦ {{ [] }} ¦ {{ {'a': 1, 'a': 2} }} ¦ {{ [[1], (2,), {'x': (3, 4)}] }}
{{ 7 // 2 }} ¦ {{ -7 // 2 }} ¦ {{ 7 % 3 }} ¦ {{ -7 % 3 }} ¦ {{ 7 % -3 }} ¦ {{ 7.5 // 2 }} ¦ {{ -7.5 % 2 }} ¦ {{ 7.5 % -2 }} ¦ {{ 7 / 2 }} ¦ {{ 4 / 2 }} ¦ {{ 2 ** 10 }} ¦ {{ 2 ** -1 }} ¦ {{ 2 ** 3 ** 2 }} ¦ {{ -2 ** 2 }} ¦ {{ 2.0 ** 0.5 }} ¦ {{ 1 / 0 }} ¦ {{ 1 % 0 }} ¦ {{ 1.0 // 0 }} ¦ {{ true + true }} ¦ {{ 3 - -2 }} ¦ {{ +3 }} ¦ {{ -true }}
{{ 'a' + 'b' }} ¦ {{ 'a' + 1 }} ¦ {{ 1 + 'a' }} ¦ {{ [1] + [2] }} ¦ {{ (1,) + (2,) }} ¦ {{ [1] + (2,) }} ¦ {{ 'ab' * 3 }} ¦ {{ 3 * [1] }} ¦ {{ 'a' * -1 }} ¦ {{ 'a' ~ 1 ~ 2.0 ~ none ~ nothing }} ¦ {{ none + 1 }} ¦ {{ nothing + 1 }} ¦ {{ 'x' + nothing }} ¦ {{ 'a' - 'b' }}
{{ 1 < 2 < 3 }} ¦ {{ 1 < 2 > 3 }} ¦ {{ 1 == 1.0 == true }} ¦ {{ 'a' < 'b' }} ¦ {{ 'a' < 1 }} ¦ {{ [1, 2] < [1, 3] }} ¦ {{ [1] < [1, 0] }} ¦ {{ (2,) >= (1, 5) }} ¦ {{ none == none }} ¦ {{ none < 1 }} ¦ {{ nothing == nothing }} ¦ {{ nothing == none }} ¦ {{ nothing < 1 }} ¦ {{ [1] == (1,) }} ¦ {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} ¦ {{ 'a' != 'a' }} ¦ {{ 1 != '1' }} ¦ {{ 'é' > 'z' }} ¦ {{ 1 <= 1 }} ¦ {{ [nothing] == [nothing] }}
{{ 'a' in 'abc' }} ¦ {{ '' in '' }} ¦ {{ 1 in [1.0] }} ¦ {{ 'a' in {'a': 1} }} ¦ {{ 'b' not in {'a': 1} }} ¦ {{ 1 in 'abc' }} ¦ {{ 1 in none }} ¦ {{ 1 in nothing }} ¦ {{ nothing in [1] }} ¦ {{ 2 in (1, 2) }} ¦ {{ 1 in 5 }} ¦ {{ 'a' in X.d.keys() }} ¦ {{ 1 in X.d.values() }} ¦ {{ ('a', 1) in X.d.items() }} ¦ {{ 2 in range(3) }} ¦ {{ [] in [[]] }} ¦ {{ [] in {} }}
{{ 1 and 0 }} ¦ {{ '' or 'x' }} ¦ {{ not '' }} ¦ {{ not not 1 }} ¦ {{ none or nothing }} ¦ {{ [] and 1 }} ¦ {{ 0 or [] or 'z' }} ¦ {{ not 1 == 2 }} ¦ {{ 1 if true }} ¦ {{ 1 if false }} ¦ {{ 1 if false else 2 }} ¦ {{ 1 if 0 else 2 if 0 else 3 }} ¦ {{ (1 if 0).x }} ¦ {{ 'a' if 'a' is string else 'b' }} ¦ {{ 1 if X.e else 0 }}
{{ X.d.a }} ¦ {{ X['d']['b'][-1] }} ¦ {{ X.d.items }} ¦ {{ X.d['items'] }} ¦ {{ X.d['c d'] }} ¦ {{ X.d.zz }} ¦ {{ X.d.zz.y }} ¦ {{ X.d.zz is defined }} ¦ {{ X.l[5] }} ¦ {{ X.l['a'] }} ¦ {{ X.l.0 }} ¦ {{ X.d.b.2 }} ¦ {{ X.s[1] }} ¦ {{ X.s[-1] }} ¦ {{ X.s['x'] }} ¦ {{ X.n.x }} ¦ {{ X.n['x'] }} ¦ {{ nothing.x }} ¦ {{ nothing['x'] }} ¦ {{ X.l[true] }} ¦ {{ X.l[1.0] }} ¦ {{ X.l[none] }} ¦ {{ (1, 2)[0] }} ¦ {{ range(5)[-1] }} ¦ {{ 'é東'[1] }} ¦ {{ X.u.x.y }} ¦ {{ 5[0] }}
{{ X.l[1:] }} ¦ {{ X.l[:-1] }} ¦ {{ X.l[::-1] }} ¦ {{ X.l[::2] }} ¦ {{ X.l[5:] }} ¦ {{ X.l[-2:] }} ¦ {{ X.l[-9:2] }} ¦ {{ X.l[2:0:-1] }} ¦ {{ 'é東xy'[1:3] }} ¦ {{ 'é東xy'[::-1] }} ¦ {{ 'é東xyz'[::2] }} ¦ {{ 'é東xyz'[-1:0:-2] }} ¦ {{ (1, 2, 3)[:2] }} ¦ {{ range(9)[2:5] }} ¦ {{ range(9)[::-3]|list }} ¦ {{ X.d[1:] }} ¦ {{ nothing[1:] }} ¦ {{ X.l[::0] }} ¦ {{ X.l['a':] }} ¦ {{ X.l[none:none] }} ¦ {{ X.l[true:] }} ¦ {{ ''[1:] }}
{{ ' x '|trim }}. ¦ {{ 'xxaxx'|trim('x') }} ¦ {{ none|trim }} ¦ {{ nothing|trim }}. ¦ {{ 5|trim }} ¦ {{ '\u00a0\u2003x\x1c'|trim }} ¦ {{ 'abc'|upper }} ¦ {{ X.u|upper }} ¦ {{ X.u|lower }} ¦ {{ 'ΑΣ ΑΣΑ Σ'|lower }} ¦ {{ 'İI'|lower }} ¦ {{ 'hello wORLD-foo (bar) x_y'|title }} ¦ {{ 'hELLO wORLD'|capitalize }} ¦ {{ 'ßa'|capitalize }} ¦ {{ "they're bill's"|title }} ¦ {{ "they're bill's x1y éa".title() }} ¦ {{ none|upper }} ¦ {{ 'ǆ'.title() }}
{{ 'abc'|length }} ¦ {{ 'é東'|length }} ¦ {{ X.l|count }} ¦ {{ X.d|length }} ¦ {{ none|length }} ¦ {{ nothing|length }} ¦ {{ 5|length }} ¦ {{ range(4)|length }} ¦ {{ (X.l|select)|length }} ¦ {{ X.d.items()|length }}
{{ X.l|join }} ¦ {{ X.l|join(', ') }} ¦ {{ X.o|join('-', attribute='k') }} ¦ {{ 'abc'|join('.') }} ¦ {{ nothing|join }} ¦ {{ none|join }} ¦ {{ [none, nothing, true]|join(1) }} ¦ {{ X.d|join(' ') }} ¦ {{ X.l|join(d='+') }}
{{ X.l|first }} ¦ {{ X.e|first }} ¦ {{ (X.e|first) is defined }} ¦ {{ 'abc'|first }} ¦ {{ X.d|first }} ¦ {{ X.l|last }} ¦ {{ 'abé'|last }} ¦ {{ X.d|last }} ¦ {{ X.e|last }} ¦ {{ (X.l|select)|first }} ¦ {{ (X.l|select)|last }} ¦ {{ none|first }} ¦ {{ nothing|first }} ¦ {{ nothing|last }} ¦ {{ (X.e|first).x }} ¦ {{ range(3)|last }}
{{ nothing|default('x') }} ¦ {{ nothing|d }} ¦ {{ none|default('x') }} ¦ {{ none|default('x', true) }} ¦ {{ ''|default('x', boolean=true) }} ¦ {{ X.d.zz|default(X.l) }} ¦ {{ nothing|default(default_value=3) }} ¦ {{ X.d.zz.y|default(1) }}
{{ 'abc'|list }} ¦ {{ X.d|list }} ¦ {{ nothing|list }} ¦ {{ none|list }} ¦ {{ X.d.items()|list }} ¦ {{ range(3)|list }} ¦ {{ range(5, 0, -2)|list }} ¦ {{ range(3) }} ¦ {{ range(1, 3) }} ¦ {{ range(0)|list }} ¦ {{ range('a') }} ¦ {{ range(1, 2, 0) }} ¦ {{ range(100001) }}
{{ 5|string + 'a' }} ¦ {{ none|string }} ¦ {{ nothing|string }} ¦ {{ X.l|string }} ¦ {{ 'x'|string|string }}
{{ '42'|int }} ¦ {{ ' 42 '|int }} ¦ {{ '4_2'|int }} ¦ {{ '42.7'|int }} ¦ {{ 'x'|int }} ¦ {{ 'x'|int(7) }} ¦ {{ -3.9|int }} ¦ {{ true|int }} ¦ {{ none|int }} ¦ {{ '0x1f'|int(base=16) }} ¦ {{ '1f'|int(0, 16) }} ¦ {{ '077'|int(0, 8) }} ¦ {{ '0b11'|int(base=0) }} ¦ {{ '07'|int(5, 0) }} ¦ {{ '-5'|int }} ¦ {{ '--5'|int }} ¦ {{ '1e2'|int }} ¦ {{ 'inf'|int }} ¦ {{ nothing|int }} ¦ {{ X.l|int }} ¦ {{ ''|int }} ¦ {{ '_1'|int }}
{{ '4.5'|float }} ¦ {{ 3|float }} ¦ {{ 'x'|float }} ¦ {{ 'x'|float(1.5) }} ¦ {{ ' 1e3 '|float }} ¦ {{ 'inf'|float }} ¦ {{ '-Infinity'|float }} ¦ {{ 'nan'|float }} ¦ {{ none|float }} ¦ {{ '1_0.5'|float }} ¦ {{ '0x10'|float }} ¦ {{ '.5'|float }} ¦ {{ '5.'|float }} ¦ {{ '1e'|float }}
{{ -3|abs }} ¦ {{ (-3)|abs }} ¦ {{ (-2.5)|abs }} ¦ {{ 'x'|abs }} ¦ {{ true|abs }} ¦ {{ 42.55|round }} ¦ {{ 42.55|round(1) }} ¦ {{ 2.5|round }} ¦ {{ 3.5|round }} ¦ {{ 42|round }} ¦ {{ 42.51|round(1, 'floor') }} ¦ {{ 42.51|round(method='ceil') }} ¦ {{ 1.005|round(2) }} ¦ {{ 2.675|round(2) }} ¦ {{ 'x'|round }} ¦ {{ 1.5|round(0, 'odd') }} ¦ {{ 42|round(1, 'ceil') }}
{{ 'aXbXc'|replace('X', '-') }} ¦ {{ 'aXbXc'|replace('X', '-', 1) }} ¦ {{ 'abc'|replace('', '-') }} ¦ {{ 5|replace(5, 6) }} ¦ {{ 'aaa'|replace('aa', 'b') }} ¦ {{ nothing|replace('a', 'b') }} ¦ {{ 'é東é'|replace('é', '') }} ¦ {{ ''|replace('', 'x') }} ¦ {{ 'abc'|replace('', '-', 2) }}
{{ X.d|items|list }} ¦ {{ nothing|items|list }} ¦ {{ X.l|items|list }} ¦ {% for k, v in X.d|items %}{{ k }}={{ v }};{% endfor %} ¦ {{ X.d|dictsort }} ¦ {{ {'b': 1, 'A': 2, 'c': 0}|dictsort }} ¦ {{ {'b': 1, 'A': 2}|dictsort(true) }} ¦ {{ {'b': 1, 'A': 2, 'c': 0}|dictsort(false, 'value') }} ¦ {{ {'b': 1, 'A': 2}|dictsort(reverse=true) }} ¦ {{ {'b': 1}|dictsort(by='x') }} ¦ {{ {1: 1, 'a': 2}|dictsort }}
{{ X.o|map(attribute='k')|list }} ¦ {{ X.o|map(attribute='w.z.0')|list }} ¦ {{ X.o|map(attribute='w.z.0', default='q')|list }} ¦ {{ X.o|map(attribute='w')|list }} ¦ {{ ['a', 'b']|map('upper')|join }} ¦ {{ [1.26, 2.44]|map('round', 1)|list }} ¦ {{ X.o|map('length')|list }} ¦ {{ [[1, 2], [3]]|map('join', '-')|list }} ¦ {{ [[2, 1]]|map('sort')|list }} ¦ {{ X.e|map('upper')|list }} ¦ {{ X.l|map|list }} ¦ {{ none|map('upper')|list }} ¦ {{ [[1], [2]]|map(attribute=0)|list }} ¦ {{ X.l|map(attribute='k', x=1)|list }}
{{ X.o|selectattr('k', 'equalto', 'a')|list|length }} ¦ {{ X.o|selectattr('w')|list }} ¦ {{ X.o|selectattr('w', 'defined')|map(attribute='v')|list }} ¦ {{ X.o|rejectattr('w', 'defined')|map(attribute='v')|list }} ¦ {{ X.o|rejectattr('v', 'gt', 1)|map(attribute='k')|list }} ¦ {{ X.o|selectattr('k', 'in', ['a', 'b'])|map(attribute='v')|list }} ¦ {{ X.l|select('odd')|list }} ¦ {{ X.l|reject('odd')|list }} ¦ {{ [0, 1, '', 'a']|select|list }} ¦ {{ [0, 1]|reject|list }} ¦ {{ X.l|select('divisibleby', 3)|list }} ¦ {{ X.l|select('>', 1)|list }} ¦ {{ X.l|select('==', 2)|list }} ¦ {{ X.o|selectattr|list }} ¦ {{ (X.o|selectattr('k', 'equalto', 'a')|first).v }} ¦ {{ X.o|selectattr('w.z', 'defined')|list|length }} ¦ {{ (X.l|select('odd'))[0] }}. ¦ {% set g = X.l|select %}{{ g|list }}{{ g|list }} ¦ {{ 1 if X.e|select else 0 }}
{{ ['b', 'A', 'a', 'B']|unique|list }} ¦ {{ ['b', 'A', 'a']|unique(true)|list }} ¦ {{ X.o|unique(attribute='k')|map(attribute='v')|list }} ¦ {{ [1, 1.0, true, 2]|unique|list }} ¦ {{ [[1]]|unique|list }} ¦ {{ X.l|sort }} ¦ {{ X.l|sort(reverse=true) }} ¦ {{ ['b', 'A', 'c', 'a']|sort }} ¦ {{ ['b', 'A', 'c', 'a']|sort(case_sensitive=true) }} ¦ {{ X.o|sort(attribute='k')|map(attribute='v')|list }} ¦ {{ X.o|sort(attribute='k', reverse=true)|map(attribute='v')|list }} ¦ {{ X.o|sort(attribute='k,v')|map(attribute='v')|list }} ¦ {{ [1, 'a']|sort }} ¦ {{ 'hello'|sort }} ¦ {{ nothing|sort }} ¦ {{ [3, 1, 2, 5, 4, 9, 0, 7]|sort }} ¦ {{ X.d|sort }} ¦ {{ [{}, {}]|sort }} ¦ {{ [none]|sort }}
{{ X.l|reverse|list }} ¦ {{ 'aé'|reverse }} ¦ {{ X.d|reverse|list }} ¦ {{ (X.l|select)|reverse }} ¦ {{ X.l|reverse|first }} ¦ {{ 5|reverse }} ¦ {{ X.l|min }} ¦ {{ X.l|max }} ¦ {{ ['b', 'A']|min }} ¦ {{ ['b', 'A']|max(true) }} ¦ {{ X.o|max(attribute='v') }} ¦ {{ X.e|max }}. ¦ {{ [1, 'a']|min }} ¦ {{ X.l|sum }} ¦ {{ X.o|sum(attribute='v') }} ¦ {{ X.l|sum(start=0.5) }} ¦ {{ X.e|sum }} ¦ {{ ['a']|sum }} ¦ {{ [[1], [2]]|sum(start=[]) }}
{{ 'a\nb\n\nc'|indent }} ¦ {{ 'a\nb\n\nc'|indent(2, true) }} ¦ {{ 'a\nb\n\nc'|indent(width='>>', blank=true) }} ¦ {{ 'a\n'|indent }}. ¦ {{ ''|indent }}. ¦ {{ 5|indent }} ¦ {{ 'x<y>'|safe }} ¦ {{ ('x'|safe) ~ '<' }} ¦ {{ 'a'|safe|upper }}
{{ X|tojson }} ¦ {{ X.d|tojson(indent=2) }} ¦ {{ X.d|tojson(indent=0) }} ¦ {{ X.d|tojson(indent='\t') }} ¦ {{ X.l|tojson(separators=(',', ':')) }} ¦ {{ X.d|tojson(separators=(',', ':'), indent=1) }} ¦ {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} ¦ {{ 'é😀<&>\u2028\x7f\x01'|tojson }} ¦ {{ 'é😀\x7f'|tojson(ensure_ascii=true) }} ¦ {{ 'é😀'|tojson(true) }} ¦ {{ '"\\/\b\f\n\r\t'|tojson }} ¦ {{ [1.0, 1e100, 0.1, -0.0]|tojson }} ¦ {{ {1: 1, none: 2, true: 3, 1.5: 4}|tojson }} ¦ {{ {(1,): 2}|tojson }} ¦ {{ (1, [2])|tojson }} ¦ {{ nothing|tojson }} ¦ {{ [nothing]|tojson }} ¦ {{ []|tojson(indent=2) }} ¦ {{ {}|tojson(indent=2) }} ¦ {{ [[], {}]|tojson(indent=2) }} ¦ {{ range(2)|tojson }} ¦ {{ X.d.items()|tojson }} ¦ {{ 'inf'|float|tojson }} ¦ {{ {'a': [1, {'b': 2}]}|tojson(indent=4) }}
{{ 1 is defined }} ¦ {{ nothing is defined }} ¦ {{ nothing is undefined }} ¦ {{ none is none }} ¦ {{ none is not none }} ¦ {{ 'a' is string }} ¦ {{ X.d is mapping }} ¦ {{ X.l is mapping }} ¦ {{ X.l is iterable }} ¦ {{ 'a' is iterable }} ¦ {{ 5 is iterable }} ¦ {{ nothing is iterable }} ¦ {{ X.l is sequence }} ¦ {{ 'a' is sequence }} ¦ {{ X.d is sequence }} ¦ {{ 5 is sequence }} ¦ {{ nothing is sequence }} ¦ {{ X.d.items() is sequence }} ¦ {{ none is iterable }}
{{ 5 is number }} ¦ {{ true is number }} ¦ {{ 1.5 is number }} ¦ {{ 5 is integer }} ¦ {{ true is integer }} ¦ {{ 1.0 is float }} ¦ {{ 1 is float }} ¦ {{ true is boolean }} ¦ {{ 1 is boolean }} ¦ {{ true is true }} ¦ {{ 1 is true }} ¦ {{ false is false }} ¦ {{ 0 is false }} ¦ {{ 5 is eq 5 }} ¦ {{ 5 is equalto 5.0 }} ¦ {{ 5 is ne 6 }} ¦ {{ 5 is lt 6 }} ¦ {{ 5 is gt(6) }} ¦ {{ 5 is le 5 }} ¦ {{ 5 is ge 6 }} ¦ {{ 2 is in [1, 2] }} ¦ {{ 2 is not in [1, 2] }} ¦ {{ 4 is even }} ¦ {{ 3 is odd }} ¦ {{ 'a' is even }} ¦ {{ 9 is divisibleby 3 }} ¦ {{ 9 is divisibleby(2) }} ¦ {{ 9 is divisibleby 0 }} ¦ {{ range is callable }} ¦ {{ 5 is callable }} ¦ {{ 5 is string or true }} ¦ {{ not 5 is string and 1 }} ¦ {{ 5 is lessthan 6 }} ¦ {{ 'a' is in 'abc' }}
{{ ' a '.strip() }}. ¦ {{ 'xxaxy'.strip('xy') }} ¦ {{ ' a '.lstrip() }}. ¦ {{ ' a '.rstrip() }}. ¦ {{ '\n\na\n'.lstrip('\n') }}. ¦ {{ 'éaé'.strip('é') }} ¦ {{ 'a'.strip(none) }} ¦ {{ 'a'.strip(1) }} ¦ {{ 'a,b,c'.split(',') }} ¦ {{ 'a,b,c'.split(',', 1) }} ¦ {{ 'a,b,c'.rsplit(',', 1) }} ¦ {{ ' a  b c '.split() }} ¦ {{ ' a  b c '.split(none, 1) }} ¦ {{ ' a  b c '.rsplit(none, 1) }} ¦ {{ ' a  b c '.rsplit() }} ¦ {{ ''.split() }} ¦ {{ ''.split(',') }} ¦ {{ 'a'.split('') }} ¦ {{ 'abab'.split('ab') }} ¦ {{ 'aaa'.rsplit('aa') }} ¦ {{ 'a b'.split(maxsplit=0) }} ¦ {{ 'a,b'.split(sep=',') }} ¦ {{ 'a</think>b'.split('</think>')[-1] }}
{{ 'abc'.startswith('ab') }} ¦ {{ 'abc'.startswith(('x', 'a')) }} ¦ {{ 'abc'.endswith('bc') }} ¦ {{ 'abc'.endswith('') }} ¦ {{ 'abc'.startswith(1) }} ¦ {{ 'aXbX'.replace('X', 'y') }} ¦ {{ 'aXbX'.replace('X', 'y', 1) }} ¦ {{ 'a'.replace('a') }} ¦ {{ 'éabc'.find('b') }} ¦ {{ 'abc'.find('z') }} ¦ {{ 'abab'.rfind('ab') }} ¦ {{ 'abc'.find('') }} ¦ {{ 'abc'.rfind('') }} ¦ {{ 'abab'.count('ab') }} ¦ {{ 'aé'.count('') }} ¦ {{ '-'.join(['a', 'b']) }} ¦ {{ '-'.join([1]) }} ¦ {{ '-'.join('abc') }} ¦ {{ 'aBc'.upper() }} ¦ {{ 'aBc'.lower() }} ¦ {{ 'aBc'.capitalize() }} ¦ {{ 'a\nb\r\nc\u2028d\n'.splitlines() }} ¦ {{ 'a\nb'.splitlines(true) }} ¦ {{ 'abc'.removeprefix('a') }} ¦ {{ 'abc'.removesuffix('x') }} ¦ {{ 'abc'.removesuffix('bc') }}
{{ X.d.get('a') }} ¦ {{ X.d.get('z') }} ¦ {{ X.d.get('z', 5) }} ¦ {{ X.d.keys()|list }} ¦ {{ X.d.keys() }} ¦ {{ X.d.values() }} ¦ {{ X.d.items() }} ¦ {% for k, v in X.d.items() %}{{ k }}{{ v }}{% endfor %} ¦ {{ X.l.index(1) }} ¦ {{ X.l.index(9) }} ¦ {{ X.l.count(1) }} ¦ {{ X.l.copy() }} ¦ {{ X.d.copy() == X.d }} ¦ {{ X.s.get('x') }} ¦ {{ X.l.split(',') }} ¦ {{ X.d.get([]) }} ¦ {{ X.d.keys()[0] }}. ¦ {{ X.d.items.x }} ¦ {{ 5.strip }} ¦ {{ X.d.get() }}
{{ dict(a=1, b=2) }} ¦ {{ dict(X.d, a=2)['a'] }} ¦ {{ dict([('a', 1)]) }} ¦ {{ dict([1]) }} ¦ {{ namespace(a=1) }} ¦ {% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns['x'] }}{{ ns.y }}{{ ns.y is defined }} ¦ {% set ns = namespace({'a': 1}, b=2) %}{{ ns.a + ns.b }} ¦ {% set x = {} %}{% set x.y = 1 %} ¦ {% set zz.y = 1 %} ¦ {{ namespace is defined }} ¦ {{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %-d %y %%') }} ¦ {{ strftime_now is defined }} ¦ {{ raise_exception('no\nno') }} ¦ {{ X.s() }} ¦ {{ X.d.zz() }} ¦ {{ namespace(1) }}
{% set x = 1 %}{{ x }} ¦ {% set x, y = 1, 2 %}{{ x }}{{ y }} ¦ {% set x, y = (1, 2, 3) %} ¦ {% set x, y = [1] %} ¦ {% set (x, (y, z)) = (1, [2, 3]) %}{{ x + y + z }} ¦ {% set x %}a {{ 1 }} b{% endset %}[{{ x }}] ¦ {% set x | upper | replace('A', 'z') %}abc{% endset %}{{ x }} ¦ {% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }} ¦ {% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }} ¦ {% for i in [1, 2] %}{{ x is defined }}{% set x = i %}{% endfor %}{{ x }} ¦ {% set x %}{% set y = 3 %}{{ y }}{% endset %}{{ x }}{{ y }} ¦ {% set x = none, 1 %}{{ x }}
{% for i in X.l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %} ¦ {% for i in X.l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% endfor %} ¦ {% for i in [] %}x{% else %}none{% endfor %} ¦ {% for i in X.l if i > 9 %}x{% else %}none{% endfor %} ¦ {% set q = 1 %}{% for i in [] %}{% else %}{% set q = 2 %}{% endfor %}{{ q }} ¦ {% for i in X.l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %} ¦ {% for i in X.l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %} ¦ {% for i in [1, 2] %}{% break %}{% else %}E{% endfor %} ¦ {% for i in [1] %}{% continue %}{% else %}E{% endfor %} ¦ {% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %} ¦ {% for a, b in [1] %}{% endfor %} ¦ {% for c in 'aé' %}{{ c }}.{% endfor %} ¦ {% for k in X.d %}{{ k }}.{% endfor %} ¦ {% for i in nothing %}x{% else %}e{% endfor %} ¦ {% for i in none %}{% endfor %} ¦ {% for i in 5 %}{% endfor %}
{% for i in X.l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %} ¦ {% for i in X.l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %} ¦ {% for i in X.l %}{{ loop.cycle('a', 'b') }}{% endfor %} ¦ {% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %} ¦ {% for i in [1, 2] %}{% for k in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %} ¦ {% for i in [1] %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.nope }}{% endfor %}{{ loop }} ¦ {% for x in X.l|select('odd') %}{{ loop.length }}{{ loop.revindex }}{{ x }}{{ loop.last }}{% endfor %} ¦ {% set ns = namespace(n=0) %}{% for x in [1, 2, 3, 4] if ns.n < 2 %}{% set ns.n = ns.n + 1 %}{{ x }}{% endfor %}{{ ns.n }} ¦ {% for i in [1, 2, 3] %}{% if loop.first %}{{ loop.length }}{% endif %}{{ i }}{% endfor %} ¦ {% for x in [[1, 2], [3]] %}{% for x in x %}{{ x }}{% endfor %}{{ x }}{% endfor %} ¦ {% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% continue %}{% elif i == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %} ¦ {% for i in [1] %}{{ loop.cycle() }}{% endfor %}
{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c='y') }} {{ m(a=5, b=6) }} {{ m(1, 2, 3) }} ¦ {% macro m(a) %}[{{ a }}]{% endmacro %}{{ m() }}{{ m(none) }} ¦ {% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }} ¦ {% macro m(a) %}{% endmacro %}{{ m(1, 2) }} ¦ {% macro m(a) %}{% endmacro %}{{ m(b=2) }} ¦ {% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }} ¦ {% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }} ¦ {% set x = 1 %}{% macro m() %}{{ x }}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }} ¦ {% macro m() %}{{ x }}{% endmacro %}{% set x = 7 %}{{ m() }} ¦ {% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %} ¦ {% macro m() %} a {% endmacro %}{{ m() | trim | upper }} ¦ {% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(4) }} ¦ {% macro m() %}{% for i in [1, 2] %}{{ i }}{% break %}{% endfor %}{% endmacro %}{{ m() ~ m() }} ¦ {{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }} ¦ {{ mm() }}{% if false %}{% macro mm() %}{% endmacro %}{% endif %}
{% if 1 %}a{% endif %} ¦ {% if 0 %}a{% elif 0 %}b{% elif 1 %}c{% else %}d{% endif %} ¦ {% if nothing %}a{% else %}d{% endif %} ¦ {% if nothing.x %}{% endif %} ¦ {% if 1, %}t{% endif %} ¦ {% if not nothing is defined %}u{% endif %} ¦ {% generation %}a{% set q = 1 %}{% endgeneration %}{{ q }} ¦ {% filter trim %} x {% endfilter %}. ¦ {% filter replace('a', 'b') | upper %}abc{% endfilter %} ¦ {% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }} ¦ {% with %}{% set z = 1 %}{% endwith %}{{ z }} ¦ {% for x in [1] %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}
a  {%- if 1 %}  b  {%- endif -%}  c ¦ {{- 'x' -}}   y ¦ a
  {% if 1 %}
  b
  {% endif %}
c ¦ a {% if 1 %} b
 {%+ if 1 %}c{% endif +%}
d{% endif %} ¦ a {# c #} b ¦ a
   {# c #}
b ¦ a {#- c -#} b ¦ {# a
b #}{{ nothing.x }} ¦ x{% raw %} {{ y }} {% endraw %}z ¦ {{ '{{' }}{{ '%}' }}{{ "}}" }} ¦ {{ {'a': {'b': 1}}.a.b }} ¦ {{ {'a': {}} }} ¦ {{ '#}' }} ¦ { { } % ¦ {{ '\r\n' }}|
{{ messages[0].role }}{{ messages|length }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ bos_token }}{{ sep_token is defined }}
"""


def expressions():
    """The rows, as they stand above: a blank and a line end around each are not part of it."""
    rows = []
    for line in EXPRESSIONS.strip("\n").split("\n{"):
        line = line if not rows else "{" + line
        rows += [part.strip(" ") for part in line.split(" ¦ ")]
    return rows
