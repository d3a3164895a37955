"""
Section ``machines``: every machine made of its entry, its groups and the default, and found by each
thing that it is known by.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from netbootd import dhcpoptions, readers, replies
from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import MACHINES
from netbootd.errors import Finding, Level
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.mac import MAC
from netbootd.registry import entries
from netbootd.registry.choice import CHOOSING, Choices
from netbootd.registry.entries import DEFAULT, IDENTITY, Entry, Kind, Report
from netbootd.registry.groups import LISTS, MEMBERSHIP, VARS, Groups, Whole
from netbootd.registry.machine import Machine, address_of
from netbootd.registry.marks import MARKS
from netbootd.registry.targets import Targets
from netbootd.relaxedjson import Object, kind, path_of
from netbootd.targets.base import Target
from netbootd.targets.catalogue import unusable
from netbootd.targets.settings import DHCP_OPTIONS, LOADER, PRIORITY, READ, SECRET

#: How a proxy tells the machine's firmware of its boot file (``replies``).
REPLY_STYLE = "reply_style"
#: Keys that are no free data.
_OWN_KEYS = (
    CHOOSING
    | {"enabled", LOADER, REPLY_STYLE, DHCP_OPTIONS, PRIORITY, SECRET, VARS}
    | {*entries.CARDS, *MEMBERSHIP, *LISTS}
)
#: All that mean something in an entry.
KNOWN_KEYS = _OWN_KEYS | IDENTITY | READ
#: As /proc/cpuinfo has it, or the eight digits by which its firmware asks.
_PI_SERIAL = re.compile(r"([0-9a-f]{8})?[0-9a-f]{8}")
_NO_OPTIONS: Mapping[int, bytes] = {}
_NO_LISTS: tuple[tuple[str, ...], ...] = ((),) * len(LISTS)


class Machines:
    """
    The machines by each thing they are known by.

    *by_mac* has each card; *marked* the uuids, serials and assets by their names; *wildcards* the
    beginnings of MACs; *named* those whose key is a name; *default* stands for all others.
    *entries* has what was written, by who it is about; *members* how many are in each group.
    """

    def __init__(self, layers: Layers, targets: Targets, report: Report) -> None:
        self._layers = layers
        self._report = report
        self._templates = targets.templates
        self.entries = entries.winners(layers, report)
        self.groups = Groups(layers, report)
        self.choices = Choices(targets, self.groups, self.entries.get(DEFAULT), report)
        self.default: Machine | None = None
        #: Whether an entry or a group says that anything is secret.
        self.seals = False
        self.by_mac: dict[MAC, Machine] = {}
        self.wildcards: dict[str, Machine] = {}
        self.named: dict[str, Machine] = {}
        self._options: dict[int, Mapping[int, bytes]] = {}
        made = [(entry, self._machine(entry)) for entry in self.entries.values()]
        self._made = made
        self.members = Counter(name for _, machine in made for name in machine.groups)
        self._add(made)
        marked = [one for one in made if _says_any(one[0], MARKS)]
        self.marked = {mark: self._by_mark(mark, marked) for mark in MARKS}
        self._remark_on_default()

    @property
    def cardless(self) -> list[Machine]:
        """Those that no MAC is given of."""
        return [machine for machine in self.named.values() if not machine.macs]

    def by_address(self) -> dict[str, Machine]:
        """The machines that give their ``ip``; of two with one address the first has it."""
        return {
            machine.variables["ip"].strip(): machine
            for machine in reversed((*self.by_mac.values(), *self.cardless))
            if isinstance(machine.variables.get("ip"), str)
        }

    def reserved(self) -> dict[IPv4Address, Machine]:
        """The machines by their addresses; of two with one address the first has it."""
        found: dict[IPv4Address, Machine] = {}
        for entry, machine in self._made:
            if machine.address is None or entry.kind in (Kind.PREFIX, Kind.DEFAULT):
                continue
            before = found.setdefault(machine.address, machine)
            if before is not machine:
                entries.address_twice(entry, machine.address, before, self._report)
        return found

    def of_subnet(self, entry: Entry) -> Machine:
        """What those of a subnet boot that are not listed, from its *entry* there."""
        self.entries[entry.who] = entry
        return replace(self._machine(entry), written=str(entry.who))

    def by_pi_serial(self) -> dict[str, Machine]:
        """Those whose ``serial`` is a Raspberry Pi's: 8 hexadecimal digits, or 16 of that model."""
        return {
            serial[-8:]: machine
            for serial, machine in self.marked["serial"].items()
            if _PI_SERIAL.fullmatch(serial)
        }

    # -- who is known by what ------------------------------------------------------------------

    def _add(self, made: list[tuple[Entry, Machine]]) -> None:
        """The MACs that are keys first: those inside an entry must not take their places."""
        for entry, machine in made:
            if entry.mac is not None:
                self.by_mac[entry.mac] = machine
            elif entry.kind is Kind.PREFIX:
                self.wildcards[str(entry.who).removesuffix("*")] = machine
            elif entry.kind is Kind.DEFAULT:
                self.default = machine
            else:
                self.named[machine.named] = machine
        for entry, machine in made:
            for mac in machine.macs if entry.mac is None else machine.macs[1:]:
                self._add_card(mac, entry, machine)

    def _add_card(self, mac: MAC, entry: Entry, machine: Machine) -> None:
        if mac in self.by_mac:
            entries.stands_twice(mac, entry.place, self.by_mac[mac].place, self._report)
        else:
            self.by_mac[mac] = machine.for_card(mac)

    def _by_mark(self, mark: str, made: list[tuple[Entry, Machine]]) -> dict[str, Machine]:
        """The machines by their *mark*; one that two of them have is nobody's."""
        found: dict[str, Machine] = {}
        twice: set[str] = set()
        for entry, machine in made:
            if mark not in entry.value or (mark == "remote_id" and "circuit_id" in entry.value):
                continue
            if entry.kind in (Kind.PREFIX, Kind.DEFAULT):
                entries.stands_for_many(entry, mark, self._report)
            elif text := entries.mark(entry, mark, self._report):
                if text in found:
                    entries.marked_twice(entry, mark, found[text].place, self._report)
                    twice.add(text)
                found[text] = machine
        return {text: machine for text, machine in found.items() if text not in twice}

    # -- what an entry says --------------------------------------------------------------------

    def _machine(self, entry: Entry) -> Machine:
        macs = entries.cards(entry, self._report)
        mac = macs[0] if macs else None
        named = str(entry.who) if entry.kind is Kind.NAME else ""
        whole = self.choices.whole(entry)
        if isinstance(whole, Target):
            notice = whole
            return Machine(mac, notice, entry.place, written=entry.key, named=named, macs=macs)
        scripts, overlays, vms = self._lists(whole)
        target = self.choices.target(whole)
        loader = self._loader(whole)
        if loader is None:
            told = 'its "loader" is none'
            target, loader = unusable(target.title, told, self._templates), NO_CHOICE
        secret = self._secret(whole)
        if secret is None:
            told = f'what its "{SECRET}" says is not known'
            target = unusable(target.title, told, self._templates)
        variables = whole.variables(_OWN_KEYS, self._report)
        address = address_of(variables.get("ip"))
        if address and "/" in variables["ip"]:
            variables["ip"] = str(address)
        return Machine(
            mac=mac,
            target=target,
            place=entry.place,
            variables=variables,
            scripts=scripts,
            overlays=overlays,
            vms=vms,
            written=entry.key,
            named=named,
            macs=macs,
            groups=whole.groups,
            loader=loader,
            reply_style=self._reply_style(whole),
            address=address,
            own_options=self._dhcp_options(whole),
            own_priority=self._priority(whole),
            own_secret=secret or False,
        )

    def _secret(self, whole: Whole) -> bool | None:
        """Whether the entry or its groups say that it is secret; None where that is nonsense."""
        if SECRET not in whole.value:
            return False
        written = whole.value[SECRET]
        if isinstance(written, bool):
            self.seals |= written
            return written
        told = f'"{SECRET}" must be true or false, not {kind(written)}; it boots nothing meanwhile'
        place, path = whole.value.place_of(SECRET), whole.path(SECRET)
        self._report(Finding(Level.TARGET, "secret-invalid", told, place, path))
        return None

    def _dhcp_options(self, whole: Whole) -> Mapping[int, bytes]:
        """Its own over its groups'; those of a group are read once."""
        if DHCP_OPTIONS not in whole.value:
            return _NO_OPTIONS
        found: Mapping[int, bytes] = _NO_OPTIONS
        for value in reversed(whole.highest_first):
            if DHCP_OPTIONS in value:
                written = value[DHCP_OPTIONS]
                if id(written) not in self._options:
                    self._options[id(written)] = self._encoded(whole, value)
                encoded = self._options[id(written)]
                found = {**found, **encoded} if found else encoded
        return found

    def _encoded(self, whole: Whole, value: Object) -> Mapping[int, bytes]:
        found, told = dhcpoptions.read(value[DHCP_OPTIONS])
        for one in told:
            place, inner = value.place_of(DHCP_OPTIONS), value[DHCP_OPTIONS]
            if one.key and isinstance(inner, Object):
                place = inner.place_of(one.key)
            path = whole.path(DHCP_OPTIONS, value)
            level = Level.WARNING if one.wrong else Level.NOTE
            self._report(Finding(level, one.code, one.text, place, path))
        return found

    def _loader(self, whole: Whole) -> Choice | None:
        """Its own over its groups', each of which may say a part; None where one is wrong."""
        chosen = NO_CHOICE
        if LOADER not in whole.value:
            return chosen
        for value in whole.highest_first:
            if LOADER in value:
                try:
                    chosen = chosen.over(Choice.parse(value[LOADER]))
                except ValueError as problem:
                    told = f'"{LOADER}": {problem}'
                    place, path = value.place_of(LOADER), whole.path(LOADER, value)
                    self._report(Finding(Level.TARGET, "loader-invalid", told, place, path))
                    return None
        return chosen

    def _reply_style(self, whole: Whole) -> str:
        """The entry's or its groups', empty where they do not say, or say nonsense."""
        if REPLY_STYLE not in whole.value:
            return ""
        try:
            return replies.parse(whole.value[REPLY_STYLE])
        except ValueError as problem:
            told = f'"{REPLY_STYLE}" must be {problem}; left out'
            place, path = whole.value.place_of(REPLY_STYLE), whole.path(REPLY_STYLE)
            self._report(Finding(Level.TARGET, "reply-style", told, place, path))
            return ""

    def _priority(self, whole: Whole) -> int | None:
        """The entry's or its groups', None where they do not say, or say nonsense."""
        if PRIORITY not in whole.value:
            return None
        written = whole.value[PRIORITY]
        try:
            return readers.priority(written)
        except readers.Wrong as wanted:
            told = f'"{PRIORITY}" must be {wanted}, not {written!r:.60}; left out'
            place, path = whole.value.place_of(PRIORITY), whole.path(PRIORITY)
            self._report(Finding(Level.WARNING, "priority-invalid", told, place, path))
            return None

    def _lists(self, whole: Whole) -> Iterable[tuple[str, ...]]:
        """The names under each word of LISTS."""
        if whole.value.keys().isdisjoint(LISTS):
            return _NO_LISTS
        return [self._listed(whole, word) for word in LISTS]

    def _listed(self, whole: Whole, word: str) -> tuple[str, ...]:
        """The groups' before the entry's: each a string or an array of them."""
        found: list[str] = []
        for value in whole.in_order:
            written: Any = value.get(word, [])
            names = written if isinstance(written, list) else [written]
            good = [name.strip() for name in names if isinstance(name, str) and name.strip()]
            if len(good) != len(names):
                told = f'"{word}" must be a name or an array of names, not {kind(written)}'
                place, path = value.place_of(word), whole.path(word, value)
                self._report(Finding(Level.WARNING, "section-type", told, place, path))
            found += good
        return tuple(dict.fromkeys(found))

    # -- findings ------------------------------------------------------------------------------

    def _remark_on_default(self) -> None:
        if not self._layers.has(MACHINES):
            self._remark(Level.WARNING, "section-missing", 'no "machines": nobody boots anything')
        elif self.default is None:
            told = "no machines.default: unknown machines will get nothing to boot"
            self._remark(Level.WARNING, "default-missing", told)
        elif self.default.title.startswith("install/"):
            told = f"every machine that is not listed will be installed with {self.default.title}"
            self._remark(Level.NOTE, "default-installs", told, self.default)

    def _remark(self, level: Level, code: str, told: str, about: Machine | None = None) -> None:
        place = about.place if about else self._layers.place
        steps = (MACHINES, DEFAULT) if about else (MACHINES,)
        self._report(Finding(level, code, told, place, path_of(*steps)))


def _says_any(entry: Entry, words: Iterable[str]) -> bool:
    return isinstance(entry.value, Object) and not entry.value.keys().isdisjoint(words)
