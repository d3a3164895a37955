"""
Which card has an address of our own networks, as the kernel's neighbour table has it now, and by
which interface an address is reached without a router.

pyroute2's other door.  One question is one lookup of a route and one of an entry, not the whole
table: a millisecond, most of it for the socket, and for a thread.  Nothing is kept: what was true a
minute ago proves nothing.

Whoever opened a TCP connection to us is in the table, since our answers had to find the way; unless
it is behind a router or a proxy, whose card would prove nothing of whom it speaks for.

Sources: rtnetlink(7), linux/neighbour.h, net/core/neighbour.c (neigh_get).
"""

from __future__ import annotations

import errno
import socket
from typing import Any, NamedTuple

from netbootd.mac import MAC

_NOBODY = "the kernel has no card for it in its neighbour table"
#: linux/neighbour.h: reachable, stale, delay, probe, permanent.  Not those that were never resolved
#: (incomplete), did not answer (failed), or have no link layer (noarp, as on lo).
_RESOLVED = 0x02 | 0x04 | 0x08 | 0x10 | 0x80
_UNICAST = 1  # linux/rtnetlink.h: RTN_UNICAST
_INFINIBAND = 20  # octets of a link-layer address of IPoIB (RFC 4391, section 9.1.1)


class Tie(NamedTuple):
    """The *card* that has an address; None where nobody can tell, and then *why* not."""

    card: MAC | None
    why: str = ""


def card_at(address: str) -> Tie:
    """Who has *address*, one of IPv4 or IPv6 (``fe80::1%eth0`` too)."""
    host, _, scope = address.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        index = socket.if_nametoindex(scope) if scope else 0
        with _route_socket() as kernel:
            return _tie(kernel, host, family, index)
    except Exception as problem:  # pyroute2 has kinds of its own, for what the kernel says
        if getattr(problem, "code", 0) == errno.ENOENT:
            return Tie(None, _NOBODY)
        return Tie(None, f"the kernel was asked for its neighbour {address} in vain: {problem}")


def interface_to(address: str) -> str:
    """
    The interface by which *address* is reached without a router; empty where there is one between.

    A route may say so of networks in which we have no address.  Takes a millisecond.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _route_socket() as kernel:
        try:
            route = kernel.route("get", dst=address, family=family)[0]
        except Exception as problem:  # as above: no route at all
            if hasattr(problem, "code"):
                return ""
            raise
    if route["type"] != _UNICAST or _is_routed(route):
        return ""
    return socket.if_indextoname(route.get_attr("RTA_OIF"))


def _is_routed(route: Any) -> bool:
    return bool(route.get_attr("RTA_GATEWAY") or route.get_attr("RTA_VIA"))


def _route_socket() -> Any:
    from pyroute2 import IPRoute  # noqa: PLC0415  0.3 s

    return IPRoute()


def _tie(kernel: Any, host: str, family: int, index: int) -> Tie:
    if not index:
        route = kernel.route("get", dst=host, family=family)[0]
        if _is_routed(route):
            gateway = route.get_attr("RTA_GATEWAY")
            return Tie(None, f"it is behind {f'the router {gateway}' if gateway else 'a router'}")
        index = route.get_attr("RTA_OIF")
    # Without NLM_F_DUMP the kernel gives the one entry, or ENOENT (since Linux 5.0).
    entry = kernel.neigh("get", dst=host, ifindex=index, family=family)[0]
    octets = entry.get_attr("NDA_LLADDR") if entry["state"] & _RESOLVED else None
    card = card_of(octets) if octets else None
    return Tie(card) if card else Tie(None, _NOBODY)


def card_of(link_address: str) -> MAC | None:
    """
    The MAC that a link-layer address in hexadecimal is; None for what is nobody's.

    Of IPoIB the one made of its port's GUID, as iPXE makes it (ipxe/ipxe src/drivers/net/ipoib.c).
    """
    octets = link_address.split(":")
    if len(octets) == _INFINIBAND:
        guid = octets[-8:]
        octets = [*guid[:3], *guid[5:]]
    found = MAC.maybe(":".join(octets))
    return found if found is not None and found.reserved is None else None
