"""
What the world is told of a request that came in: one event, answered or not.

Pure.  A REQUEST that takes what another server offered is worth its own event, and so is a client
that does not boot from the network: both tell how far a machine has come.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from netbootd.boot.decision import Refusal
from netbootd.dhcp import pxe
from netbootd.dhcp.destination import Arrival, Endpoint, Port
from netbootd.dhcp.message import NO_ADDRESS, Message, MessageType, Op, Option, dotted
from netbootd.dhcp.proxy import NOT_NETBOOT, Answer, Ignored
from netbootd.events.event import Event, Loaderless, Offered, Passed, Unserved
from netbootd.events.witness import NotNetboot, Requested
from netbootd.mac import MAC

#: As log lines call it.
DOCTOR = "netbootd doctor"
_LONGEST = 255  # characters kept of a client's own words


def told(request: Message, arrival: Arrival, answer: Answer | Ignored) -> Event:
    """The event; published after the reply has left."""
    if isinstance(answer, Answer):
        return _offered(request, arrival, answer)
    if answer.unserved:
        return _unserved(request, arrival, answer)
    if server := _other_server(request, arrival):
        return _requested(request, arrival, answer, server)
    if answer.code != NOT_NETBOOT:
        return Passed(
            **asker(request, arrival),
            protocol="DHCP",
            reason=answer.reason,
        )
    return NotNetboot(
        **asker(request, arrival),
        protocol="DHCP",
        reason=answer.reason,
        vendor_class=request.vendor_class[:_LONGEST],
        host_name=request.text(Option.HOST_NAME)[:_LONGEST],
        interface=arrival.interface,
    )


def fileless(request: Message, arrival: Arrival, refused: Ignored) -> Event:
    """As ``told``, of a netboot client that was *refused* a boot file and got an address."""
    event = told(request, arrival, refused)
    return replace(event, answered=True) if isinstance(event, Unserved) else event


def peer_of(source: Endpoint) -> str:
    """The sender's address, empty before it has one."""
    return "" if source[0] == "0.0.0.0" else source[0]


def _offered(request: Message, arrival: Arrival, answer: Answer) -> Offered:
    return Offered(
        **asker(request, arrival),
        target=_target(answer),
        arch=str(answer.client.arch or answer.client.stage.value),
        file=answer.file,
        server=dotted(arrival.address),
        interface=arrival.interface,
        message=answer.verb,
        because="; ".join(answer.decision.because),
        style=answer.style,
        warning=answer.decision.warning,
        stage=answer.client.stage.value,
        vendor_class=request.vendor_class[:_LONGEST],
        relay=_relay(request),
    )


def asker(request: Message, arrival: Arrival) -> dict[str, Any]:
    """
    Who asks, for an event.

    Our own address is no client's: ``netbootd simulate`` asks from there, in the name of a machine
    that has none yet.
    """
    ours = _is_from_here(request, arrival)
    return who(pxe.mac_of(request), "" if ours else peer_of(arrival.source))


def who(mac: MAC | None, peer: str) -> dict[str, Any]:
    """As ``asker``: ``netbootd doctor``, on whatever host, is no machine, and leads to none."""
    if mac is not None and mac.is_made_up:
        return {"asker": DOCTOR}
    return {"mac": mac, "peer": peer}


def _is_from_here(request: Message, arrival: Arrival) -> bool:
    """A relay on this host asks from our own address as well, and gives it."""
    if int(request.giaddr) or int(request.ciaddr):
        return False
    return arrival.source[0] == dotted(arrival.address)


def _unserved(request: Message, arrival: Arrival, answer: Ignored) -> Unserved:
    step, client = answer.decision.step if answer.decision else None, answer.client
    kind = Loaderless if isinstance(step, Refusal) and step.missing else Unserved
    return kind(
        **asker(request, arrival),
        target=_target(answer),
        protocol="DHCP",
        reason=answer.reason,
        code=answer.code,
        stage=client.stage.value if client else "",
        interface=arrival.interface,
        arch=str(client.arch) if client and client.arch else "",
        vendor_class=request.vendor_class[:_LONGEST],
        relay=_relay(request),
    )


def _relay(request: Message) -> str:
    return dotted(request.giaddr) if int(request.giaddr) else ""


def _target(answer: Answer | Ignored) -> str:
    decision = answer.decision
    return decision.machine.title if decision and decision.machine else ""


def _other_server(request: Message, arrival: Arrival) -> str:
    """Whose offer *request* takes (RFC 2131, section 4.3.2), empty where it takes nobody's."""
    if arrival.port is not Port.DHCP or request.op != Op.REQUEST:
        return ""
    if request.message_type != MessageType.REQUEST:
        return ""
    server = request.server_id
    if server is None or server in (NO_ADDRESS, arrival.address):
        return ""
    return str(server)


def _requested(request: Message, arrival: Arrival, answer: Ignored, server: str) -> Requested:
    address = request.options.get(Option.REQUESTED_ADDRESS, b"")
    return Requested(
        **asker(request, arrival),
        server=server,
        address=str(IPv4Address(address)) if len(address) == 4 and any(address) else "",
        interface=arrival.interface,
        netboot=answer.code != NOT_NETBOOT,
    )
