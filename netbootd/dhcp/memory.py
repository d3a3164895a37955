"""
What is remembered from one packet of a client to the next, for the proxy and the server alike.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv4Address

from netbootd.boot.decision import Loader
from netbootd.dhcp import proxy, pxe
from netbootd.dhcp.booting import Known
from netbootd.dhcp.message import Message, Option
from netbootd.dhcp.proxy import Answer
from netbootd.events.stream import Stream
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry

#: What a client says of its machine, and its relay of where that is.
_SAID = (Option.UUID, Option.CLIENT_ID, Option.RELAY_AGENT)
_MOST_CARDS = 16384


class Memory:
    """One for all interfaces."""

    def __init__(self, live: LiveRegistry, events: Stream) -> None:
        self._live = live
        self._events = events
        self._said: OrderedDict[bytes, tuple[object, ...]] = OrderedDict()

    def sighted(self, request: Message, registry: Registry) -> Marks:
        """What the sender of *request* has said of itself, now or before."""
        sightings, mac = self._live.sightings, pxe.mac_of(request)
        if Option.UUID not in request.options and not any(registry.marked.values()):
            return sightings.of(mac)  # nobody is looked for by what it says
        said = (request.giaddr, *map(request.options.get, _SAID))
        if mac is not None and self._said.get(request.chaddr) == said:
            return sightings.of(mac)  # the same as in its last packet
        self._said[request.chaddr] = said
        if len(self._said) > _MOST_CARDS:
            self._said.popitem(last=False)
        return sightings.note(mac, pxe.marks_of(request))

    def known(self, request: Message) -> Known:
        """What is remembered of whoever sent *request*."""
        record, now = self._live.record, self._live.record.now()
        replaced = self._live.replacements.done(pxe.mac_of(request), request.xid, now)
        return Known(standing=record.of, replaced=replaced, now=now)

    def remember(self, request: Message, answer: Answer, ours: IPv4Address) -> None:
        """In which style an offer was told, and that an iPXE is being replaced."""
        live, mac = self._live, answer.client.mac
        if mac and pxe.is_ipxe(request) and isinstance(answer.decision.step, Loader):
            live.replacements.note(mac, request.xid, live.record.now())
        if answer.offer is None:
            return
        if event := proxy.restyled(answer, ours):
            self._events.publish(event)
        live.styles.offered(answer.offer)
