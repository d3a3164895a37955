"""
The part of a Raspberry Pi's firmware: it fetches all by names of its own, in a folder of its own.

https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#network-booting
"""

from __future__ import annotations

from netbootd.simulate import formats
from netbootd.simulate.follow import Loader, Loads, Location, NotFollowed, Plan
from netbootd.simulate.network import File, Unreachable
from netbootd.simulate.telling import Failed

#: Of model 4, and of those before.
_STARTS = ("start4.elf", "start.elf")
_NOT_FOLLOWED = ("include ", "os_prefix=", "overlay_prefix=", "[")


class RaspberryPi(Loader):
    """*folder* is named after its serial number, on *server*."""

    name = "The firmware of the Raspberry Pi"
    tftp = {"tsize": "0", "blksize": "1468"}
    agent = "Raspberry Pi"
    server = ""
    folder = ""
    _cmdline = ""

    def run(self, server: str, folder: str) -> str:
        """It has got its offer; how it all ends."""
        self.server, self.folder = server, folder
        at = self._at("config.txt")
        self.tell.step(
            f"The firmware of the Raspberry Pi asks for {at}",
            "The folder is the last eight digits of its serial number.  Where it finds nothing in",
            "it, it goes on in its boot order.",
        )
        try:
            config = self.fetch(at)
        except Unreachable as problem:
            raise Failed(
                f"it finds nothing to boot, and goes on in its boot order: {problem}"
            ) from None
        self._look_for_start()
        cmdline = self._at("cmdline.txt")
        self.tell.step(f"It asks for {cmdline}, the arguments of the kernel")
        self._cmdline = self.fetch(cmdline).head.decode(errors="replace").strip()
        self.tell.step(f"It reads {at}")
        return self.follow(at, config)

    def _look_for_start(self) -> None:
        self.tell.step(f"It asks for {' or '.join(_STARTS)}, the rest of the firmware")
        for name in _STARTS:
            try:
                file: File = self.fetch(self._at(name))
            except Unreachable as problem:
                self.tell.detail("not there", f"{name}: {problem}")
            else:
                self.tell.detail("found", name)
                self.tell.file(file)
                return
        self.tell.leave_unchecked(
            f"whether it is a Raspberry Pi 5, which needs none: an older one wants {_STARTS[0]}"
        )

    def plan(self, text: str, at: Location) -> Plan:
        named = {"kernel": "", "device_tree": ""}
        initrds: tuple[Location, ...] = ()
        for line in (one.strip() for one in text.splitlines()):
            if line.startswith(_NOT_FOLLOWED) and line != "[all]":
                raise NotFollowed(f"{at} has the line {line!r}")
            key, _, value = line.partition("=")
            if key in named:
                named[key] = value.strip()
            elif line.startswith("initramfs "):
                initrds = tuple(self._at(name) for name in line.split()[1].split(","))
        if not named["kernel"]:
            raise NotFollowed(f"{at} names no kernel, so its name depends on the model")
        trees = (self._at(named["device_tree"]),) if named["device_tree"] else ()
        return Loads(self._at(named["kernel"]), initrds, trees, self._cmdline)

    def check_kernel(self, head: bytes) -> str:
        return formats.image(head)

    def _at(self, name: str) -> Location:
        return Location("tftp", self.server, f"{self.folder}/{name}")
