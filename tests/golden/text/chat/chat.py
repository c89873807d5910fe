#!/usr/bin/env python3
"""Makes renders.json in this folder: what transformers makes of the templates beside this file, which have the style of
published ones, and Jinja, as transformers sets it up, of short templates for single rules.

Made with Python 3.11, transformers 5.17 and Jinja 3.1.6:  python chat.py
"""
import glob
import json
import os
import datetime

import jinja2
from transformers.utils import chat_template_utils

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
USER = {"role": "user", "content": " What is 2 + 3?\n"}
ANSWER = {"role": "assistant", "content": "<think>\nadd\n</think>\n\nIt is 5. "}
SYSTEM = {"role": "system", "content": "Be brief.\n"}
CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ANSWER, {"role": "user", "content": "Wozu? 为什么？"}],
                 [SYSTEM, USER, ANSWER], [USER, USER],
                 [SYSTEM, USER, ANSWER, {"role": "user", "content": "<result>5</result>"}, ANSWER]]
SNIPPETS = [
    "a\n  {% if true %}\n b\n  {% endif %}\nc\n", "  {% set x = 1 %}  {{ x }}\n\n", "x {%- if true %} y {%+ endif %}\nz",
    "x \n\t {{- 1 }} \n {{ 2 -}} \n y", "a {# c #} b\n  {# c #}\nd{#- e -#} f", "  {%+ if true %}a{% endif %}", "{% if true -%}\n\n a{% endif +%}\nb",
    "\r\na\r{{ 1 }}\r\n", "{{ 1 }}\n\n", "{{ '{%' }}{{ \"}}\" }}{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ 'a\\nb\\t\\u00e9\\x41\\q\\'' }}", "{{ 'a' 'b' }}", "{{ 1 + 2 * 3 - 4 // 3 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }}",
    "{{ 1 ~ 2 + 3 }}", "{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ missing }}", "{{ -1 | string ~ 'x' }}", "{{ not true or true and false }}",
    "{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' < 'b' }}{{ 1 == 1.0 }}{{ true == 1 }}", "{{ 'a' if false }}|{{ 'a' if 1 else 'b' if 0 else 'c' }}",
    "{{ [1, 2, 3][-1] }}{{ [1, 2][5] }}{{ 'abc'[1] }}{{ 'äöü'[-1] }}", "{{ 'äöüß'[1:3] }}{{ 'abc'[::-1] }}{{ 'abcdef'[-4:-1:2] }}",
    "{{ [1,2,3,4][1:]|join(',') }}{{ [1,2,3][:-1]|join('-') }}{{ [1,2,3][5:]|join }}{{ [1,2,3][-9:2]|join }}{{ [1,2,3][2:-9:-1]|join }}",
    "{% for x in [1,2,3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }} {% endfor %}",
    "{% for x in [1,2,3] %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.previtem is defined }} {% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in [1,2,3,4] if x % 2 == 0 %}{{ loop.index }}{{ x }}{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'a': 1} %}{{ k }}{% endfor %}",
    "{% for c in 'añb' %}{{ c }}.{% endfor %}{% for x in missing %}{% endfor %}", "{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "{% set n = namespace(x=1) %}{% for i in [1,2] %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set x %}a{{ 1 }}b{% endset %}{{ x|upper }}", "{% for i in [1,2,3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1,2,3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}{{ range(5, 0, -2)|join }}",
    "{{ '  a b '.strip() }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'xxaxx'.rstrip('x') }}|{{ '\\u00a0\\u3000a\\x1c'|trim }}|{{ 'abcba'.strip('ab') }}",
    "{{ 'a,b,,c'.split(',')|join('|') }}{{ ' a  b '.split()|join('|') }}{{ 'a,b,c'.split(',', 1)|join('|') }}{{ 'a,b,c'.rsplit(',', 1)|join('|') }}{{ ' a  b c '.split(none, 1)|join('|') }}",
    "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'bc')) }}{{ 'aXbX'.replace('X', 'yy') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'|replace('b', '') }}",
    "{{ 'hello wORLD'.title() }}{{ \"it's a-b\"|title }}{{ \"it's\".title() }}{{ 'aBC'|capitalize }}{{ 'aB'.upper() }}{{ 'aB'|lower }}",
    "{{ 'abcabc'.find('c') }}{{ 'äbc'.find('c') }}{{ 'abc'.find('x') }}{{ 'abcabc'.count('bc') }}", "{{ 'äb'|length }}{{ [1,2]|count }}{{ {'a':1}|length }}{{ missing|length }}",
    "{{ missing|default('x') }}{{ ''|default('x') }}{{ ''|default('x', true) }}{{ none|d('y') }}{{ none|d('y', boolean=true) }}",
    "{{ [{'a': 1}, {'a': 2}]|map(attribute='a')|join(',') }}{{ [' a', 'b ']|map('trim')|join('.') }}",
    "{{ [{'r': 'u', 'c': 1}, {'r': 'a', 'c': 2}]|selectattr('r', 'equalto', 'a')|map(attribute='c')|join }}{{ [0, 1, '']|select|join }}{{ [1,2,3]|reject('odd')|join }}{{ [{'r': 1}, {}]|rejectattr('r')|list|length }}",
    "{% if []|select %}generators are true{% endif %}", "{{ {'a': [1, 2.5, none, true, 'ü\"\\n'], 'b': {}}|tojson }}", "{{ {'a': [1, {'b': []}]}|tojson(indent=2) }}", "{{ [1]|tojson(indent=none) }}",
    "{{ [3,1]|first }}{{ [3,1]|last }}{{ 'ab'|first }}{{ []|first }}", "{{ [1,2]|reverse|join }}{{ 'ab'|reverse }}{{ 'ab'|list|join('-') }}", "{{ '12'|int + 1 }}{{ 'x'|int }}{{ 'x'|int(7) }}{{ 2.9|int }}",
    "{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b') }}{{ {'a': 1}.get('b', 3) }}{{ {'a': 1}.keys()|join }}{{ {'a': 1}.values()|join }}{{ {'a': 1}|items|list|length }}",
    "{{ 'x' is string }}{{ 1 is string }}{{ {} is mapping }}{{ [] is sequence }}{{ 'x' is sequence }}{{ [] is iterable }}{{ 1 is iterable }}{{ none is none }}{{ missing is none }}{{ missing is defined }}{{ missing is not defined }}",
    "{{ 1 is number }}{{ true is number }}{{ 1.5 is float }}{{ true is boolean }}{{ true is true }}{{ 1 is true }}{{ 2 is even }}{{ 3 is odd }}{{ 4 is divisibleby 2 }}{{ 4 is eq 4 }}{{ 1 is in [1,2] }}{{ 3 is integer }}{{ true is integer }}",
    "{{ 1 in [1,2] }}{{ 'a' in {'a': 1} }}{{ 'b' not in 'abc' }}{{ 'x' in missing }}{{ 'a' in 'cat' and not 'z' in 'cat' }}", "{{ [1,2] == [1,2] }}{{ {'a':1} == {'a':1.0} }}{{ 'a' != 'b' }}{{ none == missing }}{{ missing == gone }}",
    "{{ [1] + [2] }}", "{{ ([1] + [2])|join }}", "{{ missing + 'a' }}", "{{ missing.a }}", "{{ {}.a.b }}", "{{ none.a }}|{{ 1.a }}", "{{ 'a' + 1 }}", "{{ 1 / 0 }}", "{{ [1]|join(', ') }}{{ 5|join }}",
    "{{ raise_exception('no') }}", "{% if x %}", "{{ 1", "{% endif %}", "{{ 'a }}", "{{ 1 | nofilter }}", "{{ [1, }}", "{{ 'abc' is notest }}", "{{ (1 }}", "{{ a b }}", "{% for x of y %}{% endfor %}",
    "{% generation %}a{% endgeneration %}", "{{ messages[0].content|trim }}{{ add_generation_prompt }}{{ tools is none }}{{ documents }}", "{{ 10000000000 * 10 }}", "{{ 1.0 }}{{ 0.1 + 0.2 }}{{ 1e3 }}",
    "{{ messages | length > 0 and messages[-1]['role'] == 'user' }}", "{{ 'a' * 3 }}", "{{ true and 'x' or 'y' }}{{ '' or none or 'z' }}", "{{ loop }}{{ loop is defined }}", "{{ ('a', 'b')[1] }}{{ () | length }}",
    "{{ 'A'~'B' | lower }}{{ ('A'~'B') | lower }}", "{{ - 3 | string }}{{ 'x' is not string }}{{ not 'x' is string }}", "{{ namespace(a=1).a }}{{ namespace() is defined }}", "{% set x = namespace() %}{% set x.y = 'q' %}{{ x.y }}{{ x.z }}",
    "{% set d = {} %}{% set d.x = 1 %}", "{{ {'a':1}['a'] }}{{ {'a':1}.a }}{{ {'a':1}['z'] is defined }}", "{{ 'a'.removeprefix('a') }}{{ 'xay'.removesuffix('y') }}", "{{ 5 is divisibleby(2) }}", "{{ 3 | default }}{{ ''.split(',') | length }}",
]


class July(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = July


def render(source, messages, generation):
    try:
        text = chat_template_utils.render_jinja_template(conversations=[messages], chat_template=source,
                                                         add_generation_prompt=generation, **TOKENS)[0][0]
        return {"text": text}
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ZeroDivisionError) as error:
        return {"error": type(error).__name__}


renders = []
for path in sorted(glob.glob(os.path.join(HERE, "*.jinja"))):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    for number, messages in enumerate(CONVERSATIONS):
        for generation in (False, True):
            renders.append({"template": os.path.basename(path), "conversation": number, "generation": generation,
                            **render(source, messages, generation)})
snippets = [{"source": source, **render(source, [USER], True)} for source in SNIPPETS]
with open(os.path.join(HERE, "renders.json"), "w", encoding="utf-8") as out:
    json.dump({"tokens": TOKENS, "conversations": CONVERSATIONS, "renders": renders, "snippets": snippets}, out,
              ensure_ascii=False, indent=1)
    out.write("\n")
