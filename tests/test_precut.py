"""A template that is cut gives what Jinja2 gives, for every machine and every slip."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from netbootd import rendering
from netbootd.mac import MAC
from netbootd.precut import _MOST, _TIMES, Pieces
from netbootd.registry.facts import everybody, for_a_look
from netbootd.registry.load import load
from netbootd.targets.ipxe import Templates

ETC = Path(__file__).parents[1] / "etc" / "netbootd.json"
ONE, OTHER = MAC.parse("52:54:00:12:34:56"), MAC.parse("52:54:00:ab:cd:ef")


def pieces(**texts):
    """The pieces of text *main* and its plain rendering; it may include the others by name."""
    environment = rendering.environment(rendering.jinja2.DictLoader(texts))
    compiled = environment.get_template("main")
    return Pieces(lambda: compiled, texts.values()), compiled.render


def outcome(render, values):
    try:
        return render(values)
    except Exception as problem:
        return type(problem), str(problem)


VALUES = [
    {"a": "x", "mac": ONE, "b": "y"},
    {"a": "", "mac": OTHER, "b": "100%"},
    {"a": "%s", "mac": ONE, "b": ""},
    {"a": 0, "mac": OTHER, "b": 1},
    {"a": False, "mac": "52-54", "b": True},
    {"a": 1, "mac": "", "b": 1.0},
    {"a": None, "mac": None, "b": -0.0},
    {"a": [1, "x"], "mac": ONE, "b": 0.0},
    {"a": (1, "x"), "mac": ONE, "b": {"dashed": 1}},
    {"a": {"k": "v", "l": "w"}, "mac": ONE, "b": "y"},
    {"a": {"l": "w", "k": "v"}, "mac": ONE, "b": "y"},
    {"mac": ONE},
    {"a": "x"},
    {},
    {"a": object, "mac": ONE, "b": "y"},
    {"a": "{{ b }}", "mac": ONE, "b": "longer than before"},
    {"a": "<&>", "mac": ONE, "b": "y", "namespace": "one"},
    {"a": "<&>", "mac": ONE, "b": "y", "namespace": "other"},
]
TEXTS = [
    "{{ a }} {{ b }}",
    "{{ mac }} {{ mac.dashed }} {{ mac.raw }} 100% %s {{ a }}{{ a }}",
    "{{ mac.reserved }}",
    "{% if a %}yes {{ a }}{% elif not b %}no{% else %}{{ b }}{% endif %}",
    "{{ ' ' if a }}{{ a if a else b }}",
    "{% if a is defined and a %}{{ a }}{% endif %}{% if b is undefined %}none{% endif %}",
    "{{ a|upper }}{{ a }}",
    "{{ a|length }}",
    "{{ a ~ b }}{{ a }}",
    "{{ a or b }}",
    "{% if a == 'x' %}is x{% endif %}{{ a }}",
    "{% for one in a %}{{ one }},{% endfor %}{{ b }}",
    "{% for one in (1, 2) %}{{ loop.index }}{{ a }}{% endfor %}",
    "{% set b = a %}{{ b }}",
    "{% set c %}{{ a }}{% endset %}{{ c|upper }}",
    "{% filter upper %}{{ a }}{% endfilter %}",
    "{% macro m(x) %}{{ x }}{{ a }}{% endmacro %}{{ m(b)|upper }}",
    "{% block one %}{{ a }}{% endblock %}{{ self.one()|upper }}",
    "{% block one %}{{ a }}{% endblock %}{{ self.one() }}",
    "{{ a.k }}{{ a['k'] }}",
    "{{ a.dashed }}{{ b.dashed }}",
    "{{ (a if b else mac).dashed }}",
    "{{ range(3)|list }}{{ a }}",
    "{{ [a, b] }}",
    "{{ a() }}",
    "{% with a = b %}{{ a }}{% endwith %}{{ a }}",
    "{% include 'other' %}{{ a }}",
    "{% include b ignore missing %}{{ a }}",
    "{% extends 'base' %}{% block x %}{{ super() }}{{ a }}{% endblock %}",
    "{% extends 'base' %}{% block x %}{{ super()|upper }}{% endblock %}",
    "{% import 'other' as o with context %}{{ o|upper }}",
    "{% autoescape true %}{{ a }}{% endautoescape %}{{ b }}",
    "{% for one in [[[]]] recursive %}{{ a }}{% if one %}{{ loop(one)|upper }}{% endif %}{% endfor %}",
    "{{ namespace }}{{ a }}{% set namespace = a %}",
    "{% if namespace is defined %}{{ namespace }}{% endif %}",
    "plain\n",
    "",
]
BESIDE = {
    "other": "other {{ a }} {{ b|upper }}",
    "base": "<{% block x %}base {{ b }}{% endblock %}>",
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_cut_reads_as_what_is_rendered(text):
    cut, plain = pieces(main=text, **BESIDE)
    for _ in range(2):
        for values in VALUES:
            assert outcome(cut.render, values) == outcome(plain, values)


BY_CHANCE = [
    "{{ [1, 2, 3]|random }}{{ a }}",
    "{{ lipsum() }}{{ a }}",
    "{{ ([[1, 2, 3, 4, 5]] * 9)|map('random')|join }}{{ a }}",
    "{{ ([[1, 2, 3, 4, 5]] * 9)|map('ran' ~ 'dom')|join }}{{ a }}",
]


@pytest.mark.parametrize("text", BY_CHANCE)
def test_what_is_made_by_chance_is_never_kept(text):
    cut, _ = pieces(main=text)
    assert len({cut.render({"a": "x"}) for _ in range(100)}) > 1


def test_a_template_is_rendered_once_for_machines_that_differ_in_what_is_printed(monkeypatch):
    environment = rendering.environment()
    compiled = environment.from_string("{{ mac }} {{ a }}{% if b %} {{ b }}{% endif %}")
    source = "{{ mac }} {{ a }}{% if b %} {{ b }}{% endif %}"
    times = []
    plain = compiled.render
    monkeypatch.setattr(compiled, "render", lambda values: times.append(1) or plain(values))
    cut = Pieces(lambda: compiled, [source])
    for number in range(100):
        values = {"mac": MAC(number.to_bytes(6, "big")), "a": f"node{number}", "b": f"b{number}"}
        assert cut.render(values) == plain(values)
    assert len(times) == 1


def test_one_that_is_another_for_each_machine_is_not_kept_for_ever():
    cut, plain = pieces(main="{{ a|upper }}")
    for number in range(_MOST * (_TIMES + 2)):
        assert cut.render({"a": f"node{number}"}) == plain({"a": f"node{number}"})
        assert len(cut._kept) <= _MOST


class Plain:
    """Pieces that are none: what Jinja2 alone makes."""

    def __init__(self, template):
        self._template = template

    def render(self, values):
        return self._template.render(values)


def uncut(target, templates):
    """The same target, whose script Jinja2 alone makes."""
    plain = Plain(templates._environment.get_template(target.template.name))
    return replace(target, template=replace(target.template, _pieces=plain))


def test_every_target_of_the_examples_has_the_same_script_cut_or_not(tmp_path):
    shutil.copytree(ETC.parent, tmp_path / "etc")
    for example in (tmp_path / "etc" / "machines.d").glob("*.example"):
        example.rename(example.with_suffix(""))
    registry = load(tmp_path / "etc" / ETC.name)
    templates = Templates(tmp_path / "etc")
    seen = set()
    for target in registry.targets.values():
        plain = uncut(target, templates)
        for machine in everybody(registry)[:8]:
            facts = for_a_look(machine.booting(target), registry)
            for told in (facts, replace(facts, token="t1"), replace(facts, token="t2")):
                cut = outcome(target.script, told)
                assert cut == outcome(plain.script, told)
                seen.add(cut)
    assert len(seen) > len(registry.targets) > 20
