"""
Which machines get a loader that is not iPXE, and what it cannot do for them; ``check`` tells it.

The readers of a machine are those of the word ``loader`` that counts for it.  A Raspberry Pi has no
loader to choose: it is known by its serial number, or by lines of its own for ``config.txt``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netbootd import loaders
from netbootd.arch import Arch
from netbootd.configfiles import PI_FILES, READ_ALONE, Reader
from netbootd.dialects.catalogue import dialect_of
from netbootd.dialects.dialect import TFTP, Dialect, Unfit, Way
from netbootd.errors import Finding, Level, RenderError
from netbootd.loaders import Choice
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.relaxedjson import path_of
from netbootd.rendering import told_of
from netbootd.targets.base import Facts, Target
from netbootd.targets.menu import Menu
from netbootd.targets.notice import Notice

#: Whose configuration is read by what the loader sets start.
READERS = {"grub": Reader.GRUB, "shim-grub": Reader.GRUB, "pxelinux": Reader.PXELINUX}
#: Digits of a Pi's serial number as its /proc/cpuinfo has it; eight of them others have as well.
_LONG_SERIAL = 16
NAMES = {Reader.GRUB: "GRUB", Reader.PXELINUX: "PXELINUX", Reader.PI: "a Raspberry Pi"}


def remarks(machine: Machine, registry: Registry, facts: Facts) -> Iterator[Finding]:
    """What the other loaders of *machine* cannot boot of its target; *facts* are for it."""
    path = path_of("machines", machine.written)
    for reader in readers_of(machine, registry, facts):
        for target in _booted(machine.target, registry):
            for dialect in _dialects(reader, registry, facts):
                level, code, told = _tried(dialect, target, facts)
                if told:
                    yield Finding(level, code, f"{NAMES[reader]}: {told}", machine.place, path)
                    break


def readers_of(machine: Machine, registry: Registry, facts: Facts) -> tuple[Reader, ...]:
    """Every loader but iPXE that may be what *machine* runs."""
    subnet = registry.subnets.of(facts.peer)
    choices = (machine.loader, machine.target.common.loader, subnet.loader, registry.config.loader)
    found = dict.fromkeys(reader for word in _words(choices) if (reader := reads(word)))
    if is_pi(machine, facts.variables, registry):
        found[Reader.PI] = None
    return tuple(found)


def is_pi(machine: Machine, variables: Mapping[str, Any], registry: Registry) -> bool:
    """Whether *machine*, with all its *variables*, is written as a Raspberry Pi."""
    if "config_txt" in variables:
        return True
    serial = machine.variables.get("serial")
    long = isinstance(serial, str) and len(serial.strip()) == _LONG_SERIAL
    return long and str(serial).strip().lower()[-8:] in registry.pis


def reads_alone(firmware: Arch | None) -> tuple[Reader, str] | None:
    """What *firmware* reads that needs no loader, and its name; None for any other."""
    return READ_ALONE.get(firmware.family) if firmware else None


def _words(choices: tuple[Choice, ...]) -> Iterator[str]:
    """The words that may count: what one says for all hides whatever comes after it."""
    for choice in choices:
        yield from choice.words
        if choice.usual:
            return


def reads(word: str) -> Reader | None:
    """Who reads a configuration where *word*, a set or a file, is loaded; None for an iPXE."""
    if word in READERS:
        return READERS[word]
    file = word.rpartition("/")[2]
    for of, reader in READERS.items():
        names = {name for some in loaders.SETS[of].values() for name in some}
        if word not in loaders.IPXE and file in {name.rpartition("/")[2] for name in names}:
            return reader
    return None


def _booted(target: Target, registry: Registry) -> Iterator[Target]:
    """*target*, and what a menu leads to."""
    yield target
    if isinstance(target, Menu):
        for title in dict.fromkeys(choice.target for choice in target.choices):
            if (found := registry.targets.get(title)) is not None:
                yield found


def _dialects(reader: Reader, registry: Registry, facts: Facts) -> Iterator[Dialect]:
    """The languages of *reader*: one for each file that it reads."""
    way = Way(TFTP, facts.base.partition("://")[2])
    for name in sorted(PI_FILES) if reader is Reader.PI else (reader.value,):
        yield dialect_of(reader, name, way, registry.dialects)


def _tried(dialect: Dialect, target: Target, facts: Facts) -> tuple[Level, str, str]:
    """What is wrong with *target* in *dialect*, how badly; an empty text for nothing."""
    if isinstance(target, Notice):
        return Level.DEBUG, "", ""  # which was said
    try:
        said = dialect.script(target, facts)
    except RenderError as problem:
        return Level.WARNING, "loader-unfit", f"{target.title}: {problem}"
    except Exception as problem:  # a template is the operator's text and may do anything
        return Level.RELOAD, "template-error", f"{target.title}: {told_of('', problem)}"
    told = said.reason if isinstance(said, Unfit) else ""
    return Level.WARNING, "loader-unfit", told
