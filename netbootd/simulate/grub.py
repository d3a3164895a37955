"""
GRUB's part of the walk.

It asks for ``/grub/grub.cfg``, whatever folder it was loaded from (Debian's signed builds; others
have another folder built in).  That one is nobody's, and sends it to that of its own MAC.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from netbootd.mac import MAC
from netbootd.simulate.follow import Leads, Leaves, Loader, Loads, Location, NotFollowed, Plan
from netbootd.simulate.telling import Failed

_FIRST_FILE = "/grub/grub.cfg"
_FIRST_CONTACT = "# netbootd: first contact"
_BY_MAC = re.compile(r"^\s*configfile ('[^']*')\"\$mac\"$", re.MULTILINE)
_DEVICE = re.compile(r"\((tftp|http),([^()]+)\)(/.*)")
_QUOTED = re.compile(r"'[^']*'")
_OWN_DISK = "boots its own disk"
_HARMLESS = frozenset({"insmod", "sleep", "clear", "terminal_output", "export", "true"})


class Grub(Loader):
    """*mac* is the card that it was loaded by."""

    name = "GRUB"
    tftp = {"blksize": "1024", "tsize": "0"}
    agent = "GRUB"
    mac = MAC(bytes(6))

    def run(self, loaded_from: Location, mac: MAC) -> str:
        """GRUB starts, on the card *mac*; how it all ends."""
        self.mac = mac
        at = replace(loaded_from, path=_FIRST_FILE)
        self.tell.step(
            f"The loader starts: it is GRUB, and asks for {at}",
            "A GRUB that was built with another folder asks there.  Whose machine it is does not",
            "show in that name, so it is told to ask by its MAC.",
        )
        return self.follow(at, self.fetch(at))

    def plan(self, text: str, at: Location) -> Plan:
        if text.startswith(_FIRST_CONTACT) and (found := _BY_MAC.search(text)):
            return Leads(_location(f"{shlex.split(found[1])[0]}{self.mac}", at))
        return _Reader(at).plan(iter(text.splitlines()))


class _Reader:
    """Reads one configuration, *at* some place, line by line."""

    def __init__(self, at: Location) -> None:
        self._at = at
        self._kernel: Loads | None = None
        self._said: list[str] = []
        self._entries: list[list[str]] = []
        self._default = "0"

    def plan(self, lines: Iterator[str], *, of_entry: bool = False) -> Plan:
        """What they lead to; the kernel of an entry of a menu boots by itself."""
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if plan := self._line(line, lines):
                return plan
        if self._entries:
            return self._chosen()
        if of_entry and self._kernel:
            return self._kernel
        says = "; ".join(self._said) or "nothing"
        raise Failed(f"the configuration ends without booting; the console says: {says}")

    def _line(self, line: str, lines: Iterator[str]) -> Plan | None:
        if plan := self._condition(line):
            return plan
        match _words(line):
            case ["boot"] if self._kernel:
                return self._kernel
            case ["configfile", file]:
                return Leads(_location(file, self._at))
            case ["linux" | "linuxefi" | "linux16", file, *words]:
                self._kernel = Loads(_location(file, self._at), arguments=" ".join(words))
            case ["initrd" | "initrdefi" | "initrd16", *files] if self._kernel:
                initrds = tuple(_location(file, self._at) for file in files)
                self._kernel = replace(self._kernel, initrds=initrds)
            case ["menuentry", *words] if words and words[-1] == "{":
                self._entries.append(list(_block(lines)))
            case ["echo", *words]:
                self._said.append(" ".join(words))
            case ["set", setting]:
                name, _, value = setting.partition("=")
                self._default = value if name == "default" else self._default
            case [word, *_] if word not in _HARMLESS:
                raise NotFollowed(f"{self._at} has the line {line.strip()!r}")
        return None

    def _condition(self, line: str) -> Plan | None:
        """Ours ask something for the disk and in a notice, which both say so before."""
        if line.split(maxsplit=1)[0] not in ("if", "for", "while", "until", "function"):
            return None
        if self._said and self._said[-1].endswith(_OWN_DISK):
            return Leaves("GRUB starts the machine's own disk, or leaves to the next boot device.")
        if line.startswith("if sleep --interruptible"):
            raise Failed(f"the console says: {'; '.join(self._said)}")
        raise NotFollowed(f"{self._at} has the line {line.strip()!r}")

    def _chosen(self) -> Plan:
        """Nobody chooses, so the default is taken."""
        if not self._default.isdecimal() or int(self._default) >= len(self._entries):
            raise NotFollowed(f"{self._at} has a menu, and its default is {self._default!r}")
        return _Reader(self._at).plan(iter(self._entries[int(self._default)]), of_entry=True)


def _block(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == "}":
            return
        yield line


def _words(line: str) -> list[str]:
    """The words of *line*; raises NotFollowed where something in it means more than itself."""
    if set("$;&|") & set(_QUOTED.sub("", line)):
        raise NotFollowed(f"its configuration has the line {line.strip()!r}")
    try:
        return shlex.split(line)
    except ValueError:
        raise NotFollowed(f"its configuration has the line {line.strip()!r}") from None


def _location(file: str, at: Location) -> Location:
    """Where GRUB finds *file*, which a configuration *at* some place names."""
    if found := _DEVICE.fullmatch(file):
        return Location(found[1], found[2], found[3])
    if file.startswith("/"):
        return replace(at, path=file)
    raise NotFollowed(f"{at} names the file {file!r}")
