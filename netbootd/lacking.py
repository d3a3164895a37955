"""
What machines will look for among the boot files of this server and not find: a Raspberry Pi the
firmware that starts it, a machine with ``vlan`` the command for it in its iPXE.  ``check`` tells.
"""

from __future__ import annotations

import os
import re

from netbootd import otherloaders
from netbootd.arch import EFI_X64
from netbootd.boot import loader
from netbootd.configfiles import pi_serial, starts_pi
from netbootd.errors import Finding
from netbootd.loaderfile import lacks_command
from netbootd.loaders import IPXE
from netbootd.registry.facts import everybody, its_address
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.secureboot import Warnings
from netbootd.targets import vlan

#: Device trees of a Raspberry Pi 5, whose firmware is in its own memory.
_OF_PI_5 = re.compile(r"bcm2712.*\.dtb")


def remarks(registry: Registry) -> tuple[Finding, ...]:
    """Each said once, of the first machine that it is true of."""
    warnings = Warnings()
    old = {
        name
        for name, program in registry.library.programs.items()
        if name in IPXE and lacks_command(program.data, "vcreate")
    }
    for machine in everybody(registry):
        variables = registry.variables_of(machine)
        if otherloaders.is_pi(machine, variables, registry) and not _starts(machine, registry):
            told = (
                f"nothing in {registry.library.root}, nor in the folder of its serial number there,"
                " starts a Raspberry Pi: start4.elf (for a Pi 4) or bootcode.bin and start.elf, of"
                " Debian's package raspi-firmware; a Pi 5 needs its bcm2712-rpi-5-b.dtb alone"
            )
            warnings.add("pi-firmware", told, machine)
        in_vlan = vlan.entered(machine.target.template.source, variables)
        if in_vlan and (name := usual_loader(machine, registry)) in old:
            told = (
                f"{name} is an iPXE without vcreate, and stays out of its VLAN; Debian 13's has it"
                " ('firmware/fetch-trixie')"
            )
            warnings.add("ipxe-vlan", told, machine)
    return tuple(warnings.findings())


def _starts(machine: Machine, registry: Registry) -> bool:
    """Whether there is firmware for it; where its serial number is not known, in any folder."""
    serial = pi_serial(str(machine.variables.get("serial", "")).strip()[-8:])
    root = registry.library.real_root
    folders = [serial] if serial else [name for name in _names(root) if pi_serial(name)]
    held = (*registry.library.programs, *_names(root))
    return any(map(_is_firmware, held)) or any(
        _is_firmware(name) for folder in folders for name in _names(os.path.join(root, folder))
    )


def _is_firmware(name: str) -> bool:
    return starts_pi(name) or _OF_PI_5.fullmatch(name) is not None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def usual_loader(machine: Machine, registry: Registry) -> str:
    """What it loads if it is a PC with UEFI, as most are: of that build it can be seen."""
    subnet = registry.subnets.of(its_address(machine, registry))
    return loader.find(EFI_X64, machine, registry, subnet).name
