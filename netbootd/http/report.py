"""
``/done/<mac>`` and ``/failed/<mac>``: a node says how its boot or its installation went.

The token in the address (``?token=``) is that of the boot attempt, as ``done_url`` and
``failed_url`` have it in every template.  Without one the address that booted the machine is taken
for it: enough for a ``curl`` in an old kickstart file, and no proof against a neighbour.

``status`` other than 0 makes a failure of ``/done``; what is sent along (POST or PUT) is kept as
its text.  The same report twice is one, and only with the token may a later one say otherwise.
"""

from __future__ import annotations

from http import HTTPStatus

from netbootd.boot.client import Stage
from netbootd.boot.decision import identify
from netbootd.boot.history import end
from netbootd.events.event import Reported
from netbootd.http.resource import Answer, Asked, refused, text
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.record.standing import MOST_OUTPUT, Attempt, Outcome
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry

_GOOD = ("", "0")
_STRANGERS_OUTPUT = 1024  # characters; anybody can be a stranger, and thousands of them


def answer(asked: Asked, mac: MAC, *, good: bool, registry: Registry, record: Record) -> Answer:
    """Take the report; *good* where ``/done`` was called."""
    client = asked.client(Stage.IPXE, mac)
    machine = identify(client, registry)
    if machine is None:
        return refused(asked, HTTPStatus.NOT_FOUND, f"{mac} is not in the configuration", mac=mac)
    attempt = _attempt(asked, machine, record)
    if attempt is None:
        return refused(asked, HTTPStatus.FORBIDDEN, _why_not(asked, mac), mac=mac)
    if asked.method == "HEAD":
        return text(HTTPStatus.OK, "")
    good = good and asked.query.get("status", "").strip() in _GOOD
    outcome = Outcome.DONE if good else Outcome.FAILED
    most = MOST_OUTPUT if machine.known else _STRANGERS_OUTPUT
    output = asked.body.decode("utf-8", "replace")[-most:]
    # Without a token the first word counts: a neighbour shall not turn it about.
    settled = attempt.outcome in (Outcome.DONE, Outcome.FAILED) and "token" not in asked.query
    new = not settled and end(machine, registry, record, attempt, outcome, output)
    event = Reported(
        mac=mac,
        target=attempt.target,
        peer=asked.peer,
        outcome=outcome.value,
        status=asked.query.get("status", "").strip(),
        output=output,
    )
    return text(HTTPStatus.OK, f"{outcome}\n", event if new else None)


def _attempt(asked: Asked, machine: Machine, record: Record) -> Attempt | None:
    if "token" in asked.query:
        return record.attempt_of(machine.key, asked.query["token"])
    return record.of(machine.key).of_peer(asked.peer)


def _why_not(asked: Asked, mac: MAC) -> str:
    if "token" in asked.query:
        return "the token is not that of one of its last boots"
    return f"{mac} has not booted from {asked.peer}, and there is no token in the address"
