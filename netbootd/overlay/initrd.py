"""
The extra initrd of one machine: who it is, its own files, and the hooks that put them in place.

::

    etc/netbootd/machine.json        what the configuration says of the machine
    etc/netbootd/env                 the same few things for shells: names, URLs, token
    etc/netbootd/root/...            what is laid over the root, from overlays and from us
    etc/netbootd/layer.sh, settle.sh which make the root writable in memory, and lay that over it
    usr/lib/dracut/hooks/pre-pivot/  starts layer.sh in an initramfs made by dracut,
    var/lib/dracut/hooks/pre-pivot/  of 059 and before, and since 2024
    conf/conf.d/, scripts/init-bottom/   the same where initramfs-tools made it

So a stock kernel and initrd that can mount the root over NFS is all an image needs.  The files that
run on the node are in the folder ``node`` beside this module, read when the program starts.

Paths are such as no main initrd has: where both had one, the order of the two would decide, and
firmware differs in that.

Sources: dracut.modules(7), dracut.bootup(7); initramfs-tools(7) and its init; machine-id(5),
systemd.network(5), NetworkManager.conf(5).
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netbootd import urls
from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.overlay import cpio
from netbootd.overlay.tree import Tree, entries
from netbootd.pieces import Pieces
from netbootd.targets.base import Facts

#: How large the layer may grow where the target does not say it; as the kernel's own for tmpfs.
DEFAULT_SIZE = "50%"
_HOME = "etc/netbootd"
_ROOT = f"{_HOME}/root"
_UNIT = "usr/lib/systemd/system/netbootd-script.service"
_NODE = {path.name: path.read_bytes() for path in (Path(__file__).parent / "node").iterdir()}
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


class Unfit(RenderError):
    """A value of the machine's makes no sense in its initrd; the text names it, and no file."""


def initrd(facts: Facts, trees: Sequence[Tree] = (), size: str = "") -> Pieces:
    """
    The archive for the machine that *facts* are of; later *trees* lie over earlier ones.

    *size* is that of the layer in memory, as tmpfs takes it (``25%``, ``2g``).  Raises RenderError
    where a template cannot be rendered, or a value that ends up in the archive makes no sense.
    """
    own = [*_identity(facts), *_runner(), *_booting_card(facts.mac)]
    over = entries(tuple(trees), facts.names())
    try:
        return cpio.archive([*_home(facts, size), *_hooks(), *_below_root([*own, *over])])
    except ValueError as problem:
        raise Unfit(f"overlays {', '.join(tree.name for tree in trees)}: {problem}") from None


def _below_root(those: Sequence[cpio.Entry]) -> Iterator[cpio.Entry]:
    for one in those:
        yield cpio.Entry(f"{_ROOT}/{one.path}", one.mode, one.body)


def _home(facts: Facts, size: str) -> Iterator[cpio.Entry]:
    yield cpio.file(f"{_HOME}/machine.json", _encoded(description(facts)), 0o600)
    yield cpio.file(f"{_HOME}/env", _encoded(environment(facts, size)), 0o600)
    yield cpio.folder(_ROOT)
    for name in ("layer.sh", "settle.sh"):
        yield cpio.file(f"{_HOME}/{name}", _NODE[name])


def description(facts: Facts) -> str:
    """``machine.json``: what the configuration says of the machine."""
    names = {**facts.variables, "mac": str(facts.mac), "target": facts.target}
    return json.dumps(names, indent=1, ensure_ascii=False, default=str) + "\n"


def _hooks() -> Iterator[cpio.Entry]:
    for folder in ("usr/lib", "var/lib"):
        path = f"{folder}/dracut/hooks/pre-pivot/90-netbootd.sh"
        yield cpio.file(path, _NODE["dracut.sh"], 0o755)
    yield cpio.file("conf/conf.d/netbootd", _NODE["initramfs-tools.conf"])
    yield cpio.file("scripts/init-bottom/netbootd", _NODE["initramfs-tools.sh"], 0o755)


def environment(facts: Facts, size: str) -> str:
    """Assignments that a shell may read with ``.``; every name is there, if only empty."""
    names, (host, domain) = facts.names(), _host(facts)
    persist, store = _persist(facts)
    values = {
        "MAC": facts.mac,
        "TARGET": facts.target,
        "BASE": facts.base,
        "TOKEN": facts.token,
        # With the token it is known for the machine's own, wherever it asks from.
        "SCRIPT_URL": urls.node_script_url(facts.base, facts.mac, facts.token),
        "DONE_URL": names["done_url"],
        "FAILED_URL": names["failed_url"],
        "HOSTNAME": host,
        "DOMAIN": domain,
        "SIZE": size or DEFAULT_SIZE,
        "PERSIST": "\n".join(persist),
        "PERSIST_FROM": store,
    }
    return "".join(f"NETBOOTD_{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def _host(facts: Facts) -> tuple[str, str]:
    """Host name and domain, the latter from a full host name where it is not given alone."""
    host = _text(facts, "hostname")
    if host and not _HOST_NAME.fullmatch(host):
        raise Unfit(f"hostname {host!r} is no host name")
    name, _, domain = host.partition(".")
    return name, _text(facts, "domain") or domain


def _persist(facts: Facts) -> tuple[list[str], str]:
    """The paths that survive, and where they are kept: ``SERVER:/PATH``, or a block device."""
    paths, store = facts.variables.get("persist", []), _text(facts, "persist_from")
    paths = [paths] if isinstance(paths, str) else paths
    if not isinstance(paths, list) or not all(_is_path(path) for path in paths):
        raise Unfit(f'"persist" is a list of absolute paths, not {paths!r}')
    if paths and not (store.startswith("/dev/") or ":/" in store):
        told = f"is SERVER:/PATH or a device such as /dev/sda1, not {store!r}"
        raise Unfit(f'with "persist", "persist_from" {told}')
    return paths, store


def _is_path(path: Any) -> bool:
    return (
        isinstance(path, str)
        and path.startswith("/")
        and path.isprintable()
        and not {"", ".", ".."} & set(path[1:].split("/"))
    )


def _identity(facts: Facts) -> Iterator[cpio.Entry]:
    host, _ = _host(facts)
    if host:
        yield cpio.file("etc/hostname", f"{host}\n".encode())
    given = _text(facts, "machine_id").replace("-", "").lower()
    if given and not _MACHINE_ID.fullmatch(given):
        raise Unfit(f'"machine_id" is 32 hexadecimal digits, not {given!r}')
    yield cpio.file("etc/machine-id", f"{given or machine_id(facts.mac)}\n".encode(), 0o444)


def machine_id(mac: MAC) -> str:
    """The same at each boot, and another for each machine (machine-id(5); RFC 9562, 5.5)."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"urn:netbootd:machine:{mac}").hex


def _runner() -> Iterator[cpio.Entry]:
    yield cpio.file("usr/lib/netbootd/node-script.sh", _NODE["node-script.sh"], 0o755)
    yield cpio.file(_UNIT, _NODE["netbootd-script.service"])
    wants = "etc/systemd/system/multi-user.target.wants/netbootd-script.service"
    yield cpio.link(wants, f"/{_UNIT}")


def _booting_card(mac: MAC) -> Iterator[cpio.Entry]:
    """The card that carries the root: whoever configured it anew would take the root away."""
    told = "# netbootd: the root file system comes through this card.\n"
    # VLANs and bridges on it have the same address, and are nobody's business here.
    networkd = f"{told}[Match]\nMACAddress={mac}\nType=ether\n\n[Link]\nUnmanaged=yes\n"
    manager = f"{told}[keyfile]\nunmanaged-devices+=mac:{mac}\n"
    # The first that matches counts, the one that netplan makes (10-netplan-...) included.
    yield cpio.file("etc/systemd/network/00-netbootd-boot.network", networkd.encode())
    yield cpio.file("etc/NetworkManager/conf.d/00-netbootd-boot.conf", manager.encode())


def _text(facts: Facts, key: str) -> str:
    value = facts.variables.get(key)
    return "" if value is None else str(value)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
