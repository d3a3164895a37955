"""
Many machines in little room: each is kept as some 150 bytes, and becomes a Machine when it is
looked up.

A Machine with its variables takes 1.2 KB in a dozen objects, which the collector walks and whose
freeing is felt.  Most machines of a large configuration differ in a few strings only: what they
share, their *kind*, is kept once, and so is the *shape*, the names of their variables.  A row holds
the rest: places and numbers of kind and shape in front, which say nothing about what the machine
boots, and the values behind.

``packed`` turns the dicts of a Registry into mappings that read the same; small ones stay dicts.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Hashable, Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.registry.machine import Machine, address_of

K = TypeVar("K", bound=Hashable)

#: Line and column of its key, number of its kind and of its shape.
_HEAD = struct.Struct("=IIII")
_SAYS = slice(_HEAD.size, None)  # of a row: what is not in front
#: Of marshal; later ones write one value in several ways, and rows are compared.
_VERSION = 2
#: What a Machine has for itself; all else is its kind.
_OWN = frozenset({"mac", "place", "variables", "written", "named", "macs", "address"})
_SHARED = tuple(one.name for one in fields(Machine) if one.name not in _OWN)
#: Machines that are kept as such for who asks again; a boot asks a dozen times.
_MOST_MADE = 16_384
_LEN_MAC = 6

#: Without the machines: the file of their places, and their fields of _SHARED.
Kind = tuple[str, dict[str, Any]]


class Unfit(Exception):
    """A machine has something that no row can hold."""


class Roll(Mapping[MAC, Machine]):
    """Machines by their cards."""

    __slots__ = ("_made", "_rows", "kinds", "shapes")

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.shapes: list[tuple[str, ...]] = []
        self._rows: dict[MAC, bytes] = {}
        self._made: dict[MAC, Machine] = {}

    @classmethod
    def of(cls, machines: Mapping[MAC, Machine]) -> Roll:
        """The same as *machines*; raises Unfit."""
        roll, writing = cls(), _Writing()
        for mac, machine in machines.items():
            roll._rows[mac] = writing.row(mac, machine)
        roll.kinds, roll.shapes = writing.kinds, writing.shapes
        return roll

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Each card and what is kept of its machine, for ``take``."""
        yield from self._rows.items()

    def take(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Rows of another roll with the same kinds and shapes."""
        for mac, row in rows:
            self._rows[MAC(mac)] = row

    def get(self, mac: Any, default: Any = None) -> Any:
        """The machine of *mac*; the way of every packet."""
        machine = self._made.get(mac)
        if machine is None:
            row = self._rows.get(mac)
            if row is None:
                return default
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            machine = self._made[MAC(mac)] = self._machine(MAC(mac), row)
        return machine

    def __getitem__(self, mac: MAC) -> Machine:
        found = self.get(mac)
        if found is None:
            raise KeyError(mac)
        return found  # type: ignore[no-any-return]

    def __contains__(self, mac: object) -> bool:
        return mac in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[MAC]:
        return iter(self._rows)

    def values(self) -> ValuesView[Machine]:
        """Each is made for this occasion: whoever walks them all pushes nobody out."""
        return _Made(self)

    def made(self, mac: MAC) -> Machine:
        """The machine of *mac*, for those who look at all and keep none."""
        return self._machine(mac, self._rows[mac])

    def differs(self, mac: MAC, other: Roll, kinds: Same) -> bool | None:
        """
        Whether *other* says something else of *mac*, as it can be told without making machines,
        which takes eight times as long; None where a closer look is needed.
        """
        one, two = self._rows[mac], other._rows[mac]
        _, _, kind, shape = _HEAD.unpack_from(one)
        _, _, their_kind, their_shape = _HEAD.unpack_from(two)
        if self.shapes[shape] != other.shapes[their_shape] or not kinds(kind, their_kind):
            return None
        mine, theirs = one[_SAYS], two[_SAYS]
        return mine != theirs and _says(mine) != _says(theirs)

    def _machine(self, mac: MAC, row: bytes) -> Machine:
        line, column, kind, shape = _HEAD.unpack_from(row)
        written, named, macs, values = marshal.loads(row[_SAYS])  # noqa: S302  our own
        file, shared = self.kinds[kind]
        variables = dict(zip(self.shapes[shape], values, strict=True))
        return Machine(
            mac=mac,
            place=Place(file, line, column),
            variables=variables,
            written=str(mac) if written is None else written,
            named=named,
            macs=(mac,) if macs is None else _macs(macs),
            address=address_of(variables.get("ip")),
            **shared,
        )


class _Made(ValuesView[Machine]):
    """The machines of a roll, one after the other."""

    _mapping: Roll

    def __iter__(self) -> Iterator[Machine]:
        return map(self._mapping.made, self._mapping)


def _says(values: bytes) -> tuple[Any, ...]:
    """All of a row that tells two machines of one kind and shape apart: ``written`` does not."""
    _, *rest = marshal.loads(values)  # noqa: S302  our own
    return tuple(rest)


def _macs(octets: bytes) -> tuple[MAC, ...]:
    return tuple(MAC(octets[at : at + _LEN_MAC]) for at in range(0, len(octets), _LEN_MAC))


class _Writing:
    """Machines become rows."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []
        self.shapes: list[tuple[str, ...]] = []
        self._kinds: dict[tuple[Any, ...], int] = {}
        self._shapes: dict[tuple[str, ...], int] = {}

    def row(self, mac: MAC, machine: Machine) -> bytes:
        """Raises Unfit."""
        variables = machine.variables
        if address_of(variables.get("ip")) != machine.address:
            raise Unfit(f"{machine.written}: its address is not its ip")
        macs = None if machine.macs == (mac,) else b"".join(machine.macs)
        written = None if machine.written == str(mac) else machine.written
        try:
            values = tuple(map(_plain, variables.values()))
            own = marshal.dumps((written, machine.named, macs, values), _VERSION)
            place = machine.place
            head = _HEAD.pack(place.line, place.column, self._kind(machine), self._shape(variables))
        except (ValueError, struct.error) as problem:
            raise Unfit(f"{machine.written}: {problem}") from None
        return head + own

    def _kind(self, machine: Machine) -> int:
        """Its number.  Equal values of two machines are one object, as a rule, and if not, two."""
        values = tuple(getattr(machine, name) for name in _SHARED)
        key = (machine.place.file, *(one if _is_plain(one) else id(one) for one in values))
        number = self._kinds.get(key)
        if number is None:
            number = self._kinds[key] = len(self.kinds)
            self.kinds.append((machine.place.file, dict(zip(_SHARED, values, strict=True))))
        return number

    def _shape(self, variables: Mapping[str, Any]) -> int:
        names = tuple(variables)
        number = self._shapes.get(names)
        if number is None:
            number = self._shapes[names] = len(self.shapes)
            self.shapes.append(names)
        return number


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | None) or (
        isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    )


def _plain(value: Any) -> Any:
    """Objects and arrays of a file without their places."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class Same:
    """Whether two kinds mean the same; each pair is looked at once."""

    def __init__(self, one: Roll, other: Roll) -> None:
        self._one, self._other = one.kinds, other.kinds
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, kind: int, other: int) -> bool:
        pair = kind, other
        if pair not in self._known:
            mine, theirs = self._one[kind][1], self._other[other][1]
            self._known[pair] = all(
                mine[name] == theirs[name] for name in _SHARED if name != "groups"
            )
        return self._known[pair]


@dataclass(frozen=True, slots=True, eq=False)
class Index(Mapping[K, Machine], Generic[K]):
    """The machines of *roll* by something else, and such *others* as are in none."""

    roll: Roll
    macs: Mapping[K, MAC]
    others: Mapping[K, Machine] = field(default_factory=dict)

    def get(self, key: Any, default: Any = None) -> Any:
        """The machine of *key*."""
        mac = self.macs.get(key)
        return self.others.get(key, default) if mac is None else self.roll.get(mac)

    def __getitem__(self, key: K) -> Machine:
        mac = self.macs.get(key)
        return self.others[key] if mac is None else self.roll[mac]

    def __contains__(self, key: object) -> bool:
        return key in self.macs or key in self.others

    def __len__(self) -> int:
        return len(self.macs) + len(self.others)

    def __iter__(self) -> Iterator[K]:
        yield from self.macs
        yield from self.others


def not_in_roll(found: Mapping[K, Machine]) -> Mapping[K, Machine]:
    """What of *found* is kept whole; those that are in a roll have cards."""
    return found.others if isinstance(found, Index) else found


def index(found: Mapping[K, Machine], roll: Roll, machines: Mapping[MAC, Machine]) -> Index[K]:
    """*found* by the cards of *roll*, which holds *machines*."""
    macs: dict[K, MAC] = {}
    others: dict[K, Machine] = {}
    for key, machine in found.items():
        listed = machines.get(machine.mac) if machine.mac is not None else None
        if listed is machine or (listed is not None and listed == machine):
            macs[key] = machine.mac  # type: ignore[assignment]
        else:
            others[key] = machine
    return Index(roll, macs, others)
