"""
The boot part of a DHCP server's reply: what a proxy would say as well, told in the plain way.

Who may not boot still gets an address; why it gets no file is told beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from netbootd.boot.decision import Decision, Loader, Refusal
from netbootd.configfiles import READ_ALONE
from netbootd.dhcp import booting, pxe, styles
from netbootd.dhcp.asking import Asking
from netbootd.dhcp.booting import Known
from netbootd.dhcp.fields import Fields, fields
from netbootd.dhcp.message import Message, Option
from netbootd.dhcp.proxy import Answer, Ignored
from netbootd.registry.machine import Machine

#: What petitboot and newer U-Boot look for, below the path prefix (RFC 5071).
_CONFIGURATION = "pxelinux.cfg/01-"


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
    if not pxe.boots(asking.request):
        return Boot(_without_file(asking), asking.machine)
    decision = booting.decide(asking.request, asking.client, asking.registry, known)
    alone = isinstance(decision.step, Refusal) and decision.step.code == "proxyless"
    if alone:
        decision = _reads_alone(asking, decision)
    step = decision.step
    if isinstance(step, Refusal):
        refused = Ignored(step.reason, True, decision, step.code, asking.client)
        return Boot(_without_file(asking), asking.machine, refused=refused)
    name, path = booting.file_of(asking.client, decision, asking.arrival, asking.registry)
    machine = decision.machine if asking.machine else None
    return Boot(_fields(asking, decision, path, alone=alone), machine, decision, name)


def _reads_alone(asking: Asking, decision: Decision) -> Decision:
    """U-Boot and petitboot ask for their configuration by names of their own."""
    mac = asking.client.mac
    if mac is None:
        return decision
    arch = asking.client.arch
    family = arch.family if arch else ""
    told = f"{READ_ALONE[family][1]} reads it by itself" if family in READ_ALONE else ""
    step = Loader(f"{_CONFIGURATION}{mac.dashed}")
    return replace(decision, step=step, because=(*decision.because, told))


def _fields(asking: Asking, decision: Decision, path: str, *, alone: bool) -> Fields:
    request, client, registry = asking.request, asking.client, asking.registry
    settings = registry.config.proxydhcp
    style = styles.PLAIN_ALONE
    if not alone:
        style = styles.of_server(request, client, settings, decision.machine, asking.subnet)
    wanted = request.options.get(Option.WANTED, b"")
    style = replace(
        style,
        boot_file_option=style.boot_file_option or Option.BOOT_FILE in wanted,
        server_option=style.server_option or Option.TFTP_SERVER_NAME in wanted,
    )
    files_at = asking.subnet.boot_address
    vendor = style.vendor_options(asking.server)
    found = fields(request, style, asking.server, path, vendor, files_at or asking.arrival.address)
    if alone:
        found.options[Option.CONFIGURATION_FILE] = path.rpartition(":")[2].encode()
        found.options[Option.PATH_PREFIX] = f"tftp://{found.siaddr}/".encode()
    return found


def _without_file(asking: Asking) -> Fields:
    """Where files would be; nobody is told of a server that is none of ours."""
    files_at = asking.subnet.boot_address or asking.arrival.address
    return fields(asking.request, styles.PLAIN_ALONE, asking.server, "", b"", files_at)
