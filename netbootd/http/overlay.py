"""
``GET /overlay/<mac>.cpio``: the extra initrd of one machine, made anew each time.

iPXE shows its user a number for any status but 200, and an initrd of our words would be no better:
a machine whose overlay cannot be made gets 500, its boot script says that it did not boot, and the
reason is in our log.
"""

from __future__ import annotations

from http import HTTPStatus

from netbootd.boot.client import Stage
from netbootd.boot.history import provided
from netbootd.content import Content
from netbootd.errors import RenderError
from netbootd.events.event import Refused, Served
from netbootd.http.bootscript import base_of
from netbootd.http.resource import NO_STORE, Answer, Asked, Part, no, refused
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry import overlays
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts

TYPE = "application/x-cpio"


def answer(asked: Asked, mac: MAC, registry: Registry, record: Record) -> Answer:
    """The extra initrd of *mac*, for the target that it boots now."""
    client = asked.client(Stage.HTTP_BOOT, mac)
    found = provided(client, registry, record, base_of(asked, registry))
    if found is None:
        told = f"{mac} is not in the configuration"
        return refused(asked, HTTPStatus.NOT_FOUND, told, mac=mac)
    return made(asked, *found, registry)


def made(asked: Asked, machine: Machine, facts: Facts, registry: Registry) -> Answer:
    """The extra initrd of *machine*, or why there is none."""
    try:
        body = overlays.build(machine, facts, registry)
    except RenderError as problem:
        event = Refused(
            mac=facts.mac,
            target=machine.title,
            peer=asked.peer,
            protocol="HTTP",
            path=asked.path,
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
            reason=str(problem),
        )
        return no(event, "its overlay has an error; the boot server's log says which")
    served = Served(
        mac=facts.mac,
        target=machine.title,
        peer=asked.peer,
        path=asked.path,
        status=HTTPStatus.OK,
        size=len(body),
        count=len(body),
        sent=0,
        seconds=0.0,
    )
    part = Part(Content("overlay.cpio", held=body), 0, len(body))
    return Answer(HTTPStatus.OK, {"Content-Type": TYPE, **NO_STORE}, part, served)
