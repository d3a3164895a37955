"""
The boot part of a DHCP server's reply: what a proxy would say as well, told in the plain way.

Who may not boot still gets an address; why it gets no file is told beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from netbootd.arch import POWER_OPAL
from netbootd.boot.decision import Decision, Loader, Refusal
from netbootd.dhcp import booting, styles
from netbootd.dhcp.asking import Asking
from netbootd.dhcp.booting import Known
from netbootd.dhcp.fields import Fields, fields
from netbootd.dhcp.message import Message, Option
from netbootd.dhcp.proxy import Answer, Ignored
from netbootd.registry.machine import Machine

#: Where a configuration of one's own is looked for, below the path prefix (RFC 5071).
_CONFIGURATION = "pxelinux.cfg/01-"
_UBOOT = "U-Boot"


@dataclass(frozen=True, slots=True)
class Boot:
    """
    The *fields* of a reply, its *file* as people know it, and the *decision*; *refused* is why
    there is no file.  *machine* is the listed one, with the target that it boots now.
    """

    fields: Fields
    machine: Machine | None
    decision: Decision | None = None
    file: str = ""
    refused: Ignored | None = None

    def answer(self, asking: Asking, reply: Message) -> Answer | None:
        """What a proxy would have answered, with this *reply* in its place."""
        if self.decision is None:
            return None
        return Answer(reply, asking.client, self.decision, self.file, boot_server=False)


def boot_of(asking: Asking, known: Known) -> Boot:
    """What the reply tells of booting."""
    if not asking.boots:
        # All that it says of itself is echoed anyway, but for its UUID.
        named = Option.UUID in asking.request.options
        plain = Fields(_files_at(asking), b"", b"", {})
        return Boot(_without_file(asking) if named else plain, asking.machine)
    decision = booting.decide_for(
        asking.found, asking.request, asking.client, asking.registry, known
    )
    step = decision.step
    if isinstance(step, Refusal):
        return _without(asking, decision, step)
    name, path = booting.file_of(asking.client, decision, asking.arrival, asking.registry)
    settings = asking.registry.config.proxydhcp
    style = styles.of_server(
        asking.request, asking.client, settings, decision.machine, asking.subnet
    )
    machine = decision.machine if asking.machine else None
    return Boot(_told(asking, style, path), machine, decision, name)


def _told(asking: Asking, style: styles.Style, path: str) -> Fields:
    """*path* in *style*, and in the options that the client asks for."""
    wanted = asking.request.options.get(Option.WANTED, b"")
    vendor = style.vendor_options(asking.server)
    return fields(asking.request, style, asking.server, path, vendor, _files_at(asking), wanted)


def _without_file(asking: Asking) -> Fields:
    """Where files would be, for who knows their names by itself."""
    return fields(asking.request, styles.PLAIN_ALONE, asking.server, "", b"", _files_at(asking))


def _files_at(asking: Asking) -> IPv4Address:
    return asking.subnet.boot_address or asking.arrival.address


# -- who gets no file --------------------------------------------------------------------------


def _without(asking: Asking, decision: Decision, step: Refusal) -> Boot:
    """U-Boot and petitboot need none, and all others are told why by the log."""
    mac, told = asking.client.mac, _without_file(asking)
    if mac is None or not _reads_alone(asking, step):
        refused = Ignored(step.reason, True, decision, step.code, asking.client)
        return Boot(told, asking.machine, refused=refused)
    name = f"{_CONFIGURATION}{mac.dashed}"
    options = {
        Option.CONFIGURATION_FILE: name.encode(),
        Option.PATH_PREFIX: f"tftp://{told.siaddr}/".encode(),
    }
    wanted = asking.request.options.get(Option.WANTED, b"")
    everything = asking.client.arch is POWER_OPAL
    told.options.update({int(c): v for c, v in options.items() if everything or c in wanted})
    because = (*decision.because, "it looks for its configuration there by itself")
    decision = replace(decision, step=Loader(name), because=because)
    return Boot(told, decision.machine if asking.machine else None, decision, name)


def _reads_alone(asking: Asking, step: Refusal) -> bool:
    """Whether there is only no file since there need not be one."""
    if step.code == "proxyless":
        return True
    return step.code == "no-arch" and asking.request.vendor_class.startswith(_UBOOT)
