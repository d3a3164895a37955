"""
Who sends the log on: one courier for each destination that the configuration names.  What speaks
to one is imported where there is one: urllib3 takes 30 ms of a start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from netbootd.config import Ship
from netbootd.shipping.courier import Courier, Destination
from netbootd.shipping.items import Shipped

_ELASTICSEARCH, _LOGSTASH = "elasticsearch", "logstash"  # as they are called in settings
FOLDER = "shipping"  # in the state folder
_STOP_S = 5.0


class Shipper:
    """
    Sends what is in *logs* as it is configured; *folder* is where it keeps how far each is.

    In other threads, *told* is called when something of ``troubles`` is new, or over, and *lost*
    with a destination's name and the number of lines that went before it could have them.
    """

    def __init__(
        self,
        logs: Path,
        folder: Path,
        told: Callable[[str], None] = lambda _: None,
        lost: Callable[[str, int], None] = lambda _name, _number: None,
    ) -> None:
        self._logs = logs
        self._folder = folder
        self._told = told
        self._lost = lost
        self._settings = Ship()
        self._couriers: dict[str, Courier] = {}
        self._replaced: dict[str, list[Courier]] = {}  # of which the last may not have ended yet

    def configure(self, settings: Ship) -> None:
        """Send as *settings* say from now on; who is not concerned goes on."""
        old, new = _by_destination(self._settings), _by_destination(settings)
        self._settings = settings
        for name in old.keys() | new.keys():
            if old.get(name) == new.get(name):
                continue
            if before := self._couriers.pop(name, None):
                before.end()
                self._replaced.setdefault(name, []).append(before)
            if name in new:
                self._start(name, new[name])

    def _start(self, name: str, settings: Ship) -> None:
        courier = Courier(
            partial(_built, settings),
            self._logs,
            self._folder,
            self._told,
            self._lost,
            next(reversed(self._replaced.get(name, [])), None),
        )
        self._couriers[name] = courier
        courier.start()

    def _since_start(self, name: str, courier: Courier) -> Shipped:
        now = courier.shipped
        each = [now, *(one.shipped for one in self._replaced.get(name, []))]
        return replace(
            now,
            shipped=sum(one.shipped for one in each),
            rejected=sum(one.rejected for one in each),
            lost=sum(one.lost for one in each),
        )

    @property
    def counts(self) -> dict[str, Shipped]:
        """By destination."""
        return {name: self._since_start(name, one) for name, one in self._couriers.items()}

    @property
    def depth(self) -> int:
        """Lines that the destination which is furthest behind has yet to get."""
        return max((one.shipped.lines for one in self._couriers.values()), default=0)

    @property
    def troubles(self) -> list[str]:
        """What keeps lines from being sent."""
        return [one.trouble for one in self._couriers.values() if one.trouble]

    @property
    def trouble(self) -> str:
        """The same in one text, empty where nothing does."""
        return "; ".join(self.troubles)

    def stop(self) -> None:
        """End within 5 s; what was not confirmed is sent again after the next start."""
        for courier in self._couriers.values():
            courier.end()
        until = time.monotonic() + _STOP_S
        for courier in self._couriers.values():
            courier.join(max(0.0, until - time.monotonic()))


def _by_destination(settings: Ship) -> dict[str, Ship]:
    """What of *settings* concerns each destination; credentials are for one of them alone."""
    found = {}
    rest = settings
    if settings.elasticsearch:
        found[_ELASTICSEARCH] = replace(settings, logstash="")
        rest = replace(settings, elasticsearch=(), credentials=None)
    if settings.logstash:
        found[_LOGSTASH] = rest
    return found


def _built(settings: Ship, ends: Callable[[], bool]) -> Destination:
    if settings.elasticsearch:
        from netbootd.shipping.elasticsearch import Elasticsearch  # noqa: PLC0415

        return Elasticsearch(settings.elasticsearch, settings.credentials, settings.ca)
    from netbootd.shipping.logstash import LogstashHttp, LogstashTcp  # noqa: PLC0415

    if settings.logstash.startswith(("http://", "https://")):
        return LogstashHttp(settings.logstash, settings.credentials, settings.ca)
    return LogstashTcp(settings.logstash, ends)
