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

from dataclasses import dataclass

from netbootd import urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import (
    Decision,
    Hold,
    Loader,
    Refusal,
    Script,
    identify,
    next_step,
)
from netbootd.dhcp import pxe
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import BROADCAST_FLAG, NO_ADDRESS, Message, MessageType, Op, Option
from netbootd.mac import MAC
from netbootd.registry.machine import Machine
from netbootd.registry.marks import UNMARKED, Marks
from netbootd.registry.snapshot import Registry


@dataclass(frozen=True, slots=True)
class Ignored:
    """No reply, and why; *unserved* where a netboot client goes without, as somebody will ask."""

    reason: str
    unserved: bool = False
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The *reply*, and what it means: *file* is the loader's name or the script's URL.

    *boot_server* tells that the reply goes back to where the request came from.
    """

    reply: Message
    client: Client
    decision: Decision
    file: str
    boot_server: bool

    @property
    def verb(self) -> str:
        """``offered`` or ``acknowledged``."""
        is_offer = self.reply.message_type == MessageType.OFFER
        return "offered" if is_offer else "acknowledged"


def answer(
    request: Message, arrival: Arrival, registry: Registry, marks: Marks = UNMARKED
) -> Answer | Ignored:
    """What a proxy says to *request*, of whose sender *marks* are known."""
    if request.op != Op.REQUEST:
        return Ignored("a reply of another server")
    client = pxe.client_of(request)
    if client is None:
        return Ignored(f"not a netboot client (vendor class {request.vendor_class!r})")
    client = client.marked(marks)
    reply_type = _reply_type(request, arrival, client)
    if isinstance(reply_type, Ignored):
        return reply_type
    if reason := pxe.unsupported(request):
        return Ignored(reason, unserved=True)
    decision = _decide(request, client, registry)
    if isinstance(decision.step, Refusal):
        return Ignored(decision.step.reason, unserved=True, decision=decision)
    name, path = _file(client, decision, arrival, registry)
    reply = _reply(request, reply_type, arrival, pxe.style_of(request, client), path)
    return Answer(reply, client, decision, name, reply_type is not MessageType.OFFER)


def _reply_type(request: Message, arrival: Arrival, client: Client) -> MessageType | Ignored:
    kind, item = request.message_type, pxe.boot_item(request)
    if arrival.port is Port.DHCP and kind == MessageType.DISCOVER:
        return MessageType.OFFER
    if not _is_for_boot_server(request, arrival, item):
        return Ignored(f"{request.message_name} on port {arrival.port}: for the DHCP server")
    if client.stage is Stage.HTTP_BOOT:
        return Ignored("HTTP boot has no boot servers", unserved=True)
    if item and item.wants_credentials:
        return Ignored("it asks for credentials (BIS), which do not exist", unserved=True)
    return MessageType.ACK


def _is_for_boot_server(request: Message, arrival: Arrival, item: pxe.BootItem | None) -> bool:
    kind = request.message_type
    if arrival.port is Port.BOOT_SERVER:
        return kind in (MessageType.REQUEST, MessageType.INFORM)
    to_another = request.server_id not in (None, arrival.address)
    return kind == MessageType.REQUEST and item is not None and not to_another


def _decide(request: Message, client: Client, registry: Registry) -> Decision:
    decision = next_step(client, identify(client, registry), registry)
    if not (pxe.is_ipxe(request) and isinstance(decision.step, Loader)):
        return decision
    remark = "its own iPXE has no HTTP, so it gets ours first"
    return Decision(decision.step, decision.machine, (*decision.because, remark))


def _reply(
    request: Message, reply_type: MessageType, arrival: Arrival, style: pxe.Style, file: str
) -> Message:
    offering = reply_type is MessageType.OFFER
    item = pxe.boot_item(request)
    vendor_options = style.vendor_options if offering else item.option if item else b""
    boot = pxe.fields(request, style, arrival.address, file, vendor_options)
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


def _file(
    client: Client, decision: Decision, arrival: Arrival, registry: Registry
) -> tuple[str, str]:
    """The boot file as people know it, and as the client is told: a path for TFTP or a URL."""
    base = urls.base_url(str(arrival.address), registry.config.http_port[0])
    assert client.mac is not None, "pxe.unsupported has seen to that"
    match decision.step:
        case Loader(name) if client.stage is Stage.HTTP_BOOT:
            return name, urls.loader_url(base, client.mac, name)
        case Loader(name):
            return name, urls.loader_path(client.mac, name)
        case Script() | Hold():
            url = _script_url(base, client.mac, decision.machine, registry)
            return url, url
        case Refusal():
            raise AssertionError("a refusal has no file")


def _script_url(base: str, mac: MAC, machine: Machine | None, registry: Registry) -> str:
    """
    The machine's script; but who may still turn out to be a machine that is listed by serial number
    or asset tag is sent to the first script, which makes iPXE say these.
    """
    unsure = machine is None or mac not in machine.macs
    if unsure and (registry.marked.get("serial") or registry.marked.get("asset")):
        return urls.first_url(base)
    return urls.script_url(base, mac)
