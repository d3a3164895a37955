"""
``GET /``, ``/boot``, ``/boot/<mac>`` and ``/<mac>``: the scripts.

iPXE throws away the body of any answer that is not a success and shows its user an error number
(https://ipxe.org/err), so it always gets status 200 and a script, which prints the reason where
there is one.  Everybody else gets the plain status.
"""

from __future__ import annotations

import re
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlsplit

from netbootd import urls
from netbootd.arch import TABLE, Arch
from netbootd.boot.client import Client, Stage
from netbootd.boot.script import BootScript, boot_script, fault_script, first_script
from netbootd.events.event import Refused, Scripted
from netbootd.http.resource import Answer, Asked, text
from netbootd.mac import MAC
from netbootd.registry.snapshot import Registry

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@\s]+))(?::([0-9]{1,5}))?")
#: For when even the templates fail.
_LAST_RESORT = (
    "#!ipxe\n"
    "echo netbootd: the boot server has a fault; its log says more\n"
    "sleep 10\n"
    "exit 1\n"
)  # fmt: skip


def first(asked: Asked, registry: Registry) -> Answer:
    """The first script, which chains to the machine's own."""
    return _answer(asked, first_script(registry, base_of(asked, registry)), None)


def machine(asked: Asked, mac: MAC, registry: Registry) -> Answer:
    """The boot script of *mac*."""
    script = boot_script(client_of(asked, mac), registry, base_of(asked, registry))
    return _answer(asked, script, mac)


def fault(asked: Asked, mac: MAC | None, registry: Registry) -> Answer:
    """What a script becomes when we failed to make it: no internals, and a way to try again."""
    script = BootScript(_LAST_RESORT, "the boot server has a fault; its log says more", 500)
    if mac is not None:
        with suppress(Exception):  # the first failure is in the log; another adds nothing
            script = fault_script(mac, registry, base_of(asked, registry))
    return _answer(asked, script, mac)


def client_of(asked: Asked, mac: MAC) -> Client:
    """Who asks, from the path, the query and the address."""
    return Client(
        stage=Stage.IPXE,
        mac=mac,
        arch=_arch(asked.query.get("arch", ""), asked.query.get("platform", "")),
        address=asked.peer,
        uuid=asked.query.get("uuid", "").lower(),
    )


def _arch(cpu: str, platform: str) -> Arch | None:
    """The row of iPXE's ``${buildarch}`` and ``${platform}``; either may be missing."""
    fitting = (row for row in TABLE.values() if row.cpu == cpu and platform in ("", row.platform))
    return next(fitting, None) if cpu else None


def base_of(asked: Asked, registry: Registry) -> str:
    """
    Our own address as this client reaches us.

    The client's word for us counts if it is the address it reached or a name that the configuration
    gives us: then its port is right even behind a forwarding.  Anything else it may have made up,
    and what stands in a script must lead back here.
    """
    address, port = asked.here
    match = _HOST.fullmatch(asked.host)
    if match:
        name = (match[1] or match[2]).lower()
        named_port = int(match[3] or 80)
        if (name == address or name in _our_names(registry)) and 0 < named_port < 65536:
            return urls.base_url(name, named_port)
    return urls.base_url(address, port)


def _our_names(registry: Registry) -> set[str | None]:
    return {urlsplit(server).hostname for server in registry.servers.values()}


def _answer(asked: Asked, script: BootScript, mac: MAC | None) -> Answer:
    title = script.machine.title if script.machine else ""
    if asked.by_ipxe or script.status == HTTPStatus.OK:
        event = Scripted(mac=mac, target=title, peer=asked.peer, says=script.logged)
        return text(HTTPStatus.OK, script.text, event)
    status = HTTPStatus(script.status)
    refusal = Refused(
        mac=mac,
        target=title,
        peer=asked.peer,
        protocol="HTTP",
        path=asked.path,
        status=status,
        reason=script.logged,
    )
    return text(status, f"{status} {status.phrase}: {script.says}\n", refusal)
