"""
A machine of the registry: its MAC, what it boots, and the free data its admin wrote beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any

from netbootd.errors import Place
from netbootd.loaders import NO_CHOICE, Choice
from netbootd.mac import MAC
from netbootd.targets.base import Target

#: A hundred thousand addresses are looked up in half the time that it takes to parse them.
_OCTETS = {str(number): number for number in range(256)}


@dataclass(frozen=True, slots=True)
class Machine:
    """
    One entry, defaults, groups and inheritance resolved.

    *mac* is the card that asks; None for ``machines.default`` and wildcards, and for a machine
    listed without a MAC, until one of them stands for a client.  *known* is False for a machine
    that got the default because the file does not name it.  *variables* are the keys that are not
    the target's: ``hostname``, ``ip``, ``label`` and whatever else was written.  *scripts*,
    *overlays* and *vms* are the names it adds to what its target brings.

    *written* is the entry's key as it stands in the file, *named* the same where that is a free
    name, *macs* all its cards, and *groups* those it is in, the one that wins first.  *loader* is
    what its firmware loads, as it or a group says it; *reply_style* how a proxy tells it.  Each is
    empty where nobody chose.

    *address* is its ``ip`` where that is an address of IPv4: nobody else is given it.
    *own_options* are the DHCP options that it or a group says, encoded, by code.  *own_priority* is
    what it or a group says of its turn in a storm, None where neither does; *own_secret*: one of
    them says that it is.
    """

    mac: MAC | None
    target: Target
    place: Place = field(compare=False)
    known: bool = True
    variables: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    vms: tuple[str, ...] = ()
    written: str = field(default="", compare=False)
    named: str = ""
    macs: tuple[MAC, ...] = ()
    groups: tuple[str, ...] = field(default=(), compare=False)
    loader: Choice = NO_CHOICE
    reply_style: str = ""
    address: IPv4Address | None = None
    own_options: Mapping[int, bytes] = field(default_factory=dict)
    own_priority: int | None = None
    own_secret: bool = False

    @property
    def dhcp_options(self) -> Mapping[int, bytes]:
        """The DHCP options that it, a group or its target says, the first of these that does."""
        of_target = self.target.common.dhcp_options
        return {**of_target, **self.own_options} if of_target else self.own_options

    @property
    def priority(self) -> int:
        """Whose turn comes first in a storm: the higher number's."""
        own = self.own_priority
        return self.target.common.priority if own is None else own

    @property
    def secret(self) -> bool:
        """Whether what is made for it is given once, and to it alone."""
        return self.own_secret or self.target.common.secret

    @property
    def title(self) -> str:
        """``nfs/Centos6.2_x64``."""
        return self.target.title

    @property
    def key(self) -> str:
        """
        What is remembered about a machine is kept under this: its name, or its entry's own MAC.

        A machine that got the default or a wildcard is told from others by the MAC it asks with.
        """
        if self.named:
            return self.named
        mac = self.macs[0] if self.macs else self.mac
        return mac.hex(":") if mac else ""

    def for_card(self, mac: MAC) -> Machine:
        """The same entry as a client with *mac* gets it."""
        return self if mac == self.mac else replace(self, mac=mac)

    def for_stranger(self, mac: MAC) -> Machine:
        """The default entry as *mac*, which has none of its own, gets it."""
        return replace(self, mac=mac, known=False)

    def booting(self, target: Target) -> Machine:
        """The same machine with the *target* that counts now."""
        return self if target is self.target else replace(self, target=target)


def address_of(ip: Any) -> IPv4Address | None:
    """What ``ip`` says, with or without a prefix (``10.1.0.5/24``); None where it is no address."""
    if not isinstance(ip, str):
        return None
    try:
        return IPv4Address(bytes([_OCTETS[octet] for octet in ip.split(".")]))
    except (KeyError, ValueError):  # not as nearly all write it
        pass
    try:
        return IPv4Address(ip.partition("/")[0].strip())
    except ValueError:
        return None
