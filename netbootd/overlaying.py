"""``netbootd overlay``: a machine's extra initrd as a file, and what comes from which overlay."""

from __future__ import annotations

import stat

from netbootd import urls
from netbootd.boot.client import Client
from netbootd.boot.decision import identify
from netbootd.errors import NotFound
from netbootd.mac import MAC
from netbootd.overlay.tree import Item
from netbootd.registry import overlays
from netbootd.registry.facts import facts_of
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

_OUR_ADDRESS = "boot-server"  # the interface that hears the request decides
_ITS_ADDRESS = "its-address"  # where the configuration gives none
_TOKEN = "token-of-this-boot"  # noqa: S105


def built(registry: Registry, client: Client) -> bytes:
    """What ``/overlay/<mac>.cpio`` would answer; raises NotFound, or RenderError with the place."""
    machine, mac = _machine(registry, client)
    base = registry.boot_server or urls.base_url(_OUR_ADDRESS, registry.config.http_port[0])
    facts = facts_of(mac, machine, registry, base, _ITS_ADDRESS, _TOKEN)
    return overlays.build(machine, facts, registry)


def listing(registry: Registry, client: Client) -> str:
    """The files that overlays lay over the root of a machine, and whose they are; NotFound."""
    machine, mac = _machine(registry, client)
    names = overlays.names_of(machine)
    found: dict[str, tuple[Item, str]] = {}
    for name in names:
        if name in registry.overlays:
            items = registry.overlays[name].items
            found |= {item.path: (item, name) for item in items if not stat.S_ISDIR(item.mode)}
    head = f"{mac} ({machine.title}): overlays {', '.join(names) or 'none'}"
    return "\n".join((head, *(_line(*found[path]) for path in sorted(found)))) + "\n"


def _line(item: Item, name: str) -> str:
    told = f"{stat.filemode(item.mode)} /{item.path}"
    if stat.S_ISLNK(item.mode) and isinstance(item.content, bytes):
        told += f" -> {item.content.decode('utf-8', 'replace')}"
    made = "" if isinstance(item.content, bytes) else ", rendered"
    return f"{told}  ({name}{made})"


def _machine(registry: Registry, client: Client) -> tuple[Machine, MAC]:
    """The machine, and the MAC that it asks with."""
    machine = identify(client, registry)
    if machine is None or client.mac is None:
        raise NotFound(f"{client.mac} is not in the configuration")
    return machine, client.mac
