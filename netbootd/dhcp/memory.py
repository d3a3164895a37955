"""
What is remembered from one packet of a client to the next, for the proxy and the server alike.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from netbootd.boot.decision import Loader
from netbootd.dhcp import pxe
from netbootd.dhcp.booting import Known
from netbootd.dhcp.message import Message, Option, uuid_of
from netbootd.dhcp.proxy import Answer
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.marks import Marks, told
from netbootd.registry.snapshot import Registry

#: What a client says of its machine, and its relay of where that is.
_SAID = (Option.UUID, Option.CLIENT_ID, Option.RELAY_AGENT)
_MOST_CARDS = 16384


class Sighting(NamedTuple):
    """What whoever has *chaddr* has *said* of itself in a packet, and what that tells."""

    chaddr: bytes
    mac: MAC | None
    said: tuple[object, ...]
    marks: Marks


class Memory:
    """One for all interfaces."""

    def __init__(self, live: LiveRegistry) -> None:
        self._live = live
        self._said: OrderedDict[bytes, Sighting] = OrderedDict()

    def sighted(self, request: Message, registry: Registry) -> Marks:
        """What the sender of *request* has said of itself, now or before."""
        return self.note(self.sighting(request, registry), pxe.mac_of(request))

    def sighting(self, request: Message, registry: Registry) -> Sighting | None:
        """What the sender of *request* says; None where nobody is looked for by what it says."""
        if Option.UUID not in request.options and not any(registry.marked.values()):
            return None
        said = (request.giaddr, *map(request.options.get, _SAID))
        before = self._said.get(request.chaddr)
        if before is not None and before.mac is not None and before.said == said:
            return before
        return Sighting(request.chaddr, pxe.mac_of(request), said, pxe.marks_of(request))

    def of_another(
        self, like: Sighting, chaddr: bytes, mac: MAC, uuid: bytes | None, client_id: bytes | None
    ) -> Sighting:
        """
        What *mac* says, if that is what another did, *like*; but for its own options *uuid* and
        *client_id*, None for the same.
        """
        giaddr, its_uuid, its_client_id, relay = like.said
        said = giaddr, uuid or its_uuid, client_id or its_client_id, relay
        before = self._said.get(chaddr)
        if before is not None and before.mac is not None and before.said == said:
            return before
        marks = like.marks
        own = Marks(
            uuid=told("uuid", uuid_of(uuid)) if uuid else marks.uuid,
            client_id=told("client_id", client_id.hex(":")) if client_id else marks.client_id,
            circuit_id=marks.circuit_id,
            remote_id=marks.remote_id,
        )
        return Sighting(chaddr, mac, said, own)

    def note(self, sighting: Sighting | None, mac: MAC | None) -> Marks:
        """Remember the *sighting* of *mac*, and return what that has said, now or before."""
        sightings = self._live.sightings
        if sighting is None:
            return sightings.of(mac)
        before = self._said.get(sighting.chaddr)
        if before is not None and mac is not None and before.said == sighting.said:
            return sightings.of(mac)  # the same as in its last packet
        self._said[sighting.chaddr] = sighting
        if len(self._said) > _MOST_CARDS:
            self._said.popitem(last=False)
        return sightings.note(mac, sighting.marks)

    def known(self, request: Message) -> Known:
        """What is remembered of whoever sent *request*."""
        record, now = self._live.record, self._live.record.now()
        replaced = self._live.replacements.done(pxe.mac_of(request), request.xid, now)
        return Known(standing=record.of, replaced=replaced, now=now)

    def remember(self, request: Message, answer: Answer) -> bool:
        """*answer* has left: whether an iPXE is being replaced by it, which is remembered."""
        live, mac = self._live, answer.client.mac
        if mac is None or not pxe.is_ipxe(request) or not isinstance(answer.decision.step, Loader):
            return False
        live.replacements.note(mac, request.xid, live.record.now())
        return True
