"""What runs on the machine from the loader on: which that is, and that it goes on as it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netbootd import secureboot
from netbootd.errors import NetbootdError
from netbootd.mac import MAC
from netbootd.simulate import formats
from netbootd.simulate.firmware import Firmware
from netbootd.simulate.follow import Location, NotFollowed
from netbootd.simulate.grub import Grub
from netbootd.simulate.ipxe import Ipxe
from netbootd.simulate.loaded import Kind, kind_of, second_stage
from netbootd.simulate.network import File, Network, Unreachable
from netbootd.simulate.pxelinux import Petitboot, PxeLinux, UBoot
from netbootd.simulate.raspberrypi import RaspberryPi
from netbootd.simulate.script import settings_of
from netbootd.simulate.telling import Failed, Telling

FIRMWARE_AGENT = "UefiHttpBoot/1.0"
#: Firmware that reads a configuration without any loader, by its architecture family.
BY_THEMSELVES = {"uboot-arm32": UBoot, "uboot-arm64": UBoot, "opal": Petitboot}
_SHIMS_TFTP = {"blksize": "512", "windowsize": "4"}


class Machine:
    """The machine with the card *mac* and that *firmware*, at its *address*."""

    def __init__(
        self, network: Network, firmware: Firmware, mac: MAC, address: str, tell: Telling
    ) -> None:
        self._network = network
        self._firmware = firmware
        self._mac = mac
        self._address = address
        self._tell = tell

    def by_itself(self, server: str) -> str:
        """Firmware of BY_THEMSELVES goes on at *server*; how it all ends."""
        reader = BY_THEMSELVES[self._firmware.arch.family]
        loader = reader(self._network, self._firmware.arch, self._tell)
        return loader.go(server, self._mac, self._firmware.uuid(self._mac), self._address)

    def pi(self, server: str) -> str:
        """A Raspberry Pi goes on at *server*; how it all ends."""
        loader = RaspberryPi(self._network, self._firmware.arch, self._tell)
        return loader.run(server, self._firmware.pi_serial(self._mac))

    def ipxe(self, url: str, *, secure: bool = False) -> str:
        """An iPXE goes on with its script at *url*; how it all ends."""
        arch, marks = self._firmware.arch, self._firmware.marks
        settings = settings_of(self._mac, arch.platform, arch.cpu, self._address, marks)
        return Ipxe(self._network, arch, self._tell, secure=secure).run(url, settings)

    def loaded(
        self, at: Location, file: File, script_url: Callable[[], str], *, secure: bool = False
    ) -> str:
        """
        The loader *file* starts, which came from *at*; how it all ends.

        *script_url* asks DHCP where an iPXE finds its script; *secure*: a shim has started it.
        """
        arch, name = self._firmware.arch, at.path.rpartition("/")[2]
        match kind_of(at.path, file.head):
            case Kind.IPXE:
                return self.ipxe(script_url(), secure=secure)
            case Kind.SHIM if not secure:
                return self.loaded(*self._second_stage(at), script_url, secure=True)
            case Kind.GRUB:
                self._look_at_grub(at, file)
                return Grub(self._network, arch, self._tell, secure=secure).run(at, self._mac)
            case Kind.PXELINUX:
                loader = PxeLinux(self._network, arch, self._tell, secure=secure)
                uuid = self._firmware.uuid(self._mac)
                return loader.run(at, self._mac, uuid, self._address)
        raise NotFollowed(f"{name} is no loader that is known here")

    def _look_at_grub(self, at: Location, file: File) -> None:
        if told := secureboot.old_grub(at.path, file.head, http=at.protocol != "tftp"):
            if at.protocol != "tftp":
                raise Failed(told)
            self._tell.leave_unchecked(told)

    def _second_stage(self, at: Location) -> tuple[Location, File]:
        """What a shim at some place loads."""
        names = [replace(at, path=path) for path in second_stage(at.path)]
        told = " or ".join(name.path.rpartition("/")[2] for name in names)
        self._tell.step(
            f"The loader starts: it is a shim, and loads {told}",
            "It asks for that in the folder that it came from, as it was loaded itself.",
        )
        problem: NetbootdError | None = None
        for name in names:
            try:
                file = self._fetch(name)
            except Unreachable as missing:
                problem = problem or missing
            else:
                self._tell.detail("found", name)
                self._tell.file(file)
                self._tell.detail("format", formats.loader(file.head, self._firmware.arch))
                return name, file
        raise Failed(f"the shim finds no {told} beside itself: {problem}")

    def _fetch(self, at: Location) -> File:
        if at.protocol == "tftp":
            return self._network.tftp(at.server, at.path, _SHIMS_TFTP)
        return self._network.http(str(at), FIRMWARE_AGENT)
