"""
``GET /overlay/<mac>.cpio``: the extra initrd of one machine, made anew each time.

iPXE shows its user a number for any status but 200, and an initrd of our words would be no better:
a machine whose overlay cannot be made gets 500, its boot script says that it did not boot, and the
reason is in our log.
"""

from __future__ import annotations

from netbootd.errors import RenderError
from netbootd.http.provision import for_machine, made, unmade
from netbootd.http.resource import Answer, Asked
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry import overlays
from netbootd.registry.snapshot import Registry

TYPE = "application/x-cpio"


def answer(asked: Asked, mac: MAC, registry: Registry, record: Record) -> Answer:
    """The extra initrd of *mac*, for the target that it boots now."""
    found = for_machine(asked, mac, registry, record)
    if isinstance(found, Answer):
        return found
    machine, facts = found
    try:
        return made(asked, facts, overlays.build(machine, facts, registry), TYPE)
    except RenderError as problem:
        return unmade(asked, facts, facts.secrets.silence(problem), "overlay")
