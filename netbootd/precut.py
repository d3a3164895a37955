"""
Templates cut at what they only print, so that a storm of machines does not run Jinja2 for each.

Of most names a template does no more than print them, or ask whether they are there: the MAC, the
token of a boot, the arguments of a kernel.  Its text is then the same for all machines but for
these: it is rendered once with a stand-in for each, cut there, and joined around the values of
every other machine.  A name of which anything else is made (a filter, a comparison, a loop) belongs
to what the pieces depend on, with its whole value.

Which name is which stands in the template itself, so nothing is guessed.  What is not understood
(macros, text that is captured, what is made at random) is rendered as ever, and so is what fails:
whoever wants the error gets Jinja2's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jinja2
import jinja2.meta
from jinja2 import nodes

from netbootd.mac import MAC

#: Sets of pieces that are kept of one template.  One that fills them this often has no use for it:
#: something in it is another for each machine.
_MOST, _TIMES = 128, 4
#: In whose presence what is printed may be changed before it leaves.
_CAPTURES = (
    *(nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.AssignBlock, nodes.Import),
    nodes.EvalContextModifier,  # {% autoescape %}
)
_BY_CHANCE = frozenset({"random", "lipsum", "self", "caller"})
_SPELLINGS = frozenset({"dashed", "raw"})  # of a MAC
_MARK = secrets.token_hex(16)  # that nobody can have written
_CUT = re.compile(f"{_MARK}([0-9]+);")


class Unfit(Exception):
    """A template, or a value, of which no pieces can be kept."""


class Cut(NamedTuple):
    """A text as a format for ``%``, and which of the printed values go into it, in order."""

    format: str
    order: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Cut:
        """*text* cut at its stand-ins."""
        literals = _CUT.split(text)
        return cls(
            "%s".join(literal.replace("%", "%%") for literal in literals[::2]),
            tuple(map(int, literals[1::2])),
        )

    def around(self, values: Sequence[str]) -> str:
        """The text with *values* instead of the stand-ins."""
        return self.format % tuple(map(values.__getitem__, self.order))


class Pieces:
    """
    The kept pieces of what *compiles* gives; *sources* are its text and those of all that it builds
    on.  It is asked for when it is first needed.

    ``render`` gives what that template's gives, and raises what that raises.
    """

    def __init__(self, compiles: Callable[[], jinja2.Template], sources: Iterable[str]) -> None:
        self._compiles = compiles
        self._sources = tuple(sources)
        self._kept: dict[Any, Cut] = {}
        self._times = _TIMES
        self._printed: tuple[str, ...] | None = None  # None until the first that is rendered
        self._told: tuple[str, ...] = ()

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return self._compiles()

    def _read(self) -> tuple[str, ...]:
        """See what the template does with its names; a start with many templates does not wait."""
        try:
            uses = _Uses(self._compiled.environment, self._sources)
        except (Unfit, jinja2.TemplateError, RecursionError):
            self._times = 0
            return ()
        self._told = tuple(uses.wanted & uses.told)
        return tuple(uses.wanted - uses.told)

    def warm(self) -> None:
        """See what the template does with its names, if nobody has yet."""
        if self._printed is None:
            self._printed = self._read()

    @property
    def told(self) -> tuple[str, ...] | None:
        """Names with which more is done than to print them; None where nobody knows."""
        self.warm()
        return self._told if self._times else None

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with *values* filled in."""
        if self._printed is None:
            self._printed = self._read()
        if not self._times:
            return self._compiled.render(values)
        printed: list[str] = []
        key: list[Any] = []
        get = values.get
        try:
            for name in self._printed:
                value = get(name, Unfit)
                kind = type(value)
                if kind is str and value:
                    printed.append(value)
                    key.append(str)
                elif kind is MAC:
                    printed += (str(value), value.dashed, value.raw)
                    key.append(MAC)
                else:  # not there, or nothing: that may be asked for
                    key.append((frozen(value),))
            for name in self._told:
                key.append(frozen(get(name, Unfit)))
        except Unfit:
            return self._compiled.render(values)
        whole = tuple(key)
        cut = self._kept.get(whole) or self._cut(whole, values)
        if cut is None:
            return self._compiled.render(values)
        return cut.around(printed)

    def _cut(self, key: tuple[Any, ...], values: Mapping[str, Any]) -> Cut | None:
        """Render once with stand-ins for what *key* has kinds of; None where that fails."""
        stand_ins: dict[str, Any] = {}
        number = 0
        for name, kind in zip(self._printed or (), key, strict=False):
            if kind is str:
                stand_ins[name] = stand_in(number)
                number += 1
            elif kind is MAC:
                stand_ins[name] = StandInMAC(number)
                number += 3
        try:
            text = self._compiled.render({**values, **stand_ins})
        except Exception:  # the template is the operator's text, and may do anything
            return None
        if len(self._kept) >= _MOST:
            self._kept.clear()
            self._times -= 1
        cut = self._kept[key] = Cut.of(text)
        return cut


def stand_in(number: int) -> str:
    """What stands for the value *number*."""
    return f"{_MARK}{number};"


class StandInMAC:
    """For a MAC, which a template may print in three spellings."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.dashed = stand_in(number + 1)
        self.raw = stand_in(number + 2)

    def __str__(self) -> str:
        return stand_in(self._number)

    __repr__ = __str__


def stands_in(value: object) -> bool:
    """Whether there is a stand-in anywhere in *value*."""
    return _MARK in repr(value)


def frozen(value: Any) -> Any:
    """
    What is equal for equal values of one type alone; raises Unfit for what may print otherwise.
    """
    kind = type(value)
    if kind is str or value is None or value is Unfit:
        return value
    if kind is int or kind is bool or kind is MAC:
        return kind, value
    if kind is float:
        return kind, repr(value)  # -0.0 equals 0.0
    if kind is tuple or kind is list:
        return kind, tuple([frozen(one) for one in value])
    if kind is dict:
        return kind, tuple([(frozen(name), frozen(one)) for name, one in value.items()])
    raise Unfit


class _Uses:
    """
    The names that templates get from outside, and which of them are *told* to more than the paper.

    Raises Unfit where printing is not all that happens to what is printed.
    """

    def __init__(self, environment: jinja2.Environment, sources: Iterable[str]) -> None:
        self.wanted: set[str] = set()
        self.told: set[str] = set()
        for source in sources:
            tree = environment.parse(source)
            if None in jinja2.meta.find_referenced_templates(tree):
                raise Unfit
            # All, and not only those that nobody declares: jinja2.meta leaves out the names of
            # globals, and a machine may have a variable that is called "namespace".
            self.wanted |= {name.name for name in tree.find_all(nodes.Name)}
            self._look(tree)

    def _look(self, node: nodes.Node) -> None:
        if isinstance(node, _CAPTURES):
            raise Unfit
        if isinstance(node, nodes.For) and node.recursive:  # its body is a macro
            raise Unfit
        if isinstance(node, nodes.Name | nodes.Filter | nodes.Test) and node.name in _BY_CHANCE:
            raise Unfit
        if isinstance(node, nodes.Filter) and node.name == "map" and not _maps_surely(node):
            raise Unfit
        if isinstance(node, nodes.Call) and _is_super(node):  # and not printed, see _print
            raise Unfit
        if isinstance(node, nodes.Name):
            self.told.add(node.name)
        elif isinstance(node, nodes.Output):
            for one in node.nodes:
                self._print(one)
        elif isinstance(node, nodes.If):
            self._ask(node.test)
            for part in (*node.body, *node.elif_, *node.else_):
                self._look(part)
        else:
            for child in node.iter_child_nodes():
                self._look(child)

    def _print(self, node: nodes.Node | None) -> None:
        """Of *node* nothing becomes but paper."""
        if node is None or isinstance(node, nodes.Name):
            return
        if isinstance(node, nodes.CondExpr):
            self._ask(node.test)
            self._print(node.expr1)
            self._print(node.expr2)
        elif isinstance(node, nodes.Getattr) and node.attr in _SPELLINGS:
            self._print(node.node)
        elif isinstance(node, nodes.Call) and _is_super(node):
            return
        else:
            self._look(node)

    def _ask(self, node: nodes.Node) -> None:
        """Of *node* it is asked whether it is true."""
        if isinstance(node, nodes.Name):
            return
        if isinstance(node, nodes.Not):
            self._ask(node.node)
        elif isinstance(node, nodes.And | nodes.Or):
            self._ask(node.left)
            self._ask(node.right)
        elif isinstance(node, nodes.Test) and node.name in ("defined", "undefined"):
            self._ask(node.node)
        else:
            self._look(node)


def _maps_surely(node: nodes.Filter) -> bool:
    """Whether the filter that *node* maps with is known, and none of chance."""
    if node.dyn_args is not None or not node.args:
        return node.dyn_args is None
    first = node.args[0]
    return isinstance(first, nodes.Const) and first.value not in _BY_CHANCE


def _is_super(node: nodes.Call) -> bool:
    return isinstance(node.node, nodes.Name) and node.node.name == "super"
