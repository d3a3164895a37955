"""
What the pages have in common that make something for one machine: who it is, whether it may have
it, and what is said when it cannot be made.
"""

from __future__ import annotations

from http import HTTPStatus

from netbootd.boot.client import Stage
from netbootd.boot.history import is_it, provided
from netbootd.content import Content
from netbootd.errors import RenderError
from netbootd.events.event import Refused, Served
from netbootd.http.bootscript import base_of
from netbootd.http.resource import NO_STORE, Answer, Asked, Part, no, refused
from netbootd.mac import MAC
from netbootd.pieces import Pieces
from netbootd.record.record import Record
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts


def for_machine(
    asked: Asked, mac: MAC, registry: Registry, record: Record
) -> tuple[Machine, Facts] | Answer:
    """The machine *mac* as it boots now and what may be said to it, or why it gets nothing."""
    client = asked.client(Stage.HTTP_BOOT, mac)
    found = provided(client, registry, record, base_of(asked, registry))
    if found is None:
        told = f"{mac} is not in the configuration"
        return refused(asked, HTTPStatus.NOT_FOUND, told, mac=mac)
    if registry.config.private and not is_it(
        found[0], asked.peer, asked.query.get("token", ""), record
    ):
        told = f"this is for {mac} alone, and {asked.peer} is not known for it"
        return refused(asked, HTTPStatus.FORBIDDEN, told, mac=mac)
    return found


def made(asked: Asked, facts: Facts, body: bytes | Pieces, content_type: str) -> Answer:
    """*body*, made just now for the machine of *facts*."""
    part = Part(Content(asked.path, held=body), 0, len(body))
    headers = {"Content-Type": content_type, **NO_STORE}
    return Answer(HTTPStatus.OK, headers, part, served(asked, facts, len(body)))


def served(asked: Asked, facts: Facts, size: int) -> Served:
    """What to publish when the machine of *facts* gets *size* bytes."""
    return Served(
        mac=facts.mac,
        target=facts.target,
        peer=asked.peer,
        path=asked.path,
        status=HTTPStatus.OK,
        size=size,
        count=size,
        sent=0,
        seconds=0.0,
    )


def unmade(asked: Asked, facts: Facts, problem: RenderError, what: str) -> Answer:
    """Names and lines of templates are for the operator; the client learns that *what* is wrong."""
    event = Refused(
        mac=facts.mac,
        target=facts.target,
        peer=asked.peer,
        protocol="HTTP",
        path=asked.path,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        reason=str(problem),
    )
    return no(event, f"its {what} has an error; the boot server's log says which")
