r"""
The names under which other loaders look for their configuration, built and parsed in one place.

==============================================  ==============================================
``grub.cfg-01-52-54-00-12-34-56``               GRUB, by MAC (the hardware type in front); also
                                                without it, and with colons
``grub.cfg-<uuid>``, ``grub.cfg-C0A84D32``      GRUB, by UUID, by IPv4 address
``grub.cfg``                                    GRUB; Debian's signed image asks for
                                                ``/grub/grub.cfg`` alone
``pxelinux.cfg/01-52-54-00-12-34-56``           PXELINUX, syslinux.efi, U-Boot's ``pxe get``,
``pxelinux.cfg/<uuid>``, ``…/C0A84D32``         petitboot
``pxelinux.cfg/default``, ``…/default-arm…``
``01-52-54-00-12-34-56``                        petitboot, in the folder of its boot file
``d4659bbd/config.txt``, ``…/cmdline.txt``      Raspberry Pi: below its serial number, its MAC, or
                                                a prefix of its owner's choice
==============================================  ==============================================

Whatever folder stands in front does not matter.  An address that is shortened digit by digit
(``C0A84D3``, ``C0A84D``) stands for a network, which is nobody's own.

Sources: https://wiki.syslinux.org/wiki/index.php?title=PXELINUX, GRUB's manual ("Network"),
U-Boot's doc/README.pxe, https://open-power.github.io/petitboot/, and
https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#network-booting
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from netbootd.mac import MAC


class Reader(Enum):
    """Whose language it is."""

    GRUB = "grub"
    PXELINUX = "pxelinux"
    PI = "pi"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """
    What a name asks for, and by what it tells whose: each of *mac*, *uuid*, *address* and *serial*
    (the last eight digits of a Raspberry Pi's) is empty where it does not.

    *name* is the last part of it; *choice* what a menu of ours sends back.  *nobodys*: it is a
    name that we give to no machine.
    """

    reader: Reader
    name: str
    mac: MAC | None = None
    uuid: str = ""
    address: str = ""
    serial: str = ""
    choice: str = ""
    nobodys: bool = False

    @property
    def anonymous(self) -> bool:
        """Whether the name says nothing of who asks."""
        return not (self.mac or self.uuid or self.address or self.serial or self.nobodys)


#: Whose configuration firmware of these families reads without any loader, and what it is called.
READ_ALONE = {
    "uboot-arm32": (Reader.PXELINUX, "U-Boot"),
    "uboot-arm64": (Reader.PXELINUX, "U-Boot"),
    "opal": (Reader.PXELINUX, "petitboot"),
    "rpiboot": (Reader.PI, "a Raspberry Pi"),
}
PI_FILES = frozenset({"config.txt", "cmdline.txt"})
#: What says whether a Raspberry Pi is to boot at all.
PI_BOOT = ConfigFile(reader=Reader.PI, name="config.txt")
#: What GRUB puts its MAC behind.
GRUB_BY_MAC = "/grub.cfg-01-"
#: What the ROM of a Raspberry Pi 3 asks for, before it says who it is.
PI_ROM_ASKS = "bootcode.bin"
_PI_STARTS = re.compile(r"start[a-z0-9_]*\.elf|bootcode\.bin")
_GRUB = "grub.cfg"
_PXELINUX_FOLDER = "pxelinux.cfg"
_DEFAULT = "default"
_CHOICE = re.compile(r"(.*)\.choice-([0-9]{1,6})")
_BY_MAC = re.compile(r"[0-9A-Fa-f]{2}-([0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\2[0-9A-Fa-f]{2}){4})")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ADDRESS = re.compile(r"[0-9A-Fa-f]{8}")


def parse(path: str) -> ConfigFile | None:
    """What *path* asks for, in the client's own spelling; None for any other file."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    if not parts:
        return None
    folder, name = parts[-2] if len(parts) > 1 else "", parts[-1]
    match = _CHOICE.fullmatch(name)
    stem, choice = (match[1], match[2]) if match else (name, "")
    if stem == _GRUB or stem.startswith(f"{_GRUB}-"):
        return _of(Reader.GRUB, name, stem[len(_GRUB) + 1 :], choice)
    if folder == _PXELINUX_FOLDER:
        anybody = stem == _DEFAULT or stem.startswith(f"{_DEFAULT}-")
        return _of(Reader.PXELINUX, name, "" if anybody else stem, choice)
    if _BY_MAC.fullmatch(stem):
        return _of(Reader.PXELINUX, name, stem, choice)
    if name in PI_FILES:
        return ConfigFile(reader=Reader.PI, name=name, serial=pi_serial(folder))
    return None


def _of(reader: Reader, name: str, who: str, choice: str) -> ConfigFile:
    """The configuration of *who*; nobody's where that is no spelling of anything."""
    if not who:
        return ConfigFile(reader=reader, name=name, choice=choice)
    if match := _BY_MAC.fullmatch(who):
        return ConfigFile(reader=reader, name=name, mac=MAC.parse(match[1]), choice=choice)
    if _MAC.fullmatch(who):
        return ConfigFile(reader=reader, name=name, mac=MAC.parse(who), choice=choice)
    if _UUID.fullmatch(who):
        return ConfigFile(reader=reader, name=name, uuid=who.lower(), choice=choice)
    if _ADDRESS.fullmatch(who):
        address = str(IPv4Address(int(who, 16)))
        return ConfigFile(reader=reader, name=name, address=address, choice=choice)
    return ConfigFile(reader=reader, name=name, nobodys=True)


def pi_serial(folder: str) -> str:
    """The serial number that *folder* is, as a Raspberry Pi names its own; empty if it is none."""
    return folder.lower() if _ADDRESS.fullmatch(folder) else ""


def pi_folder(path: str) -> tuple[str, str]:
    """The serial number at the begin of *path* and what follows; empty for any other path."""
    folder, _, rest = path.replace("\\", "/").lstrip("/").partition("/")
    serial = pi_serial(folder)
    return (serial, rest.lstrip("/")) if serial and rest else ("", path)


def starts_pi(name: str) -> bool:
    """Whether *name* is firmware after which a Raspberry Pi looks for nothing else to boot."""
    return _PI_STARTS.fullmatch(name) is not None


def grub_path(mac: MAC, choice: int | None = None) -> str:
    """Where a machine's configuration for GRUB is."""
    return f"/{mac.dashed}/{_GRUB}-01-{mac.dashed}{_chosen(choice)}"


def pxelinux_path(mac: MAC, choice: int | None = None) -> str:
    """Where that for PXELINUX is."""
    return f"/{mac.dashed}/{_PXELINUX_FOLDER}/01-{mac.dashed}{_chosen(choice)}"


def _chosen(choice: int | None) -> str:
    return "" if choice is None else f".choice-{choice}"
