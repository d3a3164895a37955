"""
How the daemon is at one moment, as values: what ``/metrics`` and ``/healthz`` are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netbootd.events.progress import Progress
from netbootd.http.health import Health
from netbootd.leases.usage import Usage
from netbootd.shipping.items import Shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """
    *loaded* is when the configuration in force was read, Unix seconds; *refused* the number of
    findings that keep a newer one from being taken.  *findings* are those in force, by level.

    *wanted* are the services that the configuration turns on, *listening* their open sockets.
    *troubles* is all that is wrong, in words; *disks* what is wrong with each thing that is kept on
    disk, empty where nothing is.  *states* counts the listed machines, *strangers* others.

    *pace* has how many machines wait for their turn to load, how many load, and how many may.

    *received*, by data set, *stored* and *dropped*, by reason, are lines of logs since the start;
    *kernel_drops* are datagrams that the kernel had no room for.

    *pools* are those that we give addresses of, *foreign* counts other servers that were heard to
    do so in our networks, and *dhcp* messages by their type since the start; *shed* are packets of
    floods that were not looked at.  *certificate_ends* is when that of HTTPS expires, in Unix
    seconds, 0 where there is none; *expiring* what to say of that, empty while there is time.
    """

    generation: int
    loaded: float
    refused: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
    machines: int = 0
    targets: int = 0
    wanted: tuple[str, ...] = ()
    listening: Mapping[str, int] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    disks: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    strangers: int = 0
    transfers: Sequence[Progress] = ()
    pace: Mapping[str, int] = field(default_factory=dict)
    received: Mapping[str, int] = field(default_factory=dict)
    stored: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    kernel_drops: int = 0
    shipping: Mapping[str, Shipped] = field(default_factory=dict)
    pools: Sequence[Usage] = ()
    foreign: int = 0
    dhcp: Mapping[str, int] = field(default_factory=dict)
    shed: int = 0
    certificate_ends: float = 0.0
    expiring: str = ""


def health(vitals: Vitals) -> Health:
    """
    Whether machines can boot.

    They cannot where a service that is turned on has not one socket.  All else leaves them what
    they need: a record that cannot be written is kept in memory, and a configuration that was
    refused leaves the one before in force.
    """
    down = tuple(
        f"{service} is turned on, and listens nowhere"
        for service in vitals.wanted
        if not vitals.listening.get(service)
    )
    degraded = list(vitals.troubles)
    degraded += [text for text in vitals.disks.values() if text and text not in degraded]
    if vitals.refused:
        degraded.append(
            f"the configuration on disk is refused; generation {vitals.generation} is in force"
        )
    if vitals.expiring:
        degraded.append(f"the certificate of HTTPS {vitals.expiring}")
    return Health(down, tuple(degraded))
