"""
ProxyDHCP (PXE 2.1, section 2.2): an offer without an address, beside the site's own DHCP server.

Pure: a request, how it arrived and the registry in; an Answer or Ignored out.  Answered are

* DISCOVER on port 67, with an OFFER;
* REQUEST and INFORM on port 4011, with an ACK.  Nothing is asked of them but to be a PXE client:
  EDK2 comes with a new xid and without options 43, 50 and 54;
* REQUEST on port 67 with a boot item in option 43: a boot server looked for by broadcast.

Any other REQUEST on port 67 belongs to the DHCP server, and answering it would break the client's
address.  A machine that gets no loader gets no reply either: it would wait minutes for a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Decision, Loader, Refusal, identify, subnet_of
from netbootd.dhcp import booting, pxe, styles
from netbootd.dhcp.booting import NOTHING_KNOWN
from netbootd.dhcp.booting import Known as Known  # noqa: PLC0414  it is asked for here as well
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.fields import fields
from netbootd.dhcp.message import (
    BROADCAST_FLAG,
    NO_ADDRESS,
    Message,
    MessageType,
    Op,
    Option,
)
from netbootd.events.event import Event, Restyled
from netbootd.mac import MAC
from netbootd.record.styles import NO_PAST, Kind, Offer, Past
from netbootd.registry.marks import UNMARKED, Marks
from netbootd.registry.snapshot import Registry

#: What is known of the styles that a card was told in, and its kind; both may be unknown.
Recall = Callable[[MAC | None, Kind | None], Past]


def nothing(_mac: MAC | None, _kind: Kind | None) -> Past:
    """Nothing was learned yet."""
    return NO_PAST


#: The code of what a client was not answered that does not boot from the network.
NOT_NETBOOT = "not-netboot"


@dataclass(frozen=True, slots=True)
class Ignored:
    """
    No reply, and why: *reason* in words, *code* for programs.

    *unserved* where a netboot client goes without, as somebody will ask; *client* where it is one.
    *event* is what the world is told, None for the usual.
    """

    reason: str
    unserved: bool = False
    decision: Decision | None = None
    code: str = ""
    client: Client | None = None
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The *reply*, and what it means: *file* is the loader's name or the script's URL.

    *boot_server* tells that the reply goes back to where the request came from.  *style* is how an
    offer tells it, and *offer* what is to be remembered of that, None for nothing.  *choice* is
    how that was chosen for a client of *kind*.
    """

    reply: Message
    client: Client
    decision: Decision
    file: str
    boot_server: bool
    style: str = ""
    offer: Offer | None = None
    choice: styles.Choice | None = None
    kind: Kind | None = None

    @property
    def verb(self) -> str:
        """``offered`` or ``acknowledged``."""
        is_offer = self.reply.message_type == MessageType.OFFER
        return "offered" if is_offer else "acknowledged"


def answer(
    request: Message,
    arrival: Arrival,
    registry: Registry,
    marks: Marks = UNMARKED,
    recall: Recall = nothing,
    known: Known = NOTHING_KNOWN,
) -> Answer | Ignored:
    """
    What a proxy says to *request*, of whose sender *marks* are known; *recall* tells in which
    styles a machine of its kind was told before, *known* is what else is remembered.
    """
    if request.op != Op.REQUEST:
        return Ignored("a reply of another server")
    client = pxe.client_of(request, arrival.address)
    if client is None:
        return _no_client(request, arrival, registry, marks)
    client = client.marked(marks)
    reply_type = _reply_type(request, arrival, client)
    if isinstance(reply_type, Ignored):
        return reply_type
    if reason := pxe.unsupported(request):
        return Ignored(reason, unserved=True, code="reserved", client=client)
    decision = _decide(request, client, registry, known)
    step = decision.step
    if isinstance(step, Refusal):
        return Ignored(step.reason, unserved=True, decision=decision, code=step.code, client=client)
    if reply_type is MessageType.OFFER and (reason := astray(request, arrival)):
        return Ignored(reason, unserved=True, decision=decision, code="relay", client=client)
    return _answer(request, reply_type, arrival, client, decision, registry, recall)


def _answer(
    request: Message,
    reply_type: MessageType,
    arrival: Arrival,
    client: Client,
    decision: Decision,
    registry: Registry,
    recall: Recall,
) -> Answer:
    name, path = booting.file_of(client, decision, arrival, registry)
    settings, subnet = registry.config.proxydhcp, subnet_of(client, registry)
    kind = styles.kind_of(request, client)
    past = recall(client.mac, kind)
    choice = styles.pick(request, client, settings, decision.machine, subnet, past)
    files_at = subnet.boot_address
    reply = _reply(request, reply_type, arrival, choice.style, path, files_at)
    if reply_type is not MessageType.OFFER:
        return Answer(
            *(reply, client, decision, name, True),
            choice=choice,
            kind=kind,
        )
    offer = None
    seen = files_at in (None, arrival.address)  # else what follows goes past us
    if kind and choice.chosen and client.mac and seen:
        names = pxe.pi_serials(request)
        offer = Offer(client.mac, kind, choice.order[0], choice.chosen, names)
    because = (*decision.because, told_in(choice.style.name, choice.why))
    decision = Decision(
        *(decision.step, decision.machine, because, decision.armed, decision.warning)
    )
    return Answer(
        reply,
        client,
        decision,
        name,
        boot_server=False,
        style=choice.style.name,
        offer=offer,
        choice=choice,
        kind=kind,
    )


def told_in(style: str, why: str) -> str:
    """The last reason of an offer."""
    return f"told in style {style}: {why}"


def restyled(answer: Answer, server: IPv4Address) -> Restyled | None:
    """The event, where *answer* is told in another style than the machine's last offer."""
    chosen = answer.offer.chosen if answer.offer else None
    if chosen is None or not chosen.after:
        return None
    return Restyled(
        mac=answer.client.mac,
        target=answer.decision.machine.title if answer.decision.machine else "",
        before=chosen.after,
        style=chosen.style,
        again=chosen.round > 1,
        server=str(server),
        file=answer.file,
    )


def _no_client(request: Message, arrival: Arrival, registry: Registry, marks: Marks) -> Ignored:
    """One that boots from the network, but not from a proxy, is a riddle if it is listed."""
    reason = pxe.beyond_a_proxy(request, arrival.address)
    if reason and arrival.port is Port.DHCP:
        client = Client(stage=Stage.FIRMWARE, mac=pxe.mac_of(request)).marked(marks)
        machine = identify(client, registry)
        if machine is not None and machine.known:
            decision = Decision(Refusal(reason), machine)
            return Ignored(
                reason, unserved=True, decision=decision, code="proxyless", client=client
            )
    told = reason or f"not a netboot client (vendor class {request.vendor_class!r})"
    return Ignored(told, code="proxyless" if pxe.is_other_firmware(request) else NOT_NETBOOT)


def _reply_type(request: Message, arrival: Arrival, client: Client) -> MessageType | Ignored:
    kind, item = request.message_type, pxe.boot_item(request)
    if arrival.port is Port.DHCP and kind == MessageType.DISCOVER:
        return MessageType.OFFER
    if not _is_for_boot_server(request, arrival, item):
        return Ignored(f"{request.message_name} on port {arrival.port}: for the DHCP server")
    if client.stage is Stage.HTTP_BOOT:
        told = "HTTP boot has no boot servers"
        return Ignored(told, unserved=True, code="boot-server", client=client)
    if item and item.wants_credentials:
        told = "it asks for credentials (BIS), which do not exist"
        return Ignored(told, unserved=True, code="credentials", client=client)
    return MessageType.ACK


def astray(request: Message, arrival: Arrival) -> str:
    """
    Why an offer would not find its way, empty where it does: a client that has no address cannot
    write to ours, so a relay did, and does not say where it is (RFC 1542, section 4.1.1).

    The answer would be broadcast here, where the client is not, or has asked by broadcast as well.
    """
    if not arrival.unicast or int(request.giaddr):
        return ""
    source = arrival.source[0]
    if not request.hops and source in ("0.0.0.0", str(request.ciaddr)):
        return ""
    return (
        f"it came by way of {source}, a relay that leaves giaddr empty (hops: {request.hops}), so "
        "no answer can find its way back: let the relay say its own address there (RFC 1542)"
    )


def _is_for_boot_server(request: Message, arrival: Arrival, item: pxe.BootItem | None) -> bool:
    kind = request.message_type
    if arrival.port is Port.BOOT_SERVER:
        return kind in (MessageType.REQUEST, MessageType.INFORM)
    to_another = request.server_id not in (None, arrival.address)
    return kind == MessageType.REQUEST and item is not None and not to_another


def _decide(request: Message, client: Client, registry: Registry, known: Known) -> Decision:
    decision = booting.decide(request, client, registry, known)
    if isinstance(decision.step, Loader) and not decision.warning and pxe.heeds_no_proxy(request):
        return replace(decision, warning=_HEEDS_NO_PROXY)
    return decision


_HEEDS_NO_PROXY = (
    "U-Boot heeds no proxy, unless it was built with CONFIG_SERVERIP_FROM_PROXYDHCP: let the DHCP "
    "server that gives it its address name next-server (siaddr) and file"
)


def _reply(
    request: Message,
    reply_type: MessageType,
    arrival: Arrival,
    style: styles.Style,
    file: str,
    files_at: IPv4Address | None,
) -> Message:
    """*files_at* is where the file is, None for where the reply comes from."""
    offering = reply_type is MessageType.OFFER
    item = pxe.boot_item(request)
    offered = style.vendor_options(arrival.address)
    vendor_options = offered if offering else item.option if item else b""
    boot = fields(request, style, arrival.address, file, vendor_options, files_at)
    return Message(
        op=Op.REPLY,
        htype=request.htype,
        hlen=request.hlen,
        xid=request.xid,
        flags=_flags(request, offering),
        ciaddr=NO_ADDRESS if offering else request.ciaddr,
        siaddr=boot.siaddr,
        giaddr=request.giaddr,
        chaddr=request.chaddr,
        sname=boot.sname,
        file=boot.file,
        options={Option.MESSAGE_TYPE: bytes((reply_type,)), **boot.options},
    )


def _flags(request: Message, offering: bool) -> int:
    """
    An offer names no address, so a relay could not unicast it: it must see the broadcast flag
    (RFC 1542, section 5.4).
    """
    unaddressed = offering and not int(request.ciaddr)
    return request.flags | BROADCAST_FLAG if unaddressed else request.flags
