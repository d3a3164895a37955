"""Registries for the tests: real values, with loaders of a few bytes."""

from __future__ import annotations

from pathlib import Path

from netbootd.config import Config
from netbootd.content import Library
from netbootd.errors import Place
from netbootd.mac import MAC
from netbootd.programs import Program
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.ipxe import Templates
from netbootd.targets.localboot import LocalBoot
from netbootd.urls import PROGRAMS

TITLE = "localboot/disk"


def library(*names: str) -> Library:
    programs = {name: Program(name, Path("/firmware", name), b"program", "") for name in names}
    return Library(Path("/nonexistent"), programs)


def machine(mac: MAC | None) -> Machine:
    target = LocalBoot(TITLE, Templates().get("localboot"))
    return Machine(mac, target, Place("netbootd.json", 7, 1))


def registry(*macs: str, default: bool = False, loaders=PROGRAMS, **settings) -> Registry:
    """Knows *macs*, and has a default if asked to."""
    known = [MAC.parse(mac) for mac in macs]
    return Registry(
        config=Config(**settings),
        library=library(*loaders),
        first_template=Templates().get("first"),
        notice_template=Templates().get("notice"),
        waiting_template=Templates().get("waiting"),
        disk=machine(None).target,
        machines={mac: machine(mac) for mac in known},
        default=machine(None) if default else None,
    )
