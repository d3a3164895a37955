"""
VM descriptions as values: the bytes that were put in, and what had to be read from them.

The bytes are the truth and are handed out unchanged; order, spacing, the spelling of numbers, keys
that stand twice and the final newline are the author's.  What is parsed is only for looking.

A description is kept under a *key*: the name of its file, its name in the section, or in the
address it was put to.  It is found by that, else by its ``uuid``, else by its ``alias`` where no
other has the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netbootd.vms.advice import advise
from netbootd.vms.strict import parse
from netbootd.vms.values import Advice

#: Where a description comes from that was put by HTTP.
STORED = "stored"
#: Bytes of one description, and how many there may be.
LARGEST = 1 << 20
MOST = 10_000
_MOST_TWINS = 20  # keys standing twice that are worth a remark

#: Letters, digits, point, underscore and hyphen; a point may not be first.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
KEY_RULE = "a key has 1 to 128 letters, digits, points, _ and -, and begins with no point"


@dataclass(frozen=True, slots=True)
class Vm:
    """
    One description; *source* is the file it is written in, or STORED.

    *etag* is the entity tag of its bytes (without quotes); *uuid*, *alias* and *brand* are empty
    where it does not give them as strings.
    """

    key: str
    text: bytes
    source: str
    etag: str
    uuid: str = ""
    alias: str = ""
    brand: str = ""
    advice: tuple[Advice, ...] = ()

    @property
    def stored(self) -> bool:
        """Whether it was put by HTTP, and may be changed so."""
        return self.source == STORED

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called."""
        return tuple(dict.fromkeys(name for name in (self.key, self.uuid, self.alias) if name))


def is_key(text: str) -> bool:
    """Whether a description may be kept under *text*."""
    return bool(_KEY.fullmatch(text))


def make(key: str, text: bytes, source: str) -> Vm:
    """The description in *text*; raises NotStrict where that is no object in strict JSON."""
    document = parse(text, f"{key}.json" if source == STORED else source)
    assert isinstance(document.value, dict)
    told = [Advice(one.path, one.text, False) for one in document.findings[:_MOST_TWINS]]
    told += advise(document.value)
    return Vm(
        key=key,
        text=text,
        source=source,
        etag=hashlib.sha256(text).hexdigest()[:32],
        uuid=_string(document.value, "uuid"),
        alias=_string(document.value, "alias"),
        brand=_string(document.value, "brand"),
        advice=tuple(told),
    )


def _string(value: Mapping[str, object], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


class Vms:
    """Descriptions by their keys; never changes."""

    def __init__(self, vms: Iterable[Vm] = ()) -> None:
        self._by_key = {vm.key: vm for vm in vms}
        self._by_uuid: dict[str, Vm] = {}
        self._by_alias: dict[str, Vm | None] = {}
        for vm in self._by_key.values():
            if vm.uuid:
                self._by_uuid.setdefault(vm.uuid, vm)
            if vm.alias:
                self._by_alias[vm.alias] = None if vm.alias in self._by_alias else vm

    def __iter__(self) -> Iterator[Vm]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> Vm | None:
        """The one that is kept under *key*."""
        return self._by_key.get(key)

    def by_uuid(self, uuid: str) -> Vm | None:
        """The one whose uuid is *uuid*."""
        return self._by_uuid.get(uuid)

    def find(self, name: str) -> Vm | None:
        """The one that *name* means."""
        return self.get(name) or self.by_uuid(name) or self._by_alias.get(name)

    def plus(self, vm: Vm) -> Vms:
        """These and *vm*, which takes the place of another of its key."""
        return Vms({**self._by_key, vm.key: vm}.values())

    def minus(self, key: str) -> Vms:
        """These without the one kept under *key*."""
        return Vms(vm for vm in self if vm.key != key)
