"""
What is asked of a machine's boots when they go wrong, from what the daemon has seen of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netbootd.api.leases import Moment
from netbootd.api.values import Picture
from netbootd.boots.boot import Boot
from netbootd.errors import Finding
from netbootd.events.progress import Progress
from netbootd.record.record import Record
from netbootd.why.diagnosis import Diagnosis
from netbootd.why.evidence import Held
from netbootd.why.gather import gather, look_closer
from netbootd.why.why import diagnose


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What was seen of one machine: its last *boots*, the newest first, and its last *words* with
    their times, the oldest first; and of all: the findings of a *refused* configuration, when
    anybody was *heard* on each interface, the *strangers* that ask without being listed, the
    *transfers* under way, and the *leases*.
    """

    boots: tuple[Boot, ...] = ()
    words: tuple[tuple[float, str], ...] = ()
    refused: tuple[Finding, ...] = ()
    heard: Mapping[str, float] = field(default_factory=dict)
    strangers: tuple[Any, ...] = ()
    transfers: tuple[Progress, ...] = ()
    leases: Moment | None = None


def diagnosis(key: str, picture: Picture, seen: Seen) -> Diagnosis:
    """Why the machine *key* does not boot; reads files, so it is for a thread."""
    evidence = gather(
        key,
        picture.registry,
        Record(lambda: picture.now, picture.standings),
        picture.sightings,
        seen.boots,
        seen.words,
        seen.refused,
        seen.heard,
        seen.strangers,
        picture.now,
        others=picture.boots.values(),
        transfers=seen.transfers,
        lease=_lease(key, picture, seen.leases) if seen.leases else None,
        leases=len(seen.leases.leases) if seen.leases else 0,
    )
    return diagnose(look_closer(evidence, picture.registry))


def _lease(key: str, picture: Picture, moment: Moment) -> Held | None:
    """What the machine *key*, or the card, has now; an address of IPv4 before another."""
    found = [
        one
        for one in moment.leases
        if key in (one.machine, str(one.mac or "")) and one.active(moment.clock)
    ]
    first = min(found, key=lambda one: one.address.version, default=None)
    ahead = picture.now - moment.clock
    return Held(str(first.address), first.since + ahead) if first else None
