"""
What the sender of a DHCP request boots: asked for in one way, whoever gives it its address.

Pure.  ``proxy`` and ``server`` tell it differently (``styles``), and mean the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
    refusal,
    secure_server,
    subnet_of,
)
from netbootd.dhcp import pxe
from netbootd.dhcp.destination import Arrival
from netbootd.dhcp.message import HardwareType, Message, dotted
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, Standing
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is remembered at *now* (Unix seconds): *standing* of a machine by its key, and whether the
    sender's own iPXE was *replaced* by ours a moment ago.
    """

    standing: Callable[[str], Standing] = field(default=lambda _key: FRESH)
    replaced: bool = False
    now: float = 0.0


NOTHING_KNOWN = Known()


def decide(request: Message, client: Client, registry: Registry, known: Known) -> Decision:
    """What *client*, which sent *request*, gets next."""
    return decide_for(identify(client, registry), request, client, registry, known)


def decide_for(
    machine: Machine | None, request: Message, client: Client, registry: Registry, known: Known
) -> Decision:
    """The same, where *machine* was found for it already."""
    if pxe.is_raspberry_pi(request):
        return _of_pi(client, machine, registry)
    standing = known.standing(machine.key) if machine else FRESH
    replaced = known.replaced or pxe.is_ours(request)
    decision = next_step(client, machine, registry, standing, known.now, replaced=replaced)
    if isinstance(decision.step, Refusal) and _has_no_card(request):
        told = f"{decision.step.reason}; it is {pxe.addressed(request)}"
        return replace(decision, step=replace(decision.step, reason=told))
    if not isinstance(decision.step, Loader) or not pxe.lacks_http(request):
        return decision
    remark = "its own iPXE has no HTTP, so it gets ours first"
    return replace(decision, because=(*decision.because, remark))


def file_of(
    client: Client, decision: Decision, arrival: Arrival, registry: Registry
) -> tuple[str, str]:
    """
    The boot file as people know it, and as the client is told: a path for TFTP or a URL.

    A boot server that is a name is nothing for firmware: a proxy cannot tell it a name server.
    """
    subnet = subnet_of(client, registry)
    base = urls.base_url(dotted(arrival.address), registry.config.http_port[0])
    base = subnet.boot_server if subnet.boot_address else base
    mac = client.mac or (decision.machine.mac if decision.machine else None)
    match decision.step:
        case Loader(name) if client.stage is Stage.HTTP_BOOT:
            return name, urls.loader_url(base, mac, name)
        case Loader(name):
            return name, urls.loader_path(mac, name)
        case Script() | Hold():
            base = secure_server(client, registry) or base
            url = _script_url(base, mac, decision.machine, registry)
            return url, url
        case Refusal():
            raise AssertionError("a refusal has no file")


def _has_no_card(request: Message) -> bool:
    """Whether the address of the sender is none that an admin would know."""
    return request.htype == HardwareType.INFINIBAND or request.mac is None


_PI_FILES = "the files of a Raspberry Pi"


def _of_pi(client: Client, machine: Machine | None, registry: Registry) -> Decision:
    """A Pi asks for files by names of its own; there is no loader to choose."""
    if refused := refusal(client, machine, registry):
        return Decision(refused, machine, (refused.reason,))
    return Decision(Loader(_PI_FILES), machine, ("a Raspberry Pi knows the names of its files",))


def _script_url(base: str, mac: MAC | None, machine: Machine | None, registry: Registry) -> str:
    """
    The machine's script; but who may still turn out to be a machine that is listed by serial number
    or asset tag is sent to the first script, which makes iPXE say these.
    """
    unsure = machine is None or mac not in machine.macs
    if mac is None or (unsure and (registry.marked.get("serial") or registry.marked.get("asset"))):
        return urls.first_url(base)
    return urls.script_url(base, mac)
