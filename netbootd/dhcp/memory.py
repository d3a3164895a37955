"""
What is remembered from one packet of a client to the next, for the proxy and the server alike.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from netbootd.boot.decision import Loader
from netbootd.dhcp import proxy, pxe
from netbootd.dhcp.booting import Known
from netbootd.dhcp.message import Message
from netbootd.dhcp.proxy import Answer
from netbootd.events.stream import Stream
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks


def sighted(live: LiveRegistry, request: Message) -> Marks:
    """What the sender of *request* has said of itself, now or before."""
    return live.sightings.note(pxe.mac_of(request), pxe.marks_of(request))


def known(live: LiveRegistry, request: Message) -> Known:
    """What is remembered of whoever sent *request*."""
    record, now = live.record, live.record.now()
    replaced = live.replacements.done(pxe.mac_of(request), request.xid, now)
    return Known(standing=record.of, replaced=replaced, now=now)


def remember(
    live: LiveRegistry, events: Stream, request: Message, answer: Answer, ours: IPv4Address
) -> None:
    """In which style an offer was told, and that an iPXE is being replaced."""
    mac = answer.client.mac
    if mac and pxe.is_ipxe(request) and isinstance(answer.decision.step, Loader):
        live.replacements.note(mac, request.xid, live.record.now())
    if answer.offer is None:
        return
    if event := proxy.restyled(answer, ours):
        events.publish(event)
    live.styles.offered(answer.offer)
