"""
Boot scripts that are kept, so that a storm of machines does not make the same text for each.

Most machines of a target get one text, but for the MAC, the token of the boot, the address they ask
from and words of their own such as the host name.  It is made once with a stand-in for each of
these, cut there, and joined around what every other machine has.

That is right as long as nothing is done with the stand-ins but to print them, and this is watched
while the text is made: what a target's own code looks at (``Facts.variables``, ``Facts.names``),
what it compares after filling in (``Facts.compares``), and what the template does with a name
(``Pieces.told``).  A variable that is looked at belongs to what the text depends on, with its whole
value; so does every value that is no plain word.  Whatever else is done, and all that fails, is for
``boot_script``, which makes the text anew; both write the same bytes (``tests/boot/test_kept.py``).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from netbootd.boot.client import Client
from netbootd.precut import Cut, StandInMAC, Unfit, frozen, stand_in, stands_in
from netbootd.registry.facts import facts_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet
from netbootd.targets.base import Facts, Target
from netbootd.targets.ipxe import ScriptTemplate

#: Texts that are kept; whoever comes later with another gets it made anew.
_MOST = 1024
#: A word that everybody who fills in a word prints as it stands: no blank, no ``${``, no
#: placeholder, nothing that iPXE would act on.
_PLAIN = re.compile(r"[A-Za-z0-9.:/-]+(?:_[A-Za-z0-9.:/-]+)*")
#: Values that every machine has, by their numbers: the MAC in three spellings, then these.
_TOKEN, _PEER, _OWN = 3, 4, 5


class Kept:
    """The kept texts of *registry*, which are thrown away with it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        # A node script with a fault keeps a boot script from going out; each is tried.
        self._works = not any(one.code.startswith("script-") for one in registry.findings)
        self._kept: dict[tuple[Any, ...], Cut | None] = {}
        #: Variables of machines that are looked at, by the id of the target, which is kept alive.
        self._looked_at: dict[int, tuple[Target, set[str]]] = {}

    def text(
        self, client: Client, machine: Machine, subnet: Subnet, base: str, token: str
    ) -> str | None:
        """
        The script of *machine*'s target for *client*, in *subnet*, which reaches us at *base*.

        None where it is to be made anew.
        """
        target, mac, peer = machine.target, client.mac, client.address
        known = self._looked_at.get(id(target)) or self._know(target)
        if known is None or mac is None or machine.overlays or target.wants_overlay:
            return None
        looked_at = known[1]
        words = [mac.hex(":"), mac.hex("-"), mac.hex(), token, peer]
        key: list[Any] = [id(target), subnet.name, base, ":" in peer, not token, not peer]
        try:
            for name, value in machine.variables.items():
                key.append(name)
                if _is_word(name, value, looked_at):
                    words.append(value)
                else:
                    key.append((frozen(value),))
        except Unfit:
            return None
        whole = tuple(key)
        cut = self._kept.get(whole)
        if cut is None:
            if whole in self._kept or len(self._kept) >= _MOST:
                return None
            cut = self._make(whole, client, machine, base, token)
        return None if cut is None else cut.around(words)

    def _know(self, target: Target) -> tuple[Target, set[str]] | None:
        if not self._works or len(self._looked_at) >= _MOST:
            return None
        return self._looked_at.setdefault(id(target), (target, set()))

    def _make(
        self, key: tuple[Any, ...], client: Client, machine: Machine, base: str, token: str
    ) -> Cut | None:
        """Make the text with stand-ins, and see what is done with them; None: it is not kept."""
        assert client.mac is not None
        target, looked_at = self._looked_at[id(machine.target)]
        facts = facts_of(
            client.mac, machine, self.registry, base, client.address, token, asks=client.asks
        )
        words = [
            name for name, value in machine.variables.items() if _is_word(name, value, looked_at)
        ]
        own = {name: stand_in(number) for number, name in enumerate(words, _OWN)}
        watch = _Watch(own)
        cut = None
        try:
            cut = Cut.of(watch.script(target, facts))
        except Exception:  # whoever makes it anew meets it again, and tells it
            watch.keeps = False
        if watch.looked_at:
            looked_at |= watch.looked_at  # the next such machine has another key
            return None
        self._kept[key] = cut = cut if watch.keeps else None
        return cut


def _is_word(name: str, value: Any, looked_at: Container[str]) -> bool:
    return type(value) is str and name not in looked_at and _PLAIN.fullmatch(value) is not None


class _Watch:
    """
    Makes a text with the stand-ins *own* for variables, and others for what every machine has.

    *looked_at* are then the variables with which more was done than to print them; it *keeps* for
    other machines unless something else was.
    """

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own
        self.looked_at: set[str] = set()
        self.keeps = True

    def script(self, target: Target, facts: Facts) -> str:
        """The text, with stand-ins."""
        mac: Any = StandInMAC(0)
        paper = replace(
            facts,
            mac=mac,
            token=facts.token and stand_in(_TOKEN),
            peer=facts.peer and stand_in(_PEER),
            variables={**facts.variables, **self._own},
        )
        given = {one.name: getattr(paper, one.name) for one in fields(paper)}
        given["variables"] = _Variables(facts.variables, self)
        template: Any = _Template(target.template, self)
        return replace(target, template=template).script(_Seen(**given, paper=paper, watch=self))

    def looks_at(self, name: str) -> None:
        """Somebody looks at the variable *name*."""
        if name in self._own:
            self.looked_at.add(name)

    def tells(self, names: tuple[str, ...] | None, values: Mapping[str, Any]) -> None:
        """More is done with *names* of *values* than to print them; None: with who knows which."""
        for name in values if names is None else names:
            if name in self._own and values.get(name) == self._own[name]:
                self.looked_at.add(name)
            elif stands_in(values.get(name)):
                self.keeps = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen(Facts):
    """Facts that tell a *watch* who looks at them; *paper* is for those who only print."""

    paper: Facts
    watch: _Watch

    def printed(self) -> dict[str, Any]:
        return self.paper.names()

    def names(self) -> dict[str, Any]:
        self.watch.keeps = False
        return self.paper.names()

    def compares(self) -> None:
        self.watch.keeps = False


class _Variables(Mapping[str, Any]):
    """*variables*, with a *watch* on who looks at which."""

    def __init__(self, variables: Mapping[str, Any], watch: _Watch) -> None:
        self._variables = variables
        self._watch = watch

    def __getitem__(self, name: str) -> Any:
        self._watch.looks_at(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


class _Template:
    """*template*, with a *watch* on what it does with its names."""

    def __init__(self, template: ScriptTemplate, watch: _Watch) -> None:
        self._template = template
        self._watch = watch
        self.name, self.source = template.name, template.source

    def filled(self, values: Mapping[str, Any]) -> str:
        """As that of the template."""
        self._watch.tells(self._template.told, values)
        return self._template.filled(values)
