"""
Extra initrds that were built a moment ago.

Building one renders templates and packs files, on the reactor's thread; a client that asks for the
size first, asks again, or asks very often gets what was built for the same machine, the same facts
and the same registry.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from netbootd.content import Content
from netbootd.mac import MAC
from netbootd.registry import overlays
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts

_ROOM = 16 << 20  # bytes of all; the last is kept however large it is


class _Overlay(NamedTuple):
    """What *body* was made of."""

    registry: Registry
    machine: Machine
    facts: Facts
    body: Content

    def is_of(self, machine: Machine, facts: Facts, registry: Registry) -> bool:
        return self.registry is registry and self.machine == machine and self.facts == facts


class Built:
    """The last one of each machine, the oldest forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[MAC, _Overlay] = OrderedDict()
        self._size = 0

    def overlay(self, machine: Machine, facts: Facts, registry: Registry) -> Content:
        """That of *machine*; raises RenderError."""
        kept = self._kept.get(facts.mac)
        if kept is not None and kept.is_of(machine, facts, registry):
            return kept.body
        body = overlays.build(machine, facts, registry)
        made = Content(f"overlay of {facts.mac}", held=body)
        self._keep(_Overlay(registry, machine, facts, made))
        return made

    def _keep(self, made: _Overlay) -> None:
        before = self._kept.pop(made.facts.mac, None)
        self._size += made.body.size - (before.body.size if before else 0)
        self._kept[made.facts.mac] = made
        while self._size > _ROOM and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.body.size
