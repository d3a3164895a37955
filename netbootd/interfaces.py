"""
The network interfaces of this host, and word of their changes.  pyroute2 is known only here.

State is always read whole, through pyroute2.  Changes are only *noticed*: the Monitor has a plain
rtnetlink socket of its own and does not look into what it gets.  A message means "read again", and
so does ENOBUFS, by which the kernel says that messages were lost (netlink(7)); there is no
incremental state that could go wrong.  pyroute2's own event interface is not used: since 0.9 it is
an asyncio loop inside, and an overrun ends it.

pyroute2 is imported on first use: it takes 0.1 s beside Twisted and 0.3 s alone, and the commands
that only read the configuration import this module for its values.  No part of it is cheaper to
import: its top, with all that it can do, comes with each.

Sources: rtnetlink(7), netlink(7), netdevice(7), linux/rtnetlink.h.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from typing import Any, NamedTuple

log = logging.getLogger(__name__)
# Its traffic control misses /proc/net/psched where ProcSubset=pid hides it (systemd.exec(5)), and
# says so on import.  It is not used here.
logging.getLogger("pyroute2.netlink.rtnl.tcmsg").setLevel(logging.ERROR)

_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_MAIN_TABLE = 254
_UNICAST = 1  # RTN_UNICAST: a route that leads somewhere, not "unreachable" or "prohibit"
# linux/if_addr.h: temporary, failed in duplicate address detection, deprecated, not yet detected.
_UNUSABLE = 0x01 | 0x08 | 0x20 | 0x40
_MOST_NAMED = 8  # interfaces, in a message
_PERMANENT = 0x80  # written by the administrator, and not learned from a router


@dataclass(frozen=True, slots=True)
class Interface:
    """
    One network interface as it was when read.

    *up* is what the administrator set (IFF_UP); a cable need not be in, since it may be by the time
    a machine asks.  *addresses* are in the kernel's order, primary ones first.  *mac* is its
    hardware address in lower-case hexadecimal with colons, None where it has none.

    *addresses6* are those of IPv6 that last, the link-local one among them: what was written here
    before what was learned from a router, and nothing before the kernel lets us use it.
    """

    name: str
    index: int
    mtu: int
    up: bool
    addresses: tuple[IPv4Interface, ...] = ()
    mac: str | None = None
    loopback: bool = False
    addresses6: tuple[IPv6Interface, ...] = ()

    @property
    def reaches6(self) -> bool:
        """Whether it has an address of IPv6 that means something beyond its own link."""
        return any(not address.is_link_local for address in self.addresses6)


class Network(NamedTuple):
    """All interfaces, and the name of the one with the default route, if there is one."""

    interfaces: tuple[Interface, ...]
    default_route: str | None


class Served(NamedTuple):
    """The interfaces to serve, and of the others that were wanted each name and the reason."""

    interfaces: tuple[Interface, ...]
    unserved: tuple[tuple[str, str], ...]


# --- which of them to serve ----------------------------------------------------------------------


def served(
    interfaces: Sequence[Interface],
    wanted_names: Collection[str],
    boot_server_addresses: Collection[IPv4Address],
    default_name: str | None,
) -> Served:
    """
    The interfaces to serve, by the first of these that says anything.

    The names in the setting; else those that hold an address of a boot server; else the one with
    the default route; else the only one that has an address at all.  An interface that is chosen
    but cannot be served yet has no substitute: it is named with the reason, and may be served
    after the next change.
    """
    unserved: list[tuple[str, str]] = []
    chosen = _chosen(interfaces, wanted_names, boot_server_addresses, default_name, unserved)
    usable = []
    for interface in chosen:
        if reason := _unusable(interface):
            unserved.append((interface.name, reason))
        else:
            usable.append(interface)
    return Served(tuple(usable), tuple(unserved))


def _chosen(
    interfaces: Sequence[Interface],
    wanted_names: Collection[str],
    boot_server_addresses: Collection[IPv4Address],
    default_name: str | None,
    unserved: list[tuple[str, str]],
) -> list[Interface]:
    by_name = {interface.name: interface for interface in interfaces}
    if wanted_names:
        wanted = dict.fromkeys(wanted_names)
        # Those without an address come and go with virtual machines, and each would be news.
        there = sorted(one.name for one in interfaces if one.addresses and not one.loopback)
        told = f"no such interface; there are: {', '.join(there[:_MOST_NAMED]) or 'none'}"
        unserved += [(name, told) for name in wanted if name not in by_name]
        return [by_name[name] for name in wanted if name in by_name]
    outward = [interface for interface in interfaces if not interface.loopback]
    if holding := [one for one in outward if _holds(one, boot_server_addresses)]:
        return holding
    if by_default := [one for one in outward if one.name == default_name]:
        return by_default
    # An admin network of its own often has no way out; where there is no choice, there is no doubt.
    if len(addressed := [one for one in outward if one.addresses]) == 1:
        return addressed
    unserved.append(
        ("default route", "there is none, and no interface has a boot server's address")
    )
    return []


def _holds(interface: Interface, addresses: Collection[IPv4Address]) -> bool:
    return any(address.ip in addresses for address in interface.addresses)


def _unusable(interface: Interface) -> str | None:
    if not interface.up:
        return "is down"
    served = interface.addresses or interface.reaches6
    return None if served else "has no IPv4 address yet"


# --- reading them --------------------------------------------------------------------------------


def read_network() -> Network:
    """
    Interfaces and default route of the network namespace we are in.

    Takes about 3 ms, and 0.25 ms more for each interface.  Raises OSError if the kernel refuses.
    """
    with _route_socket() as route_socket:
        interfaces = _interfaces(route_socket)
        names = {interface.index: interface.name for interface in interfaces}
        return Network(interfaces, _default_route(route_socket, names))


def read_interfaces() -> tuple[Interface, ...]:
    """The interfaces alone; as ``read_network``."""
    with _route_socket() as route_socket:
        return _interfaces(route_socket)


def default_route_interface() -> str | None:
    """The interface with the IPv4 default route of the lowest metric; None if there is none."""
    return read_network().default_route


def _route_socket() -> Any:
    from pyroute2 import IPRoute  # noqa: PLC0415  (see the top of this file)

    return IPRoute()


def _interfaces(route_socket: Any) -> tuple[Interface, ...]:
    addresses: dict[int, list[IPv4Interface]] = {}
    for message in route_socket.get_addr(family=socket.AF_INET):
        addresses.setdefault(message["index"], []).append(_address(message))
    addresses6: dict[int, list[IPv6Interface]] = {}
    of_ipv6 = route_socket.get_addr(family=socket.AF_INET6)
    for message in sorted(of_ipv6, key=lambda one: not _flags(one) & _PERMANENT):
        own = _address6(message)
        if not own.is_loopback and not _flags(message) & _UNUSABLE:
            addresses6.setdefault(message["index"], []).append(own)
    return tuple(
        _interface(
            message,
            addresses.get(message["index"], ()),
            addresses6.get(message["index"], ()),
        )
        for message in route_socket.get_links()
    )


def _interface(
    message: Any, addresses: Iterable[IPv4Interface], addresses6: Iterable[IPv6Interface]
) -> Interface:
    mac = message.get_attr("IFLA_ADDRESS")
    return Interface(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _IFF_UP),
        addresses=tuple(addresses),
        mac=mac if mac and mac.strip("0:") else None,
        loopback=bool(message["flags"] & _IFF_LOOPBACK),
        addresses6=tuple(addresses6),
    )


def _address(message: Any) -> IPv4Interface:
    """IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the peer's (rtnetlink(7))."""
    own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return IPv4Interface(f"{own}/{message['prefixlen']}")


def _address6(message: Any) -> IPv6Interface:
    own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return IPv6Interface(f"{own}/{message['prefixlen']}")


def _flags(message: Any) -> int:
    """Those that do not fit the header's byte are in an attribute."""
    return int(message.get_attr("IFA_FLAGS") or message["flags"])


def _default_route(route_socket: Any, names: dict[int, str]) -> str | None:
    routes = [
        (message.get_attr("RTA_PRIORITY") or 0, names[index])
        for message in route_socket.get_default_routes(socket.AF_INET, _MAIN_TABLE)
        if message["type"] == _UNICAST
        and message.get_attr("RTA_TABLE") == _MAIN_TABLE
        and (index := _outgoing(message)) in names
    ]
    return min(routes, key=lambda route: route[0], default=(0, None))[1]


def _outgoing(message: Any) -> int | None:
    """The interface's index; of a route over several, the first."""
    hops = message.get_attr("RTA_MULTIPATH") or ()
    index: int | None = next((hop["oif"] for hop in hops), message.get_attr("RTA_OIF"))
    return index


# --- word of their changes -----------------------------------------------------------------------

# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100
_ROUTE_MESSAGES = (24, 25)  # RTM_NEWROUTE, RTM_DELROUTE
_MESSAGE_TYPE = slice(4, 6)  # in struct nlmsghdr, in the byte order of the host
_PREFIX_LENGTH = 17  # rtm_dst_len: the second byte of struct rtmsg, behind the 16 of nlmsghdr
_QUIET_S = 0.2  # changes come in flocks: one "ip link set up" sends several messages
_LONGEST_S = 1.0  # and where they never end, this is how long a change may wait
_RETRY_S = 1.0


class Monitor:
    """
    Calls *changed* after the interfaces, their addresses or the default route changed.

    It is called in the Monitor's own thread, without arguments, and only if ``network`` is now
    different; the caller passes something that hops to his own thread and returns.  What was there
    when the Monitor was made is no change.  An interface that vanishes and returns has a new index,
    so this is a change even if all else is the same.

    Raises OSError if the kernel gives us no netlink socket.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._closed = False
        self._socket = _listening_socket()
        self._waker = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll = select.poll()
        for readable in (self._socket.fileno(), self._waker):
            self._poll.register(readable, select.POLLIN)
        self.network = read_network()  # after the socket listens, so that no change falls between
        self._thread = threading.Thread(target=self._run, name="interfaces", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; *changed* is not called again after this returns.  Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        os.eventfd_write(self._waker, 1)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        os.close(self._waker)
        self._socket.close()

    def _run(self) -> None:
        stale = False
        while not self._closed:
            if self._heard(_RETRY_S if stale else None):
                self._settle()
            elif not stale:
                continue
            stale = not self._closed and not self._refreshed()

    def _settle(self) -> None:
        """Wait until no more is heard for a moment, but not for ever."""
        deadline = time.monotonic() + _LONGEST_S
        while not self._closed and (left := deadline - time.monotonic()) > 0:
            if not self._heard(min(left, _QUIET_S)):
                return

    def _heard(self, timeout: float | None) -> bool:
        """Whether within *timeout* seconds (None: for ever) something came that may matter."""
        self._poll.poll(None if timeout is None else timeout * 1000)
        news = False
        while not self._closed:
            try:
                news |= _is_news(self._socket.recv(_PREFIX_LENGTH + 1))
            except BlockingIOError:
                return news
            except OSError:  # ENOBUFS: the kernel had more to say than it could keep
                return True
        return False

    def _refreshed(self) -> bool:
        """Read again and tell of a difference; False if it could not be read."""
        try:
            network = read_network()
        except Exception as problem:  # pyroute2's own kinds, and what a half-gone link leads to
            log.warning("cannot read the interfaces, trying again: %r", problem)
            return False
        if network != self.network:
            self.network = network
            self._tell()
        return True

    def _tell(self) -> None:
        try:
            self._changed()
        except Exception:  # the caller's bug, but the next change must not go unheard
            log.exception("a change of the interfaces could not be passed on")


def _listening_socket() -> socket.socket:
    flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    listening = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
    listening.bind((0, _GROUPS))
    return listening


def _is_news(message: bytes) -> bool:
    """All but the routes to some network: a BGP router tells of those by the thousand."""
    kind = int.from_bytes(message[_MESSAGE_TYPE], sys.byteorder)
    return kind not in _ROUTE_MESSAGES or message[_PREFIX_LENGTH:] == b"\0"
