"""
Machines of real firmware in QEMU, and a network card's ROM that does not say that it is iPXE.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.end_to_end.machines import Machine
from tests.end_to_end.packets import Packets
from tests.end_to_end.process import LabError, NotSeenError, Process, now

if TYPE_CHECKING:
    from tests.end_to_end.lab import Lab

# TCG is named explicitly: a /dev/kvm may be there and be of no use, as in many sandboxes.
COMMON = (
    *("-accel", "tcg", "-nodefaults", "-no-user-config", "-no-reboot"),
    *("-display", "none", "-serial", "stdio", "-device", "virtio-rng-pci"),
)


class Node:
    """
    One machine in QEMU, with a capture of everything on its cable.

    *disk*: an image, or a folder seen as FAT, to boot after the network.  *memory*: in MB, where
    the machine's usual does not do.  *rom*: another option ROM for the network card than the
    machine's usual, "" for none.  *mirror* is called with the console's text as it comes.
    """

    def __init__(
        self,
        lab: Lab,
        tap: str,
        mac: str,
        machine: Machine,
        *,
        disk: Path | None = None,
        memory: int | None = None,
        rom: str | None = None,
        mirror: Callable[[str], None] | None = None,
    ) -> None:
        self.lab, self.tap, self.mac = lab, tap, mac
        self.started = now()
        self._qmp = lab.folder / f"{tap}.qmp"
        self._pcap = lab.folder / f"{tap}.pcap"
        self._capture = lab.spawn(
            # Immediate mode, or the last second is lost when it is ended; -s: TFTP and HTTP
            # bodies are not needed, but a whole DHCP packet is.
            *("switch", "tcpdump", "-i", tap, "--immediate-mode", "-U", "-s", "1514"),
            *("-B", "16384", "-Z", "root", "-w", str(self._pcap), "ip"),
        )
        self._capture.wait_for("listening on", 10)
        card = f"virtio-net-pci,netdev=lan,mac={mac},bootindex=1"
        argv = [machine.program, *COMMON, *machine.options]
        argv += ["-qmp", f"unix:{self._qmp},server=on,wait=off"]
        argv += ["-netdev", f"tap,id=lan,ifname={tap},script=no,downscript=no"]
        rom = machine.rom if rom is None else rom
        argv += ["-device", card if rom is None else f"{card},romfile={rom}"]
        if machine.variables:
            store = lab.folder / f"{tap}.vars"
            shutil.copy(machine.variables, store)
            argv += ["-drive", f"if=pflash,format=raw,file={store}"]
        if memory:
            argv += ["-m", str(memory)]
        if disk:
            image = f"fat:{disk}" if disk.is_dir() else disk
            argv += ["-drive", f"if=none,id=disk,format=raw,snapshot=on,file={image}"]
            argv += ["-device", "ide-hd,drive=disk,bootindex=2"]
        self._console = Process(lab.inside("switch", *argv), mirror=mirror)

    @property
    def console(self) -> str:
        """What its serial port has said so far."""
        return self._console.text

    def wait_for(self, pattern: str, timeout: float, *, after: int = 0) -> re.Match[str]:
        """See Process.wait_for.  The failure shows the packets as well as the console."""
        try:
            return self._console.wait_for(pattern, timeout, after=after)
        except NotSeenError as problem:
            raise NotSeenError(f"{problem}\n--- on its cable:\n{self.packets()}") from None

    def type(self, line: str) -> None:
        """Press the keys of *line* and Enter on its serial console."""
        self._console.write(f"{line}\r")

    def packets(self) -> Packets:
        """What has passed on its cable up to now."""
        return Packets(self._pcap.read_bytes())

    def seconds(self) -> float:
        """Since it was powered on."""
        return now() - self.started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The processor stands still, so that its memory can be looked at."""
        with Monitor(self._qmp) as monitor:
            monitor.execute("stop")
            yield
            monitor.execute("cont")

    def close(self) -> None:
        """Power off and pull the cable."""
        self._console.close()
        self._capture.close()
        with contextlib.suppress(LabError):
            self.lab.ip("switch", f"link del {self.tap}")

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Monitor:
    """QEMU's own control socket (QMP), as far as it is needed here."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._file = self._socket.makefile("rw")
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> Any:
        """Its answer; events that come in between are of no interest."""
        self._file.write(json.dumps({"execute": command}) + "\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]
        raise LabError(f"QEMU closed its monitor during {command}")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


# --- a ROM that is not iPXE --------------------------------------------------------------------


# What iPXE adds to its requests that no other ROM sends (its src/net/udp/dhcp.c), and without which
# it is what its own manual calls a PXE ROM: user class, own options, and the wish to be told them.
USER_CLASS = re.compile(rb"\x4d\x04iPXE")
WISHES = re.compile(rb"(?<=[\x80-\x87])\xaf\xcb(?=\xff)")  # 175, 203, end of the template
# dhcppkt_store(packet, 175, features, end - features): mov eax,end; sub eax,features; push eax;
# mov ecx,features; mov edx,175.  With "end" made equal to "features" the option has no content,
# and an option without content is not stored.
FEATURES = re.compile(rb"\xb8(.{4})\x2d(.{4})\x50\xb9\2\xba\xaf\0\0\0", re.DOTALL)
# dhcppkt_store(packet, 175.177, card, 5): push 5; ecx from somewhere; mov edx,0xAFB1.
CARD = re.compile(rb"\x6a\x05(?=.{2,4}\xba\xb1\xaf\0\0)", re.DOTALL)

RAM_TOP = 32 << 20  # iPXE lives at the top of memory, twice: unpacked, and moved from there


def disguise(ram: Path) -> None:
    """
    Make the iPXE in the memory file *ram* behave on the wire like a ROM that is not iPXE.

    Every network card of QEMU carries iPXE for legacy machines, and SeaBIOS has no network code
    of its own; but an iPXE that says so is (rightly) given its script at once, so that the road
    of real cards, ROM to undionly.kpxe to script, would never be tested.  Patched after it has
    unpacked itself and before it sends anything, it asks like the ROM of a real card.

    The patterns fit the builds in Debian 12 (of 2019) and Debian 13 (of 2025).
    Raises LabError if this build of iPXE does not look as expected: better no test than one that
    passes by the wrong road.
    """
    with ram.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        start = len(memory) - RAM_TOP
        patched = {
            "user class": _patch(memory, start, USER_CLASS, lambda _: bytes(6)),
            "parameter list": _patch(memory, start, WISHES, lambda _: b"\x01\x01"),
            "features": _patch(
                memory, start, FEATURES, lambda hit: hit[0].replace(hit[1], hit[2], 1)
            ),
            "network card": _patch(memory, start, CARD, lambda _: b"\x6a\0"),
        }
    if len(set(patched.values())) != 1 or not patched["features"]:
        raise LabError(f"this iPXE ROM is not the one known here; places found: {patched}")


def _patch(
    memory: mmap.mmap, start: int, pattern: re.Pattern[bytes], change: Callable[..., bytes]
) -> int:
    """Put ``change(match)`` in place of each match; their number."""
    hits = list(pattern.finditer(memory, start))  # type: ignore[arg-type]
    for hit in hits:
        memory[hit.start() : hit.end()] = change(hit)
    return len(hits)
