"""
The name that a client is known by: its machine's, else its own word, in option 12 or option 81
(RFC 4702), where that is a name that it may have (``leases/names``).
"""

from __future__ import annotations

from netbootd.dhcp.asking import Asking
from netbootd.dhcp.message import Message, Option
from netbootd.leases import names
from netbootd.leases.lease import Lease
from netbootd.registry import hostnames

_ENCODED = 0x04  # option 81's flag E: the name is in DNS's own encoding
_BEFORE_NAME = 3  # octets of option 81: flags, and two that mean nothing any more


def name_of(asking: Asking, lease: Lease) -> str:
    """The first label of the name, in lower case, for a *lease* to be; empty for none."""
    if own := hostnames.own_label(asking.machine):
        return own
    request = asking.request
    said = hostnames.label(request.text(Option.HOST_NAME)) or hostnames.label(_told(request))
    return names.given(said, lease, asking.registry, asking.leases, asking.now) if said else ""


def _told(request: Message) -> str:
    """What option 81 says."""
    said = request.options.get(Option.CLIENT_NAME, b"")
    flags, name = said[:1], said[_BEFORE_NAME:]
    if flags and flags[0] & _ENCODED:
        name = name[1 : 1 + name[0]] if name else b""
    return name.decode("latin-1")
