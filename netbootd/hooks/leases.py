"""A listener: tells the hook for leases of those that begin or end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbootd.boot.history import machine_of
from netbootd.events.event import Event
from netbootd.events.lease import Leased, LeaseEnded
from netbootd.hooks.hooks import Hooks
from netbootd.registry.live import LiveRegistry

_RENEWALS = frozenset({"renewed", "rebound"})


class LeaseHooks:
    """
    A listener: tells ``hooks.lease`` when an address is given, or its lease ends; a lease that is
    only renewed is no news.
    """

    def __init__(self, hooks: Hooks, live: LiveRegistry) -> None:
        self._hooks = hooks
        self._live = live

    def __call__(self, event: Event, *_: object) -> None:
        """Tell of *event*, if it is one for us."""
        if not isinstance(event, Leased | LeaseEnded) or not self._live.snapshot.config.hooks.lease:
            return
        if isinstance(event, LeaseEnded):
            self._tell(event, {"event": event.how, "seconds": 0})
        elif event.how not in _RENEWALS:
            told = {
                "event": "leased",
                "seconds": event.seconds,
                "how": event.how,
                "reserved": event.reserved,
                "interface": event.interface,
                "relay": event.relay,
            }
            self._tell(event, told)

    def _tell(self, event: Leased | LeaseEnded, more: Mapping[str, Any]) -> None:
        registry, mac = self._live.snapshot, event.mac
        machine = machine_of(mac, registry, self._live.sightings) if mac else None
        data = {
            "mac": str(mac) if mac else "",
            "address": event.address,
            "hostname": event.hostname,
            "key": event.key,
            "machine": registry.variables_of(machine) if machine and machine.known else {},
        }
        self._hooks.run("lease", {**data, **more})
