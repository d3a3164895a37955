"""
Jinja2, for every text that is made per machine: boot scripts, answer files, node scripts, overlays.

One environment for all: in the sandbox, strict about undefined names.  The operator's templates are
compiled when the configuration is loaded, which tells what is wrong with them; our own, of which a
configuration needs a few, when they are first rendered, or before in a thread of the daemon
(``warm``), so that no request waits for that.
"""

from __future__ import annotations

import json
import re
import shlex
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from netbootd import forms
from netbootd.errors import Place, RenderError
from netbootd.precut import Pieces

#: The ending of a file that is rendered; it is not part of the name under which it is served.
SUFFIX = ".j2"
#: What all ranges of one rendering may have together: a slip of two of them, one in the other,
#: would keep the daemon from everything else for ever.
_MOST_ROUNDS = 1_000_000
_rounds_left: ContextVar[list[int] | None] = ContextVar("rounds left", default=None)
#: How our own templates name what they build on; a test holds it against what Jinja2 finds.
_NAMED = re.compile(r"""\{%[-+]?\s*(?:extends|include)\s+"([^"]+)\"""")
_TOLD_AT = re.compile(r"(.+?):([0-9]+): (.*)", re.DOTALL)


def environment(loader: jinja2.BaseLoader | None = None) -> jinja2.Environment:
    """
    An environment whose templates may ``extends`` and ``include`` what *loader* finds.

    Filters beside Jinja2's own: ``json`` (strict JSON, on one line), ``sh`` (one word of a POSIX
    shell, quoted), and ``line``, ``lines`` and ``keys_of`` (see ``forms``).
    """
    made = ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,  # a request must not look at the disk
    )
    made.globals["range"] = _range
    made.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    made.filters["sh"] = lambda value: shlex.quote(str(value))
    made.filters |= {"line": forms.line, "lines": forms.lines, "keys_of": forms.keys_of}
    return made


def _range(*bounds: int) -> range:
    """Python's, as far as the rounds reach."""
    numbers = safe_range(*bounds)
    if (left := _rounds_left.get()) is not None:
        left[0] -= len(numbers)
        if left[0] < 0:
            raise OverflowError(f"more than {_MOST_ROUNDS:,} rounds in all")
    return numbers


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """
    A file that compiles; two are equal when their texts are, with all that they include.

    *builds_on* names what it includes, as far as that is known before it is rendered.
    """

    name: str
    source: str
    _pieces: Pieces = field(compare=False, repr=False)
    builds_on: tuple[str, ...] = ()

    def render(self, names: Mapping[str, Any]) -> str:
        """The text with *names* filled in; raises RenderError, which names file and line."""
        before = _rounds_left.set([_MOST_ROUNDS])
        try:
            return self._pieces.render(names)
        except Exception as problem:  # a template is the operator's text and may do anything
            raise RenderError(told_of(self.name, problem)) from None
        finally:
            _rounds_left.reset(before)

    def warm(self) -> None:
        """Do now what the first rendering would, some milliseconds; to be called in a thread."""
        self._pieces.warm()

    def wants(self) -> frozenset[str]:
        """The names it needs from outside; not those it tests for, or gives a default."""
        trees = [environment().parse(source) for source in self.source.split("\0")]
        wanted: set[str] = set()
        for tree in trees:
            wanted |= jinja2.meta.find_undeclared_variables(tree)
        for tree in trees:
            wanted -= _set_or_guarded(tree)
        return frozenset(wanted - environment().globals.keys())


@dataclass(frozen=True, slots=True)
class BrokenText:
    """
    A file that does not compile: ``render`` raises its *reason*, ``file:line: what``.

    *passing*: it could not be read, and another time that may go well.
    """

    name: str
    reason: str
    passing: bool = False

    def render(self, names: Mapping[str, Any]) -> str:
        """Never a text."""
        raise RenderError(self.reason)


def compile_together(texts: Mapping[str, str]) -> dict[str, TextTemplate | BrokenText]:
    """
    Compile *texts*, which may include each other by their names, and nothing else.

    All is done here: rendering neither reads a file nor compiles.  One that builds on a broken one
    is broken itself, for the same reason.
    """

    made = _together(texts)
    needed: dict[str, list[str]] = {}
    faults: dict[str, str] = {}
    for name, text in texts.items():
        try:
            needed[name] = _needed(made.parse(text, name, name), name, texts)
            made.get_template(name)
        except jinja2.TemplateSyntaxError as problem:
            faults[name] = f"{name}:{problem.lineno}: {problem.message}"
        except Exception as problem:  # the parser meets RecursionError, and whoever knows what else
            faults[name] = f"{name}: {_told(problem)}"
    return {name: _made(name, made, texts, _closure(name, needed), faults) for name in texts}


def compile_later(texts: Mapping[str, str]) -> dict[str, TextTemplate]:
    """
    Templates of our own, which are known to compile, as ``compile_together`` makes them: each is
    compiled when it is first rendered.
    """
    made = _together(texts)
    needed = {name: named_by_ours(text) for name, text in texts.items()}
    return {name: _template(made, texts, _closure(name, needed)) for name in texts}


def named_by_ours(source: str) -> list[str]:
    """The templates that one of our own names to build on; parsing it would take ten times that."""
    return _NAMED.findall(source)


def _together(texts: Mapping[str, str]) -> jinja2.Environment:
    """Where *texts* find each other."""

    def load(name: str) -> tuple[str, str, None] | None:
        return (texts[name], name, None) if name in texts else None

    return environment(jinja2.FunctionLoader(load)).overlay(cache_size=-1)


def _made(
    name: str,
    made: jinja2.Environment,
    texts: Mapping[str, str],
    parts: list[str],
    faults: Mapping[str, str],
) -> TextTemplate | BrokenText:
    reason = next((faults[part] for part in parts if part in faults), None)
    if reason is not None:
        return BrokenText(name, reason)
    return _template(made, texts, parts)


def _template(made: jinja2.Environment, texts: Mapping[str, str], parts: list[str]) -> TextTemplate:
    """The first of *parts*; rendering it would compile the others."""
    sources = [texts[part] for part in parts]

    def compiled() -> jinja2.Template:
        return [made.get_template(part) for part in reversed(parts)][-1]

    return TextTemplate(parts[0], "\0".join(sources), Pieces(compiled, sources), tuple(parts[1:]))


def _needed(tree: nodes.Template, name: str, texts: Mapping[str, str]) -> list[str]:
    """What it includes by a fixed name; raises TemplateSyntaxError for one that is not there."""
    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        wanted = getattr(node, "template", None)
        optional = getattr(node, "ignore_missing", False)
        if isinstance(wanted, nodes.Const) and wanted.value not in texts and not optional:
            told = f"there is no template {wanted.value!r}"
            raise jinja2.TemplateSyntaxError(told, node.lineno, name, name)
    return [
        other for other in jinja2.meta.find_referenced_templates(tree) if other and other in texts
    ]


def _closure(name: str, needed: Mapping[str, list[str]]) -> list[str]:
    """*name* and all that it builds on, each once."""
    found = [name]
    for one in found:
        found += [other for other in dict.fromkeys(needed.get(one, ())) if other not in found]
    return found


def _set_or_guarded(tree: nodes.Template) -> set[str]:
    """Names that a template sets itself, has a default for, or asks whether they are defined."""
    found = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    found |= {node.name for node in tree.find_all(nodes.Macro)}
    for kind, names in (
        (nodes.Filter, ("default", "d")),
        (nodes.Test, ("defined", "undefined")),
    ):
        for node in tree.find_all(kind):
            if node.name in names and isinstance(node.node, nodes.Name):
                found.add(node.node.name)
    return found


def told_at(problem: RenderError, root: Path | None = None) -> tuple[Place, str]:
    """The place that *problem* names, its file below *root*, and what it says of it."""
    if match := _TOLD_AT.fullmatch(str(problem)):
        file, line, told = match[1], int(match[2]), match[3]
    else:
        (file, _, told), line = str(problem).partition(": "), 0
    return Place(str(root / file) if root else file, line, min(line, 1)), told


def compile_text(name: str, source: str) -> TextTemplate:
    """*source* alone, which includes nothing; errors call it *name*.  Raises RenderError."""
    made = compile_together({name: source})[name]
    if isinstance(made, BrokenText):
        raise RenderError(made.reason)
    return made


def told_of(name: str, problem: Exception) -> str:
    """``file:line: what``, of a template *name* that failed with *problem*."""
    return f"{_where(name, problem)}: {_told(problem)}"


def _where(name: str, problem: Exception) -> str:
    """File and line of a template that failed: the last frame that is one of its own."""
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if not frame.filename.endswith(".py")
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name


def _told(problem: Exception) -> str:
    text = str(problem) or type(problem).__name__
    return (
        text if isinstance(problem, jinja2.TemplateError) else f"{type(problem).__name__}: {text}"
    )
