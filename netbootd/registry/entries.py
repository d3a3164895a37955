"""
Section ``machines`` as written: what each key means, and which of several entries counts.

A key is ``default``, a MAC in any spelling, the beginning of one with a star (``00:25:90:*``), or
any name, if its entry holds something to know the machine by: ``mac``, ``macs``, ``uuid``,
``client_id``, ``serial`` or ``asset``.  A MAC plus one character is how admins of this format
switch an entry off: it does not count, and its machine boots its own disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from netbootd.dropins.layers import Layers
from netbootd.dropins.sections import MACHINES
from netbootd.errors import Finding, Level, Place
from netbootd.mac import MAC
from netbootd.macslips import resembles_mac, slip
from netbootd.registry import marks
from netbootd.registry.machine import Machine
from netbootd.registry.wildcards import prefix_of
from netbootd.relaxedjson import Array, Object, path_of

DEFAULT = "default"
#: Keys that hold cards of one machine.
CARDS = ("mac", "macs")
#: Keys that say who a machine is.
IDENTITY = frozenset({*CARDS, *marks.MARKS})
#: Bytes of a hardware type and a MAC (RFC 2132, section 9.14).
_SHORTEST_ID = 7

Report = Callable[[Finding], None]


class Kind(Enum):
    """What an entry stands for."""

    DEFAULT = auto()  # every client that has no entry
    CARD = auto()  # the machine with a MAC
    PREFIX = auto()  # every client whose MAC begins so
    NAME = auto()  # a machine known by what its entry holds


class Entry(NamedTuple):
    """
    One entry: *who* is the same for all spellings of a key, *mac* the same where that is a MAC;
    *off* where the key is switched off.  *where* leads to it: its section, or further.
    """

    kind: Kind
    who: MAC | str
    mac: MAC | None
    key: str
    value: Any
    owner: Object
    off: bool = False
    where: tuple[str, ...] = (MACHINES,)

    @property
    def place(self) -> Place:
        """Where its key stands."""
        return self.owner.place_of(self.key)

    def path(self, *steps: str) -> str:
        """What findings call it, or something in it."""
        return path_of(*self.where, self.key, *steps)


def winners(layers: Layers, report: Report) -> dict[MAC | str, Entry]:
    """The entry that counts for each key; a higher layer replaces a lower one, whole."""
    found: dict[MAC | str, Entry] = {}
    for key, value, owner in layers.entries(MACHINES):
        entry = _entry(key, value, owner, report)
        if entry is None:
            continue
        before = found.get(entry.who)
        if before is None or before.place.file != entry.place.file:
            found[entry.who] = entry
        elif before.off or entry.off:
            found[entry.who] = before if entry.off else entry
        else:
            stands_twice(entry.who, entry.place, before.place, report)
    return found


def _entry(key: str, value: Any, owner: Object, report: Report) -> Entry | None:
    """What a key means; None, and a finding, where it means nobody."""
    mac = MAC.maybe(key)
    if mac and mac.reserved:
        told = f"{key} is {mac.reserved}"
        report(_about(Level.TARGET, "mac-reserved", told, owner.place_of(key), key))
        return None
    if mac:
        return Entry(Kind.CARD, mac, mac, key, value, owner)
    if key.strip() == DEFAULT:
        return Entry(Kind.DEFAULT, DEFAULT, None, key, value, owner)
    if prefix := prefix_of(key):
        return Entry(Kind.PREFIX, f"{prefix}*", None, key, value, owner)
    mac = MAC.maybe(key.strip()[:-1])
    if mac is None and isinstance(value, Object) and value.keys() & IDENTITY:
        if key.count(":") and _is_typing_error(key):
            told = f'"{key}" is no MAC ({slip(key.strip())}): it is taken for a name'
            report(_about(Level.RELOAD, "mac-invalid", told, owner.place_of(key), key))
        return Entry(Kind.NAME, key.strip(), None, key, value, owner)
    # Its machine would become a stranger, and boot the default: maybe an installer.
    level = Level.WARNING if mac or not _is_typing_error(key) else Level.RELOAD
    report(_about(level, "mac-invalid", _nobody(key, mac), owner.place_of(key), key))
    return Entry(Kind.CARD, mac, mac, key, value, owner, off=True) if mac else None


def _nobody(key: str, mac: MAC | None) -> str:
    if mac:
        return f'"{key}" is a MAC plus one character: the entry is switched off'
    if _is_typing_error(key):
        return (
            f'"{key}" is no MAC ({slip(key.strip())}): its entry is nobody\'s; to switch it off,'
            " put one character behind its MAC"
        )
    return (
        f'"{key}" is neither "default" nor a MAC such as 00:25:90:27:db:b4, and its entry holds no '
        f"mac, uuid, client_id, serial or asset; never matches"
    )


def _is_typing_error(key: str) -> bool:
    """Whether a key that is no MAC was meant as one; with one character before it, it is off."""
    return resembles_mac(key.strip()) and MAC.maybe(key.strip()[1:]) is None


def cards(entry: Entry, report: Report) -> tuple[MAC, ...]:
    """The MACs of one machine: its key, and those under ``mac`` and ``macs``."""
    own = () if entry.mac is None else (entry.mac,)
    if not isinstance(entry.value, Object) or entry.value.keys().isdisjoint(CARDS):
        return own
    if entry.kind in (Kind.PREFIX, Kind.DEFAULT):
        return own
    return tuple(dict.fromkeys((*own, *_written_cards(entry, report))))


def _written_cards(entry: Entry, report: Report) -> Iterator[MAC]:
    """Each word has one or an array."""
    for word in CARDS:
        if word in entry.value:
            written = entry.value[word]
            for at, text in enumerate(written if isinstance(written, list) else [written]):
                mac = MAC.maybe(text) if isinstance(text, str) else None
                if mac and not mac.reserved:
                    yield mac
                else:
                    _no_card(entry, word, at, text, report)


def _no_card(entry: Entry, word: str, at: int, text: Any, report: Report) -> None:
    """Say that what stands at *at* of *word* is no MAC: a slip of the fingers, or nonsense."""
    told, level = (
        f'"{word}" must hold MACs such as 00:25:90:27:db:b5, not {text!r:.40}',
        Level.WARNING,
    )
    if isinstance(text, str) and _is_typing_error(text) and MAC.maybe(text.strip()[:-1]) is None:
        told, level = f"{told}: {slip(text.strip())}", Level.RELOAD
    written = entry.value[word]
    in_array = isinstance(written, Array)
    place = written.place_of(at) if in_array else entry.value.value_place_of(word)
    report(_about(level, "mac-invalid", told, place, entry.key, word))


def mark(entry: Entry, word: str, report: Report) -> str:
    """One of ``marks.MARKS`` of an entry as it is compared; empty if it is none."""
    text = entry.value[word]
    try:
        if not isinstance(text, str):
            raise ValueError("it is no string")
        found = marks.parse(word, text)
        if word == "client_id":
            _doubt(entry, found.count(":") + 1, report)
        return found if word != "circuit_id" else _at_switch(entry, found)
    except ValueError as problem:
        told = f'no machine is known by this "{word}": {problem}'
        mistyped = word == "uuid" and isinstance(text, str) and marks.resembles_uuid(text)
        level, place = Level.RELOAD if mistyped else Level.WARNING, entry.value.place_of(word)
        report(_about(level, "mark-unusable", told, place, entry.key, word))
        return ""


def _at_switch(entry: Entry, circuit_id: str) -> str:
    """With the switch that the entry names as well."""
    remote_id = entry.value.get("remote_id")
    if not isinstance(remote_id, str) or not remote_id.strip():
        return circuit_id
    return marks.port(circuit_id, remote_id)


def _doubt(entry: Entry, size: int, report: Report) -> None:
    """Say that no firmware sends a client identifier of *size* bytes, where that is so."""
    if size < _SHORTEST_ID:
        told = (
            f'"client_id" has {size} bytes, and firmware sends {_SHORTEST_ID} (01 and the MAC) or'
            " more; the GUID of an InfiniBand port has 8"
        )
        place = entry.value.place_of("client_id")
        report(_about(Level.WARNING, "mark-doubtful", told, place, entry.key, "client_id"))


def stands_for_many(entry: Entry, word: str, report: Report) -> None:
    """Say that the default or a wildcard cannot be one machine."""
    told = f'"{word}" says who one machine is, and "{entry.key}" stands for many'
    place = entry.value.place_of(word)
    report(_about(Level.WARNING, "mark-unusable", told, place, entry.key, word))


def stands_twice(who: MAC | str, place: Place, before: Place, report: Report) -> None:
    """Say that two entries are about one machine."""
    told = f"{who} stands at {before} already"
    report(_about(Level.ERROR, "mac-duplicate", told, place, str(who)))


def marked_twice(entry: Entry, word: str, before: Place, report: Report) -> None:
    """Say that two machines have one mark: it could be either, so it is neither."""
    told = f'this "{word}" stands at {before} as well: neither machine is known by it'
    place = entry.value.place_of(word)
    report(_about(Level.TARGET, "mark-duplicate", told, place, entry.key, word))


def address_twice(entry: Entry, address: IPv4Address, before: Machine, report: Report) -> None:
    """Say that two machines have one address: the first of them gets it."""
    told = (
        f"{address} is the ip of {before.written} ({before.place}) as well, which gets it;"
        f" {entry.key} gets an address of a pool, or none where there is no pool for it"
    )
    place, path = entry.value.place_of("ip"), entry.path("ip")
    report(Finding(Level.WARNING, "ip-duplicate", told, place, path))


def _about(level: Level, code: str, text: str, place: Place, *steps: str) -> Finding:
    return Finding(level, code, text, place, path_of(MACHINES, *steps))
