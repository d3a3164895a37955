"""
What a target boots, in words that any loader understands.

A boot script says it in iPXE's language; what other loaders read is made from this.  Both come from
the same values.  Locations are absolute URLs, as iPXE gets them: those that begin with
``Facts.base`` are on our own server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from netbootd.mac import MAC

#: iPXE's names for the MAC of the card that boots, and how it is to be spelt.
_OWN_MAC = re.compile(r"\$\{(?:net[0-9X]+/)?(?:mac|hwaddr)(?::(hexhyp|hexraw))?\}")
_SETTING = re.compile(r"\$\{[^}]*\}?")


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    A kernel, its initrds in order, and its words.

    *bios_only*: it is a program for legacy BIOS, such as memdisk.
    """

    url: str
    initrds: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    bios_only: bool = False

    @property
    def says(self) -> str:
        """Everything that the machine is told to fetch, as one text."""
        return " ".join((self.url, *self.initrds, *self.args))


@dataclass(frozen=True, slots=True)
class Disk:
    """
    The machine's own disk.

    How BIOS and UEFI start it: ``exit``, ``sanboot`` (the loader starts it itself), a path on the
    disk with backslashes, or the URL of a loader.
    """

    bios: str
    efi: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a menu; *number* is sent back when it is chosen, *key* picks it or is empty."""

    number: int
    label: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """A menu: after *timeout* seconds the line *default* is taken, with None never."""

    lines: tuple[Line, ...]
    default: int
    timeout: float | None
    says: str = ""


@dataclass(frozen=True, slots=True)
class OnlyIpxe:
    """No other loader can do it; *reason* is for whoever stands before the machine."""

    reason: str


Plan = Kernel | Disk | Choices | OnlyIpxe


def without_settings(words: Iterable[str], mac: MAC) -> tuple[str, ...]:
    """
    *words* with the settings filled in that iPXE would, as far as we know them: the card's MAC.

    Raises ValueError with the first of those we do not know.
    """
    spelt = {"hexhyp": mac.dashed, "hexraw": mac.raw, None: str(mac)}
    filled = tuple(_OWN_MAC.sub(lambda match: spelt[match[1]], word) for word in words)
    for word in filled:
        if match := _SETTING.search(word):
            raise ValueError(match[0])
    return filled
