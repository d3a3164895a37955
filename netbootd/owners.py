"""
Whose is what is remembered under a key, as a new configuration has it.

A machine may get another name, or an entry of its own.  Of thousands that is looked up in a thread
before the configuration is in force; who has come since is looked up in that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from netbootd.boot import history
from netbootd.mac import MAC
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry
from netbootd.unhurried import unhurried

T = TypeVar("T")

_ROUNDS = 3


class Owner(NamedTuple):
    """A machine's *key*, and whether it is *known* by an entry of its own."""

    key: str
    known: bool


class Owners(Generic[T]):
    """
    The owners of what is remembered, where they are others by *registry* than the key says, or have
    no entry there; *card* tells the MAC by which one is looked for, None where there is none.
    """

    def __init__(
        self,
        registry: Registry,
        sightings: Sightings,
        card: Callable[[str, T], MAC | None],
        things: Mapping[str, T],
    ) -> None:
        self._registry, self._sightings, self._card = registry, sightings, card
        self._looked: set[str] = set()
        self._others: dict[str, Owner] = {}
        for _ in range(_ROUNDS):  # who comes while we look is looked up in the next
            self._look(unhurried(self._new(things)))

    def of(self, things: Mapping[str, T]) -> Mapping[str, Owner]:
        """By the keys of *things*, of which some may have gone and some come."""
        self._look(self._new(things))
        return {key: owner for key, owner in self._others.items() if key in things}

    def _new(self, things: Mapping[str, T]) -> list[tuple[str, T]]:
        return [one for one in _copy(things) if one[0] not in self._looked]

    def _look(self, new: Iterable[tuple[str, T]]) -> None:
        for key, thing in new:
            self._looked.add(key)
            mac = self._card(key, thing)
            if mac is None or key in self._registry.named:
                continue
            machine = history.machine_of(mac, self._registry, self._sightings)
            if machine is not None and (machine.key != key or not machine.known):
                self._others[key] = Owner(machine.key, machine.known)


def _copy(things: Mapping[str, T]) -> list[tuple[str, T]]:
    """*things* at one moment; a collector's finalizer may let the reactor in and change them."""
    while True:
        try:
            return list(things.items())
        except RuntimeError:  # changed during iteration
            continue
