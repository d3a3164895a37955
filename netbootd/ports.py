"""
Who has a port that we need, in words for the operator.

The way of ``ss -p``: the socket tables in ``/proc/net`` name an inode and a user, and the process
is the one with a descriptor that links to ``socket:[inode]``.  Descriptors of other users'
processes are seen by root only.  As a service we are not root, so there the text names the user
and the command that shows the rest.  A daemon that root has started looks before it is somebody
else (``look_ahead``).

Seen is only the network namespace we are in, and not the interface a socket is bound to: two
sockets on one port but on different interfaces do not disturb each other, and this module is asked
after a bind has failed.

Sources: proc(5); Documentation/networking/proc_net_tcp.rst of Linux; the programs' own manuals.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

Protocol = Literal["udp", "tcp"]
Address = IPv4Address | IPv6Address

_PROC = Path("/proc")
_LISTEN = "0A"  # TCP_LISTEN; other states of TCP stop nobody who binds with SO_REUSEADDR
_INIT = 1
_DHCP = 67
_UNMAPPED = 65534  # in the tables, whoever our user namespace does not know

#: What else to do than to stop it, by the name of the command.
_ADVICE = {
    "dnsmasq": "give it other interfaces (dnsmasq: bind-dynamic / except-interface=)",
    "dhcpd": "let it name the boot file itself (dhcpd.conf: next-server, filename)",
    "dhcrelay": "let it run on another host",
    "kea-dhcp4": "let it name the boot file itself (Kea: next-server, boot-file-name)",
    "systemd-networkd": "turn its DHCP server off (DHCPServer=no in the .network file)",
    "in.tftpd": "give it another address (TFTP_ADDRESS in /etc/default/tftpd-hpa)",
    "atftpd": "give it another address (--bind-address in /etc/default/atftpd)",
    "inetd": "take the line out of /etc/inetd.conf",
    "xinetd": "set disable = yes in its file in /etc/xinetd.d",
    "nginx": "give it another address or port (nginx: listen)",
    "apache2": "give it another address or port (Listen in /etc/apache2/ports.conf)",
    "httpd": "give it another address or port (Listen in httpd.conf)",
    "systemd": "disable the socket unit (systemctl list-sockets)",
}
#: What root has seen: the process of each socket, by the socket's inode.  It keeps the number.
_SEEN: dict[int, int] = {}
#: The kernel keeps 15 characters of a name (TASK_COMM_LEN in proc(5)).
_LONG_NAMES = {"systemd-network": "systemd-networkd", "systemd-resolve": "systemd-resolved"}


@dataclass(frozen=True, slots=True)
class Owner:
    """
    Who has a port: *address* as bound, *user* whose socket it is.

    *pid* is None, and *command* empty, where the process may not be seen; *user* is empty where a
    user namespace hides him.
    """

    address: Address
    user: str
    pid: int | None = None
    command: str = ""


class _Socket(NamedTuple):
    """A line of a socket table."""

    address: Address
    port: int
    state: str
    uid: int
    inode: int


def explain_taken(
    protocol: Protocol, port: int, address: str | None, setting: str, proc: Path = _PROC
) -> str:
    """
    One sentence: who has the port that we could not bind on *address* (None: any), and what to do.

    *setting* is ours in section ``netbootd``; if its name ends in "port" another number may be
    chosen, else it can be false.  Looks through every process, up to 0.1 s on a busy host.
    """
    owner = owner_of(protocol, port, address, proc)
    where = owner.address if owner else address or "0.0.0.0"
    ways = [*_their_ways(owner), *_our_ways(setting, port, owner)]
    who = _who(owner, _search(protocol, port))
    choice = ", ".join(ways[:-1]) + (", or " if len(ways) > 2 else " or ") + ways[-1]
    return f"{protocol.upper()} port {port} on {where} is held by {who}: {choice}"


def holder_of(protocol: Protocol, port: int, proc: Path = _PROC) -> str:
    """Who has the port, as ``kea-dhcp4 (pid 12)``; empty where nobody has."""
    owner = owner_of(protocol, port, None, proc)
    return _who(owner, _search(protocol, port)) if owner else ""


def look_ahead(numbers: Iterable[int], proc: Path = _PROC) -> None:
    """While we are root: find the processes that have one of the ports *numbers*, for later."""
    wanted = set(numbers)
    sockets = [*_sockets("udp", proc), *_sockets("tcp", proc)]
    if inodes := {one.inode for one in sockets if one.port in wanted}:
        _SEEN.update(_holders(inodes, proc))


def owner_of(
    protocol: Protocol, port: int, address: str | None, proc: Path = _PROC
) -> Owner | None:
    """
    Who keeps us from binding *port* on *address* (None: on any); None if nobody does.

    Of several the nearest: another process before ourselves, then the very address, then IPv4.
    """
    asked = ip_address(address) if address else None
    taken = [one for one in _sockets(protocol, proc) if _is_in_the_way(one, protocol, port, asked)]
    if not taken:
        return None
    holders = {**_SEEN, **_holders({one.inode for one in taken}, proc)}
    nearest = min(
        taken,
        key=lambda one: (
            holders.get(one.inode) == os.getpid(),
            one.address != asked,
            one.address.version,
        ),
    )
    pid = holders.get(nearest.inode)
    command = _command(proc / str(pid)) if pid else ""
    return Owner(nearest.address, _user(nearest.uid, proc), pid, command)


# --- words ---------------------------------------------------------------------------------------


def _who(owner: Owner | None, search: str) -> str:
    if owner and owner.pid == os.getpid():
        return "this netbootd itself"
    if owner and owner.pid:
        return f"{owner.command} (pid {owner.pid})"
    whose = f" of user {owner.user}" if owner and owner.user else ""
    return f'another process{whose} (run "{search}" as root to see which)'


def _search(protocol: Protocol, port: int) -> str:
    return f"ss -{protocol[0]}lnp sport = :{port}"


def _their_ways(owner: Owner | None) -> Iterator[str]:
    if owner and owner.pid == os.getpid():
        yield "name each port once"
        return
    yield "stop it"
    if owner and owner.command in _ADVICE:
        yield _ADVICE[owner.command]


def _our_ways(setting: str, port: int, owner: Owner | None) -> Iterator[str]:
    if setting.endswith("port"):
        yield f'choose another with "{setting}" in section netbootd'
        return
    if setting == "dhcp":
        yield 'leave the addresses to it, with "dhcp": "proxy" for this subnet or interface'
        return
    if port == _DHCP and not (owner and owner.pid == os.getpid()):
        yield 'share it with "proxydhcp": {"mode": "snoop"}, and packet sockets (CAP_NET_RAW)'
    yield f'turn our part off with "{setting}": false in section netbootd'


def _user(uid: int, proc: Path) -> str:
    """His name; empty where he is one of those whom our user namespace does not know."""
    if uid == _UNMAPPED and not _knows_everybody(proc):
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _knows_everybody(proc: Path) -> bool:
    """Whether we see users by their real numbers (user_namespaces(7))."""
    try:
        return (proc / "self" / "uid_map").read_text().split() == ["0", "0", str(2**32 - 1)]
    except OSError:
        return True


# --- sockets -------------------------------------------------------------------------------------


def _sockets(protocol: Protocol, proc: Path) -> Iterator[_Socket]:
    """Every line of the tables of both IP versions; without IPv6 there is one."""
    for table in (protocol, f"{protocol}6"):
        try:
            lines = (proc / "self" / "net" / table).read_text().splitlines()
        except OSError:
            continue
        yield from map(_socket, lines[1:])


def _socket(line: str) -> _Socket:
    fields = line.split()
    address, _, port = fields[1].partition(":")
    return _Socket(_address(address), int(port, 16), fields[3], int(fields[7]), int(fields[9]))


def _address(digits: str) -> Address:
    """The kernel prints words of 32 bits as the host holds them, which may be backwards."""
    words = bytes.fromhex(digits)
    if sys.byteorder == "little":
        words = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    if len(words) == 4:
        return IPv4Address(words)
    address = IPv6Address(words)
    return address.ipv4_mapped or address


def _is_in_the_way(one: _Socket, protocol: Protocol, port: int, asked: Address | None) -> bool:
    if one.port != port or (protocol == "tcp" and one.state != _LISTEN):
        return False
    return asked is None or _overlap(one.address, asked)


def _overlap(bound: Address, asked: Address) -> bool:
    """Whether both cannot be bound; ``::`` usually takes IPv4 as well (ipv6(7), IPV6_V6ONLY)."""
    if bound.version == asked.version:
        return bound == asked or bound.is_unspecified or asked.is_unspecified
    six = bound if bound.version == 6 else asked
    return six.is_unspecified


# --- processes -----------------------------------------------------------------------------------


def _holders(inodes: set[int], proc: Path) -> dict[int, int]:
    """
    The pid for each socket whose process we may see.

    Of several that share it, the lowest: the master of its workers.  But systemd comes last, since
    it keeps the sockets it has handed to a service.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for pid in sorted(_pids(proc), key=lambda pid: (pid == _INIT, pid)):
        for link in _links(proc / str(pid) / "fd"):
            if link in wanted:
                found.setdefault(wanted[link], pid)
    return found


def _pids(proc: Path) -> Iterable[int]:
    return (int(name) for name in os.listdir(proc) if name.isdecimal())


def _links(folder: Path) -> Iterator[str]:
    """What the descriptors in *folder* lead to; none if it is not ours to see, or gone."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with suppress(OSError):  # closed meanwhile
            yield os.readlink(folder / name)


def _command(process: Path) -> str:
    """The program's name; of a Python program the script's or module's."""
    try:
        name = (process / "comm").read_text(errors="replace").strip()
        arguments = (process / "cmdline").read_text(errors="replace").split("\0")
    except OSError:  # it ended this moment
        return "a process that has just ended"
    if name.startswith("python"):
        name = _script(arguments) or name
    return _LONG_NAMES.get(name) or "".join(c if c.isprintable() else "?" for c in name)


def _script(arguments: list[str]) -> str:
    """``netbootd`` of ``python3 -m netbootd run`` and of ``python3 /usr/bin/netbootd run``."""
    for option, argument in pairwise(arguments):
        if option == "-m":
            return argument
        if not argument.startswith("-"):
            return "" if option in ("-c", "-W", "-X") else Path(argument).name
    return ""
