"""
Every URL and TFTP path we hand out or answer, built and parsed in one place.

The machine's MAC travels in the boot file path and in the script URL, so that a proxy that knows
no addresses still knows who is loading.  A bare ``undionly.kpxe`` or ``images/…`` works as well.

What the HTTP side answers, in this order: exact names, then MACs, then files.

====================  ==========================================================
``/``, ``/boot``      the first script: get an address, chain to the machine's own
``/boot/<mac>``       the machine's boot script; ``/<mac>`` is the same
                      (``?choice=2``: what its menu offers as the second)
``/boot/<other>``     not found: a relative ``kernel memdisk`` in a script from here must
                      never be answered with a script
``/<mac>/<path>``     a loader or file, asked for by that machine; ``/install/<mac>/<path>`` is
                      ``install/<path>`` so; a folder ``token-<token>`` before the path proves
                      that it is, where the file is secret
``/scripts/<mac>``    what the node runs when it is up; ``/scripts/netbootd-*`` how it does so
``/overlay/<mac>``    its extra initrd (``.cpio`` may follow)
``/done/<mac>``       the node reports that it is up or installed; ``/failed/<mac>`` that it is not
``/status``           how the daemon is, as JSON; ``/healthz``, ``/metrics`` for those who watch
``/ui/``              the web page; ``/api/v1/`` what it and the commands speak
``/vms/``             VM descriptions: a list, and each as ``/vms/<key>.json``
``/machines/<mac>/vms``  those assigned to one machine
``/<path>``           a file below the file root; else the configuration of another loader, of
                      which ``configfiles`` knows the names
====================  ==========================================================

Twelve bare digits are a MAC where nothing follows and below ``/boot``; as a folder they may as well
be a date (``202401011200/vmlinuz``), so there they are a MAC only before what a machine loads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import quote, urlsplit

from netbootd import configfiles, loaders
from netbootd.mac import MAC

MEMDISK = loaders.MEMDISK
#: Another name of the same program: what a site's own DHCP server may call it.
ALIASES = {"undionly.ipxe": "undionly.kpxe"}
#: Every name under which a boot program is kept.
PROGRAMS: frozenset[str] = loaders.NAMES | {MEMDISK}
#: What iPXE asks for by itself beside the file it came from (builds since 2024).
AUTOEXEC = "autoexec.ipxe"
_FIRST_NAMES = frozenset({"boot", "boot.ipxe", AUTOEXEC})
STATUS = "status"
HEALTH = "healthz"
METRICS = "metrics"
UI = "ui"
API = ("api", "v1")
#: Where the extra initrds are.
OVERLAYS = "/overlay/"
_TRITON = "boot.ipxe."
#: Below ``/scripts``: how a node comes to run its script at each boot.
NODE_FILES = frozenset(
    {
        *("netbootd-script", "netbootd-script.service", "netbootd-env"),
        *("netbootd-dracut.sh", "netbootd.xml"),
    }
)
#: The query by which a menu tells what was chosen.
CHOICE = "choice"
#: How the folder begins that is a boot's token, as in ``/install/<mac>/token-<token>/node.cfg``.
_TOKEN = "token-"  # noqa: S105
#: The same behind a path, or behind each of several that stand for one.
_ASKED_WITH = re.compile(r"\?token=[^,]*")
_LEN_MAC = 17  # with something between its octets
_LOADED_BY_MACHINES = PROGRAMS | ALIASES.keys() | {AUTOEXEC}


_IPV4 = re.compile(r"\d+(\.\d+){3}")


class Kind(Enum):
    """What an HTTP path asks for."""

    FIRST = auto()
    SCRIPT = auto()
    STATUS = auto()
    HEALTH = auto()
    METRICS = auto()
    UI = auto()
    API = auto()
    NODE_SCRIPT = auto()
    OVERLAY = auto()
    DONE = auto()
    FAILED = auto()
    VMS = auto()
    MACHINE_VMS = auto()
    FILE = auto()
    NOTHING = auto()


_OF_MACHINES = {
    "scripts": Kind.NODE_SCRIPT,
    "overlay": Kind.OVERLAY,
    "done": Kind.DONE,
    "failed": Kind.FAILED,
}


_NAMES = {
    **dict.fromkeys(_FIRST_NAMES, Kind.FIRST),
    STATUS: Kind.STATUS,
    HEALTH: Kind.HEALTH,
    METRICS: Kind.METRICS,
}


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed HTTP path: *mac* where it names one, *path* for files and the key of a VM."""

    kind: Kind
    mac: MAC | None = None
    path: str = ""


def loader_path(mac: MAC | None, loader: str) -> str:
    """The boot file name that DHCP gives: ``52:54:00:12:34:56/undionly.kpxe``."""
    return f"{mac}/{loader}" if mac else loader


@lru_cache(maxsize=2048)  # each event of a transfer asks, and a storm's machines fetch the same
def split_mac(path: str) -> tuple[MAC | None, str]:
    """
    Undo loader_path: who loads, and what.  A path that begins with no MAC belongs to nobody.

    PXELINUX and U-Boot put the folder that they came from before every name, even one that begins
    with a slash: where a MAC stands behind a doubled slash, what is before that means nothing.
    """
    plain = path.replace("\\", "/")
    before, doubled, behind = plain.rpartition("//")
    if doubled and (mac := _folder_of(behind)) is not None:
        return mac, behind.partition("/")[2]
    if doubled and behind.startswith(OVERLAYS[1:]):
        return _folder_of(before.lstrip("/") + "/"), behind
    first, slash, rest = plain.lstrip("/").partition("/")
    rest = rest.lstrip("/")
    if slash and (mac := _owner(first, rest)):
        return mac, rest
    return None, path


def _folder_of(path: str) -> MAC | None:
    """The MAC that the first folder of *path* is, in a spelling that nothing else has."""
    first, slash, _ = path.partition("/")
    return MAC.maybe(first) if slash and not first.isalnum() else None


def overlay_of(path: str) -> tuple[MAC, str] | None:
    """Whose extra initrd *path* is, and the token with which it is asked for by TFTP, or None."""
    name, _, query = path.replace("\\", "/").lstrip("/").partition("?")
    folder, slash, file = name.partition("/")
    if not slash or f"/{folder}/" != OVERLAYS:
        return None
    mac = MAC.maybe(file.removesuffix(".cpio"))
    return (mac, query.removeprefix("token=")) if mac else None


def _owner(folder: str, rest: str) -> MAC | None:
    """The MAC that *folder* stands for, with *rest* behind it."""
    if folder.isalnum() and rest not in _LOADED_BY_MACHINES:
        return None
    return MAC.maybe(folder)


def is_autoexec(path: str) -> bool:
    """Whether iPXE asks for its start-up script, from whatever folder it was loaded."""
    return path.replace("\\", "/").rpartition("/")[2] == AUTOEXEC


def scripted_mac(path: str) -> MAC | None:
    """
    Whose script ``boot.ipxe.0100259027DBB4`` is.

    Triton's iPXE asks for its own by that name, the hardware type before the MAC
    (https://github.com/TritonDataCenter/sdc-booter), so such a node can be taken over as it is.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    return MAC.maybe(name.removeprefix(_TRITON)) if name.startswith(_TRITON) else None


@lru_cache(maxsize=64)
def base_url(host: str, port: int, *, secure: bool = False) -> str:
    """
    ``http://192.168.1.250:3000``, *secure* with https; the scheme's own port goes without saying,
    IPv6 goes in brackets.
    """
    scheme, usual = ("https", 443) if secure else ("http", 80)
    bracketed = _bracketed(host)
    return f"{scheme}://{bracketed}" if port == usual else f"{scheme}://{bracketed}:{port}"


def tftp_url(host: str, path: str) -> str:
    """``tftp://[2001:db8::1]/52:54:00:12:34:56/ipxe.efi``, as DHCPv6 names a boot file."""
    return f"tftp://{_bracketed(host)}/{quote(path, safe='/:')}"


def _bracketed(host: str) -> str:
    """The scope of a link-local address (``%eth0``) is ours, and means nothing to others."""
    return f"[{host.partition('%')[0]}]" if ":" in host else host


def reachable(base: str, peer: str) -> bool:
    """
    Whether *base* may lead *peer* there: who asks by IPv6 may have no address of IPv4 at all.
    """
    host = urlsplit(base).hostname or ""
    return ":" not in peer or not _IPV4.fullmatch(host)


def first_url(base: str) -> str:
    """Where the first script is."""
    return f"{base}/boot"


def script_url(base: str, mac: MAC | str) -> str:
    """Where a machine's boot script is; *mac* may be an iPXE setting such as ``${netX/mac}``."""
    return f"{base}/boot/{mac}"


def loader_url(base: str, mac: MAC | None, loader: str) -> str:
    """
    A loader for firmware that boots by HTTP.

    The MAC goes with hyphens: colons in a path are legal (RFC 3986, 3.3) but firmware differs.
    """
    return f"{base}/{mac.dashed}/{loader}" if mac else f"{base}/{loader}"


def node_script_url(base: str, mac: MAC, token: str = "") -> str:
    """What the node runs when it is up."""
    return f"{base}/scripts/{mac.dashed}{_query(token)}"


def vms_url(base: str, mac: MAC, token: str = "") -> str:
    """The descriptions of the node's VMs."""
    return f"{base}/machines/{mac.dashed}/vms{_query(token)}"


def overlay_url(base: str, mac: MAC, token: str = "") -> str:
    """The extra initrd of a machine."""
    return f"{base}/overlay/{mac.dashed}.cpio{_query(token)}"


def install_url(base: str, mac: MAC, token: str = "") -> str:
    """
    The folder ``install`` of the file root as one machine sees it.

    A *token* goes into the path, not behind it: installers add names of files to what they are told
    (cloud-init), and look for others relative to it.
    """
    return f"{base}/install/{mac.dashed}{_folder(token)}"


def file_url(base: str, mac: MAC, path: str, token: str = "") -> str:
    """*path*, relative to the file root, as one machine sees it: rendered for it."""
    inside = path.removeprefix("install/")
    if inside != path:
        return f"{install_url(base, mac, token)}/{inside}"
    return f"{base}/{mac.dashed}{_folder(token)}/{path}"


def _folder(token: str) -> str:
    return f"/{_TOKEN}{token}" if token else ""


def without_token(path: str) -> tuple[str, str]:
    """*path* without the folder that is a token, and the token; empty where there is none."""
    if f"/{_TOKEN}" not in path:
        return path, ""
    folders = path.split("/")
    tokens = [folder for folder in folders[:-1] if folder.startswith(_TOKEN)]
    plain = "/".join(one for one in folders[:-1] if not one.startswith(_TOKEN))
    return (f"{plain}/{folders[-1]}", tokens[-1].removeprefix(_TOKEN)) if tokens else (path, "")


def told(path: str) -> str:
    """A *path* of TFTP as logs have it: without a token, of which one path may have several."""
    return _ASKED_WITH.sub("", without_token(path)[0]) if "token" in path else path


def done_url(base: str, mac: MAC, token: str = "") -> str:
    """Where a node says that it is up or installed."""
    return f"{base}/done/{mac.dashed}{_query(token)}"


def failed_url(base: str, mac: MAC, token: str = "") -> str:
    """Where a node says that it is not."""
    return f"{base}/failed/{mac.dashed}{_query(token)}"


def _query(token: str) -> str:
    return f"?token={token}" if token else ""


def scripted(path: str) -> MAC | None:
    """
    Whose script ``route`` takes the *path* for by which iPXE asks for one; None for all others, and
    for scripts in other spellings.  A storm of machines asks for a path each.
    """
    name = path[6:] if path.startswith("/boot/") else path[1:]
    usual = len(name) == _LEN_MAC and name.isprintable() and path[:1] == "/"
    return MAC.maybe(name) if usual else None


def route(segments: Sequence[str]) -> Route:
    """What the decoded, non-empty *segments* of an HTTP path ask for."""
    match list(segments):
        case []:
            return Route(Kind.FIRST)
        case [name] if kind := _NAMES.get(name):
            return Route(kind)
        case [name, *inside] if name == UI:
            return Route(Kind.UI, path="/".join(inside))
        case [first, version, *inside] if (first, version) == API:
            return Route(Kind.API, path="/".join(inside))
        case ["boot", name] if script := _script(name):
            return script
        case ["boot", *inside]:
            configuration = configfiles.parse("/".join(inside)) is not None
            path = "/".join(segments)
            return Route(Kind.FILE, path=path) if configuration else Route(Kind.NOTHING)
        case [word, name] if word in _OF_MACHINES:
            return _of_machine(_OF_MACHINES[word], name)
        case ["vms"]:
            return Route(Kind.VMS)
        case ["vms", name]:
            return Route(Kind.VMS, path=name)
        case ["machines", name, "vms"]:
            mac = MAC.maybe(name)
            return Route(Kind.MACHINE_VMS, mac) if mac else Route(Kind.NOTHING)
        case ["install", name, *inside] if inside and (mac := _owner(name, "/".join(inside))):
            return Route(Kind.FILE, mac, "/".join(("install", *inside)))
        case [name]:
            return _script(name) or Route(Kind.FILE, path=name)
    return _below(segments[0], segments[1:])


def _below(folder: str, inside: Sequence[str]) -> Route:
    """What there is below *folder*, which may be a machine's; pasted before another, see above."""
    rest = "/".join(inside)
    mac = _owner(folder, rest)
    if mac and _folder_of(rest) is not None:
        return _below(inside[0], inside[1:])
    if mac and len(inside) == 2 and f"/{inside[0]}/" == OVERLAYS:
        return _of_machine(Kind.OVERLAY, inside[1])
    if inside[-1] == AUTOEXEC:
        return Route(Kind.FIRST, mac)
    return Route(Kind.FILE, mac, rest if mac else f"{folder}/{rest}")


def _of_machine(kind: Kind, name: str) -> Route:
    if kind is Kind.NODE_SCRIPT and name in NODE_FILES:
        return Route(kind, path=name)
    mac = MAC.maybe(name.removesuffix(".cpio") if kind is Kind.OVERLAY else name)
    return Route(kind, mac) if mac else Route(Kind.NOTHING)


def _script(name: str) -> Route | None:
    mac = MAC.maybe(name)
    return Route(Kind.SCRIPT, mac) if mac else None
