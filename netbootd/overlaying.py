"""``netbootd overlay``: a machine's extra initrd as a file, and what comes from which overlay."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import Any

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
    return bytes(overlays.build(machine, facts, registry))


@dataclass(frozen=True, slots=True)
class Laid:
    """
    What is laid over the root of *machine*, which asks with *mac*: the files by their paths, each
    with the overlay whose it is; *overlays* are all of them, the last wins.
    """

    mac: MAC
    machine: Machine
    overlays: tuple[str, ...]
    files: tuple[tuple[Item, str], ...]

    def as_text(self) -> str:
        """For a person."""
        names = ", ".join(self.overlays) or "none"
        head = f"{self.mac} ({self.machine.title}): overlays {names}"
        return "\n".join((head, *(_line(*file) for file in self.files))) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """For programs; *link* is null for what is no symbolic link, *mode* octal."""
        return {
            "machine": str(self.mac),
            "target": self.machine.title,
            "overlays": list(self.overlays),
            "files": [
                {
                    "path": f"/{item.path}",
                    "mode": f"{stat.S_IMODE(item.mode):04o}",
                    "link": _link(item),
                    "overlay": name,
                    "rendered": _is_rendered(item),
                }
                for item, name in self.files
            ],
        }


def laid(registry: Registry, client: Client) -> Laid:
    """The files that overlays lay over the root of a machine, and whose they are; NotFound."""
    machine, mac = _machine(registry, client)
    names = overlays.names_of(machine)
    found: dict[str, tuple[Item, str]] = {}
    for name in names:
        if name in registry.overlays:
            items = registry.overlays[name].items
            found |= {item.path: (item, name) for item in items if not stat.S_ISDIR(item.mode)}
    return Laid(mac, machine, tuple(names), tuple(found[path] for path in sorted(found)))


def _line(item: Item, name: str) -> str:
    link = _link(item)
    led = "" if link is None else f" -> {link}"
    made = ", rendered" if _is_rendered(item) else ""
    return f"{stat.filemode(item.mode)} /{item.path}{led}  ({name}{made})"


def _link(item: Item) -> str | None:
    """Where a symbolic link leads."""
    if stat.S_ISLNK(item.mode) and isinstance(item.content, bytes):
        return item.content.decode("utf-8", "replace")
    return None


def _is_rendered(item: Item) -> bool:
    return not isinstance(item.content, bytes)


def _machine(registry: Registry, client: Client) -> tuple[Machine, MAC]:
    """The machine, and the MAC that it asks with."""
    machine = identify(client, registry)
    if machine is None or client.mac is None:
        raise NotFound(f"{client.mac} is not in the configuration")
    return machine, client.mac
