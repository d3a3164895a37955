"""
Which boot program a client gets: resolved here for DHCP, TFTP, HTTP and every command alike.

The first that says something counts: the machine's own ``loader`` or that of its groups, its
target's, that of its subnet, the setting ``loader``; else the set ``ipxe``.  What was chosen and is
not there is a reason to refuse, never to give something else: who chose a signed loader meant it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netbootd import loaders
from netbootd.arch import Arch
from netbootd.configfiles import READ_ALONE, Reader
from netbootd.loaders import Choice
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.registry.subnets import Subnet

_READS = {
    Reader.PXELINUX: "pxelinux.cfg/01-<mac>, from the next-server (siaddr) of its DHCP server",
    Reader.PI: "config.txt",
}


@dataclass(frozen=True, slots=True)
class Found:
    """
    The program *name* of the library, and *why* that one.

    Without a *name* there is none, and *why* says what would be right; *missing* where the
    configuration wants one for this architecture, or can say nothing else of it.  *code* is the
    why for programs: ``no-loader``, ``no-arch``, or ``proxyless`` for what takes its files from
    elsewhere.
    """

    name: str
    why: str
    missing: bool = False
    code: str = ""


def find(arch: Arch | None, machine: Machine, registry: Registry, subnet: Subnet) -> Found:
    """What *machine*'s firmware of architecture *arch* loads."""
    if arch is None:
        return Found("", "the firmware does not say what it is (no option 93)", code="no-arch")
    word, whose = _word(arch, machine, registry, subnet)
    names = loaders.names(word, arch)
    if not names:
        return _nothing_for(arch, word, whose)
    for name in names:
        if registry.library.program(name):
            return Found(name, f"{name} is the first loader found for {arch}{whose}")
    files = " or ".join(names)
    told = f"no loader for {arch}: put {files} into a folder that 'firmware' names{whose}"
    return _missing("; ".join((told, *loaders.origins(names))))


def wanted(arch: Arch, machine: Machine, registry: Registry, subnet: Subnet) -> tuple[str, ...]:
    """The names of the programs that would do, the best first; they need not be there."""
    return loaders.names(_word(arch, machine, registry, subnet)[0], arch)


def _nothing_for(arch: Arch, word: str, whose: str) -> Found:
    """There is no such program, as far as we know; the admin may know one."""
    if arch.family in READ_ALONE and not whose:
        reads = _READS[READ_ALONE[arch.family][0]]
        return Found("", f"{arch} needs no boot program: it reads {reads}", code="proxyless")
    if arch.family == str(arch.number):
        told = f"{arch} (option 93 says {arch.number}) has no loader here{whose}"
    else:
        told = f"{arch} ({arch.number}) has no {_title(word)} loader{whose}"
    line = f'"loader" : {{ "{arch.family}" : "FILE.efi" }}'
    add = f"let that say {line}" if whose else f'add {line} to the section "netbootd"'
    return _missing(f"{told}: {add}, with the file that it can load")


def _missing(why: str) -> Found:
    return Found("", why, missing=True, code="no-loader")


def _title(word: str) -> str:
    return "iPXE" if word == loaders.USUAL else word


def _word(arch: Arch, machine: Machine, registry: Registry, subnet: Subnet) -> tuple[str, str]:
    """The word that counts for *arch*, and whose it is."""
    for whose, choice in _choices(machine, registry, subnet):
        if word := choice.of(arch):
            return word, f" ({whose} says {word!r})"
    return loaders.USUAL, ""


def _choices(machine: Machine, registry: Registry, subnet: Subnet) -> Iterator[tuple[str, Choice]]:
    yield "the machine", machine.loader
    yield f"target {machine.title}", machine.target.common.loader
    yield f"subnet {subnet.name}", subnet.loader
    yield "the setting 'loader'", registry.config.loader
