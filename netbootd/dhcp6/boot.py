"""
Who asks, and the boot part of a reply: the URL of a loader or a script (RFC 5970).

What real clients do (EDK2's NetworkPkg, iPXE's net/udp/dhcpv6.c):

* EDK2's PXE says ``PXEClient`` in its vendor class and takes ``tftp://[address]/file`` from an
  advertisement that gives an address.  One that says ``PXEClient`` back would be asked again on
  port 4011, so none does.
* EDK2's HTTP boot says ``HTTPClient`` and takes no advertisement that does not say so as well.  It
  reads the URL up to a zero, which the option does not have: so another option follows it.
* iPXE says ``iPXE`` in its user class, and takes the URL of a script whether it asked for it or
  not.
* Each makes its own address of the card's (RFC 4291, appendix A), whatever its DUID is made of.

Option 60 is never sent: EDK2 reads it as the size of the file, and our loaders take no arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

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
    secure_server,
)
from netbootd.dhcp6.given import Arrival, Known
from netbootd.dhcp6.message import Message, Option, Options, card_of
from netbootd.mac import MAC
from netbootd.record.standing import FRESH
from netbootd.registry.machine import Machine
from netbootd.registry.marks import UNMARKED, Marks
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

_PXE, _HTTP = "PXEClient", "HTTPClient"
_UBOOT = "U-Boot"
_IPXE_USER_CLASSES = frozenset({"iPXE", "gPXE", "netbootd"})


@dataclass(frozen=True, slots=True)
class Boot:
    """*file* is the loader's name or the script's URL; *options* are what the client is told."""

    decision: Decision
    file: str
    options: Options


def mac_of(request: Message, source: IPv6Address) -> MAC | None:
    """
    The card that asks: as its relay saw it, by its own address, else by what its DUID is made of,
    which in a machine with several may be another one of them.
    """
    own = request.relays[-1].peer if request.relays else source
    return request.relayed_mac or card_of(own) or request.duid_mac


def marks_of(request: Message) -> Marks:
    """What the sender says of its machine."""
    return Marks.of({"uuid": request.uuid})


def stage_of(request: Message) -> Stage | None:
    """How far a client has come; None for one that does not boot from the network."""
    if any(name in _IPXE_USER_CLASSES for name in request.user_classes):
        return Stage.IPXE
    said = next(iter(request.vendor_classes), "")
    if said.startswith(_HTTP) or (request.arch is not None and request.arch.http):
        return Stage.HTTP_BOOT
    if said.startswith((_PXE, _UBOOT)) or request.arch is not None:
        return Stage.FIRMWARE
    return None


def client_of(
    request: Message, arrival: Arrival, network: IPv6Address, marks: Marks = UNMARKED
) -> Client:
    """Whoever sent *request*, from the link of *network*, also where it boots from its disk."""
    return Client(
        stage=stage_of(request) or Stage.FIRMWARE,
        mac=mac_of(request, arrival.source),
        arch=request.arch,
        uuid=request.uuid,
        network=str(network) if int(network) else "",
    ).marked(marks)


def decide(client: Client, registry: Registry, known: Known) -> Decision:
    """What *client*, which boots from the network, gets next."""
    machine = identify(client, registry)
    standing = known.standing(machine.key) if machine else FRESH
    return next_step(client, machine, registry, standing, known.now)


def boot(
    request: Message,
    client: Client,
    decision: Decision,
    arrival: Arrival,
    subnet: Subnet,
    registry: Registry,
) -> Boot:
    """The boot part of a reply; *decision* is no Refusal."""
    host = _boot_server(subnet) or arrival.address
    base = urls.base_url(str(host), registry.config.http_port[0])
    if _boot_server(subnet):
        base = subnet.boot_server
    machine = decision.machine
    mac = client.mac or (machine.mac if machine else None)
    match decision.step:
        case Loader(name) if client.stage is Stage.HTTP_BOOT:
            url = urls.loader_url(base, mac, name)
            return Boot(decision, name, (_url(url), _class(request, _HTTP)))
        case Loader(name):
            url = urls.tftp_url(str(host), urls.loader_path(mac, name))
            return Boot(decision, name, (_url(url),))
        case Script() | Hold():
            base = secure_server(client, registry) or base
            url = _script_url(base, mac, machine, registry)
            return Boot(decision, url, (_url(url),))
        case Refusal():
            raise AssertionError("a refusal has no file")


def _boot_server(subnet: Subnet) -> IPv6Address | None:
    """The address that the subnet's own boot server is written with, None for a name."""
    try:
        return IPv6Address(urlsplit(subnet.boot_server).hostname or "")
    except ValueError:
        return None


def _script_url(base: str, mac: MAC | None, machine: Machine | None, registry: Registry) -> str:
    """
    The machine's script; but who may still turn out to be one that is listed by serial number or
    asset tag is sent to the first script, which makes iPXE say these.
    """
    unsure = machine is None or mac not in machine.macs
    if mac is None or (unsure and (registry.marked.get("serial") or registry.marked.get("asset"))):
        return urls.first_url(base)
    return urls.script_url(base, mac)


def _url(url: str) -> tuple[int, bytes]:
    return Option.BOOT_FILE_URL, url.encode("ascii", "replace")


def _class(request: Message, name: str) -> tuple[int, bytes]:
    """*name* as a vendor class, of the enterprise that the client named (EDK2: 343, Intel)."""
    return Option.VENDOR_CLASS, request.enterprise + len(name).to_bytes(2, "big") + name.encode()
