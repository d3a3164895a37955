"""
Which pools are for a client: by what its relay says of it, what it says itself, and whether it is
listed (``addressing.Match``).
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from netbootd.addressing import EVERYBODY, Match, Pool
from netbootd.dhcp.asking import Asking
from netbootd.registry.subnets import Subnet


def pools_for(asking: Asking, subnet: Subnet) -> list[Pool]:
    """Those of *subnet* that the client may have an address of, in the order of the file."""
    pools = asking.prepared.ground(subnet).pools
    return [pool for pool in pools if matches(asking, pool.match)]


def matches(asking: Asking, match: Match) -> bool:
    """Whether *match* is about the client."""
    if match is EVERYBODY:
        return True
    if match.listed is not None and match.listed != (asking.machine is not None):
        return False
    request, relay = asking.request, asking.relay
    return (
        _fits(match.circuit_id, (relay.circuit if relay else "",))
        and _fits(match.remote_id, (relay.remote if relay else "",))
        and _fits(match.vendor_class, (request.vendor_class,))
        and _fits(match.user_class, request.user_classes)
    )


def _fits(pattern: str, words: Iterable[str]) -> bool:
    return not pattern or any(fnmatchcase(word, pattern) for word in words)
