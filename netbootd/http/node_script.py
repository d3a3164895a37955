"""
``GET /scripts/<mac>``: what a node runs when it is up; and the files by which it does.

A machine nobody knows gets 404, so that ``curl -f`` fails; one with nothing to do a harmless
program.  What cannot be rendered is 500 with the reason in the log alone, and never half a script.
"""

from __future__ import annotations

from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from netbootd import overlay, scripts
from netbootd.errors import NotFound, RenderError
from netbootd.events.event import NodeScripted
from netbootd.http.bootscript import base_of
from netbootd.http.files import Stamps, verdict
from netbootd.http.provision import for_machine, unmade
from netbootd.http.resource import NO_STORE, PLAIN, Answer, Asked, refused
from netbootd.record.record import Record
from netbootd.registry.facts import server_of
from netbootd.registry.scripts import pieces
from netbootd.registry.snapshot import Registry
from netbootd.scripts.script import node_script
from netbootd.urls import Route

_OVERLAY = Path(overlay.__file__).parent / "node"
_OURS = Path(scripts.__file__).parent / "node"
#: What an image or installer fetches so that it runs the script, by the name under ``/scripts/``.
FILES = {
    "netbootd-script": (_OVERLAY / "node-script.sh").read_text(),
    "netbootd-script.service": (_OVERLAY / "netbootd-script.service").read_text(),
    "netbootd-env": (_OURS / "netbootd-env").read_text(),
    "netbootd-dracut.sh": (_OURS / "netbootd-dracut.sh").read_text(),
    "netbootd.xml": (_OURS / "netbootd.xml").read_text(),
}


def answer(asked: Asked, route: Route, registry: Registry, record: Record) -> Answer:
    """The script of the machine that *route* names, for the target it runs; or one of FILES."""
    if route.mac is None:
        return file(asked, route.path, registry)
    found = for_machine(asked, route.mac, registry, record)
    if isinstance(found, Answer):
        return found
    machine, facts = found
    try:
        run = pieces(machine, registry)
        body = node_script(run, facts)
    except RenderError as problem:
        return unmade(asked, facts, facts.secrets.silence(problem), "script")
    says = ", ".join(piece.fragment.name for piece in run) or "nothing to do"
    event = NodeScripted(mac=facts.mac, target=machine.title, peer=asked.peer, says=says)
    return _text(asked, body, event)


def file(asked: Asked, name: str, registry: Registry) -> Answer:
    """One of FILES, which find us where this client did; raises NotFound."""
    if name not in FILES:
        raise NotFound(name)
    base = server_of(registry, base_of(asked, registry), asked.peer)
    return _text(asked, FILES[name].replace("@BASE@", base).replace("http://SERVER", base), None)


def _text(asked: Asked, body: str, event: NodeScripted | None) -> Answer:
    encoded = body.encode("utf-8", "replace")
    stamps = Stamps(f'"{sha256(encoded).hexdigest()[:32]}"', 0)
    headers = {"Content-Type": PLAIN, **NO_STORE, **stamps.headers}
    status = verdict(asked, stamps)
    if status is HTTPStatus.PRECONDITION_FAILED:
        return refused(asked, status, "the script is not the one you have")
    if status is HTTPStatus.NOT_MODIFIED:
        return Answer(status, headers, b"", event)
    return Answer(HTTPStatus.OK, headers, encoded, event)
