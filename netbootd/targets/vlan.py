"""
Variable ``vlan`` of a machine: the VLAN (IEEE 802.1Q) from which it boots, once iPXE runs.

Firmware mostly knows no tags, so it boots from the port's native VLAN; iPXE then changes over
(``vlan.ipxe``), and so does what reads the root file system, where its words for that are known:

===========  =====================================================================================
``dracut``   ``ifname=netboot:MAC vlan=netboot.20:netboot ip=netboot.20:dhcp bootdev=netboot.20``
             (dracut.cmdline(7)); anaconda is a dracut
``linuxrc``  ``vlanid=20`` (openSUSE/linuxrc, file.c)
===========  =====================================================================================

Debian's initramfs-tools, live-boot and installer have none, and the kernel's own ``ip=`` neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from netbootd.errors import RenderError
from netbootd.mac import MAC

VARIABLE = "vlan"
#: What a script includes to change over.
TEMPLATE = "vlan.ipxe"
#: IEEE 802.1Q: 0 and 4095 are reserved.
_LEAST, _MOST = 1, 4094
_CARD = "netboot"
#: How a kernel configures its first card, such as ``ip=dhcp``: for the VLAN instead.
_METHODS = frozenset({"dhcp", "dhcp4", "dhcp6", "on", "any", "auto6", "either6"})


class NoVlan(RenderError):
    """``vlan`` is no number of one."""


def tag(variables: Mapping[str, Any]) -> int | None:
    """The machine's VLAN, None without one; raises NoVlan."""
    value = variables.get(VARIABLE)
    if value is None or value is False:
        return None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,4}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST <= value <= _MOST:
        raise NoVlan(f'"vlan" must be a number from {_LEAST} to {_MOST}, not {value!r:.40}')
    return value


def entered(template: str, variables: Mapping[str, Any]) -> bool:
    """Whether a script made of *template*, its text, changes over to a VLAN of *variables*."""
    try:
        return tag(variables) is not None and TEMPLATE in template
    except RenderError:  # which the script tells
        return False


def tagged(args: Iterable[str], reader: str, number: int | None, mac: MAC) -> tuple[str, ...]:
    """
    *args* for a machine in VLAN *number*, where *reader* (``dracut``, ``linuxrc``) has words for
    it; *mac* is the card it boots from.

    An author who wrote ``vlan=`` or ``vlanid=`` has decided.
    """
    words = tuple(args)
    if number is None or says(words):
        return words
    if reader == "linuxrc":
        return (f"vlanid={number}", *words)
    if reader != "dracut":
        return words
    device = f"{_CARD}.{number}"
    methods = [word for word in words if _is_method(word)]
    ip = f"ip={device}:{methods[0].partition('=')[2] if methods else 'dhcp'}"
    own = (f"ifname={_CARD}:{mac}", f"vlan={device}:{_CARD}", ip, f"bootdev={device}")
    left = [word for word in words if word not in methods and not word.startswith("BOOTIF=")]
    return (*own, *left)


def says(words: Iterable[str]) -> bool:
    """Whether *words* name a VLAN themselves."""
    return any(word.startswith(("vlan=", "vlanid=")) for word in words)


def _is_method(word: str) -> bool:
    name, _, value = word.partition("=")
    return name == "ip" and value in _METHODS
