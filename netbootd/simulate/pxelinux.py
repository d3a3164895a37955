"""
PXELINUX's part of the walk, and that of what reads the same: syslinux.efi, U-Boot, petitboot.

PXELINUX first loads the rest of itself.  All of them then ask for one configuration after another,
by less and less special names.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from uuid import UUID

from netbootd.arch import Arch
from netbootd.mac import MAC
from netbootd.simulate.follow import Leads, Leaves, Loader, Loads, Location, NotFollowed, Plan
from netbootd.simulate.network import File, Unreachable
from netbootd.simulate.telling import Failed

#: Where the rest of PXELINUX may be, below the folder that it was loaded from.
_FOLDERS = ("", "/boot/isolinux/", "/isolinux/", "/boot/syslinux/", "/syslinux/", "/")
_PASSED_OVER = frozenset(
    {"MENU", "PROMPT", "TIMEOUT", "TOTALTIMEOUT", "NOESCAPE", "ALLOWOPTIONS", "DISPLAY", "SERIAL"}
)
_MEANT = frozenset({"KERNEL", "LINUX", "INITRD", "APPEND", "FDT", "FDTDIR", "LOCALBOOT", "CONFIG"})
_OTHER_PROGRAMS = (".0", ".bin", ".bs", ".bss", ".c32", ".cbt", ".com", ".img")


class PxeLinux(Loader):
    """*folder*, on *server*, is the one that its boot file came from, with a slash behind it."""

    name = "PXELINUX"
    tftp = {"tsize": "0", "blksize": "1408"}
    agent = "Syslinux/6.04"
    server = ""
    folder = ""

    def run(self, loaded_from: Location, mac: MAC, uuid: bytes, address: str) -> str:
        """PXELINUX starts; how it all ends.  *uuid* is that of DHCP, 16 bytes."""
        if loaded_from.protocol != "tftp":
            raise NotFollowed(f"{self.name} was loaded by {loaded_from.protocol}")
        self.server = loaded_from.server
        self.folder = f"{loaded_from.path.rpartition('/')[0]}/"
        self._load_the_rest(self.arch)
        return self.search(mac, str(UUID(bytes=uuid)), address)

    def _load_the_rest(self, arch: Arch) -> None:
        ending = {"efi-x64": "e64", "efi-ia32": "e32"}.get(arch.family, "c32")
        name = f"ldlinux.{ending}"
        self.tell.step(
            f"The loader starts: it is {self.name}, and loads the rest of itself, {name}",
            "It looks beside itself, and then in a few folders with names of its own.",
        )
        for folder in _FOLDERS:
            at = Location("tftp", self.server, f"{self.folder}{folder}{name}")
            if (file := self._try(at)) is not None:
                self.tell.detail("found", at)
                self.tell.file(file)
                return
        raise Failed(f"there is no {name} beside {self.name}, which stops without it")

    def search(self, mac: MAC, uuid: str, address: str) -> str:
        """Look for the configuration by one name after the other; how it all ends."""
        self.tell.step(
            f"{self.name} looks for its configuration in pxelinux.cfg",
            "by its UUID, its MAC, its address in hexadecimal, ever shorter, and as default:",
        )
        digits = f"{int(IPv4Address(address)):08X}"
        networks = [digits[:count] for count in range(8, 0, -1)]
        for name in (uuid, f"01-{mac.dashed}", *networks, "default"):
            at = Location("tftp", self.server, f"{self.folder}pxelinux.cfg/{name}")
            if (file := self._try(at)) is not None:
                self.tell.detail("found", name)
                return self.follow(at, file)
        raise Failed(f"no configuration for {self.name}")

    def _try(self, at: Location) -> File | None:
        """The file *at* some place; None where the server has none."""
        try:
            return self.fetch(at)
        except Unreachable as problem:
            if not str(problem).startswith("TFTP ERROR"):
                raise
            self.tell.detail("not there", f"{at.path.rpartition('/')[2]}: {problem}")
            return None

    def plan(self, text: str, at: Location) -> Plan:
        labels, default, says = _labels(text, at)
        entry = labels.get(default) if default else next(iter(labels.values()), None)
        if entry is None:
            raise NotFollowed(f"{at} has the default {default!r}, which is no label in it")
        if "LOCALBOOT" in entry:
            if "again" in labels:
                raise Failed(f"the console says: {' '.join(says)}")
            return Leaves(_left(entry["LOCALBOOT"], self.name))
        if entry.get("CONFIG"):
            return Leads(self._file(entry["CONFIG"].split()[0]))
        return self._loads(entry, at)

    def _loads(self, entry: dict[str, str], at: Location) -> Loads:
        kernel = entry.get("LINUX") or entry.get("KERNEL", "")
        if not kernel or ("LINUX" not in entry and kernel.lower().endswith(_OTHER_PROGRAMS)):
            raise NotFollowed(f"{at} starts {kernel or 'no kernel'}")
        arguments = entry.get("APPEND", "")
        said = [word for word in arguments.split() if word.startswith("initrd=")]
        initrds = entry.get("INITRD") or (said[-1].removeprefix("initrd=") if said else "")
        if "FDTDIR" in entry:
            self.tell.detail("device tree", f"in {entry['FDTDIR']}, by a name that the board knows")
        return Loads(
            self._file(kernel),
            tuple(self._file(name) for name in self.initrds(initrds) if name),
            tuple(self._file(entry[key]) for key in ("FDT",) if key in entry),
            arguments,
        )

    def initrds(self, listed: str) -> list[str]:
        """Each of them is a file."""
        return listed.split(",")

    def _file(self, name: str) -> Location:
        """Even what begins with a slash is looked for below the folder of the boot file."""
        if "://" not in name:
            return Location("tftp", self.server, f"{self.folder}{name}")
        protocol, _, rest = name.partition("://")
        server, _, path = rest.partition("/")
        return Location(protocol, server, f"/{path}")


class UBoot(PxeLinux):
    """U-Boot's command ``pxe``, which needs no loader; its list of initrds is one file."""

    name = "U-Boot"
    tftp = {"timeout": "5", "blksize": "1468"}
    agent = "U-Boot"

    def go(self, server: str, mac: MAC, uuid: bytes, address: str) -> str:
        """Look for the configuration on *server*; how it all ends."""
        self.server = server
        return self.search(mac, str(UUID(bytes_le=uuid)), address)

    def initrds(self, listed: str) -> list[str]:
        return [listed]


class Petitboot(UBoot):
    """The same, on OpenPOWER."""

    name = "petitboot"


def _labels(text: str, at: Location) -> tuple[dict[str, dict[str, str]], str, list[str]]:
    """The entries by their labels, which of them is the default, and what is said; NotFollowed."""
    labels: dict[str, dict[str, str]] = {}
    default, says = "", []
    for line in text.splitlines():
        keyword, _, value = " ".join(line.split()).partition(" ")
        match keyword.upper():
            case "DEFAULT":
                default = value
            case "SAY":
                says.append(value)
            case "LABEL":
                labels[value] = {}
            case word if word in _MEANT and labels:
                labels[next(reversed(labels))][word] = value
            case word if word and not word.startswith("#") and word not in _PASSED_OVER:
                raise NotFollowed(f"{at} has the line {line.strip()!r}")
    return labels, default, says


def _left(how: str, name: str) -> str:
    if how == "0":
        return "The first disk starts."
    return f"{name} leaves, and the firmware goes on with its next boot device."
