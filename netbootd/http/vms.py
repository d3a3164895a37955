"""
VM descriptions: ``/vms/``, ``/vms/<key>.json`` and ``/machines/<mac>/vms``.

What was put in comes out, byte for byte.  Reading needs no token, since a node fetches with curl
what it shall run; where ``private`` is set it needs the token or the address of a machine that
has the description.  Writing needs the token, takes strict JSON only, and waits for the disk in a
thread (Work).  The configuration's own descriptions are changed in its files, so here they are 409.

One of the configuration's with secret values is read as if ``private`` were set, and these are put
in for its machine alone: who comes with an API token looks on.  What was put by HTTP has none,
whatever it says.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from netbootd.api.no import No
from netbootd.boot.client import Stage
from netbootd.boot.decision import identify
from netbootd.content import Content
from netbootd.errors import NetbootdError, NotFound
from netbootd.events.audit import Audited
from netbootd.events.event import Served
from netbootd.http.authority import Authority
from netbootd.http.files import Stamps, among, verdict
from netbootd.http.origin import must_be_our_page
from netbootd.http.resource import (
    LATER,
    METHODS,
    NO_STORE,
    Answer,
    Asked,
    Part,
    Work,
    refused,
    text,
)
from netbootd.mac import MAC
from netbootd.printable import counted
from netbootd.record.record import Record
from netbootd.registry.machine import Machine
from netbootd.registry.secrecy import is_secret_vm, users_of
from netbootd.registry.snapshot import Registry
from netbootd.urls import Route
from netbootd.vms.store import Full, Store
from netbootd.vms.strict import NotStrict
from netbootd.vms.vm import KEY_RULE, LARGEST, STORED, Vm, is_key, make

_ENDING = ".json"
_JSON = {"Content-Type": "application/json"}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(slots=True)
class Shelf:
    """
    What these pages need beside the registry.

    *store* has what was put by HTTP; *record* knows who booted from an address, and the tokens of
    boots; *authority* who else may read and write.
    """

    store: Store
    record: Record
    authority: Authority

    def proves(self, key: str, token: str) -> bool:
        """Whether *token* is that of a boot of the machine *key*."""
        return self.record.attempt_of(key, token) is not None

    def find(self, name: str, registry: Registry) -> Vm | None:
        """The description that *name* means; the configuration's counts."""
        return registry.vms.find(name) or self.store.vms.find(name)

    def all(self, registry: Registry) -> Iterator[Vm]:
        """All that are served, the configuration's first."""
        yield from registry.vms
        yield from (vm for vm in self.store.vms if not registry.vms.find(vm.key))


# --- reading -------------------------------------------------------------------------------------


def answer(asked: Asked, route: Route, registry: Registry, shelf: Shelf) -> Answer | Work:
    """The list of the machine that *route* names, the index, or one; raises NotFound."""
    if route.mac is not None:
        return _assigned(asked, route.mac, registry, shelf)
    if not route.path:
        return _index(asked, registry, shelf)
    if not route.path.endswith(_ENDING):
        raise NotFound(route.path)
    key = route.path.removesuffix(_ENDING)
    if asked.method in METHODS:
        return _one(asked, key, registry, shelf)
    by = _leave(asked, shelf, change=f"{asked.method} {asked.path}")
    return by if isinstance(by, Answer) else _change(asked, key, registry, shelf, by)


def _assigned(asked: Asked, mac: MAC, registry: Registry, shelf: Shelf) -> Answer:
    """``/machines/<mac>/vms``: the array of those that the machine has, in its list's order."""
    machine = identify(asked.client(Stage.HTTP_BOOT, mac), registry)
    if machine is None or not machine.known:
        told = f"{mac} is not in the configuration"
        return refused(asked, HTTPStatus.NOT_FOUND, told, mac=mac)
    its_own = shelf.proves(machine.key, asked.query.get("token", "")) or any(
        one.key == machine.key for one in _callers(asked, registry, shelf)
    )
    found = dict.fromkeys(vm for name in machine.vms if (vm := shelf.find(name, registry)))
    if refusal := _kept_from(asked, registry, shelf, found, its_own=its_own):
        return refusal
    texts = [_text(vm, registry, its_own=its_own) for vm in found]
    if None in texts:
        return _lacks_a_secret(asked)
    body = b"[" + b",".join(text for text in texts if text) + b"]\n"
    return _read(asked, body, mac, machine.title)


def _one(asked: Asked, key: str, registry: Registry, shelf: Shelf) -> Answer:
    vm = shelf.find(key, registry)
    its_own = vm is not None and _has(asked, vm, registry, shelf)
    if refusal := _kept_from(asked, registry, shelf, (vm,) if vm else (), its_own=its_own):
        return refusal
    if vm is None:
        return _no_such(asked, key)
    body = _text(vm, registry, its_own=its_own)
    return _lacks_a_secret(asked) if body is None else _read(asked, body)


def _text(vm: Vm, registry: Registry, *, its_own: bool) -> bytes | None:
    """What goes out: with its secret values to a machine that has it; None where one is lacking."""
    return vm.text if vm.stored or not its_own else registry.secrets.put_into_json(vm.text)


def _lacks_a_secret(asked: Asked) -> Answer:
    told = "a secret value of it cannot be read; the boot server's log says which"
    return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, told, LATER)


def _kept_from(
    asked: Asked,
    registry: Registry,
    shelf: Shelf,
    wanted: Iterable[Vm] = (),
    *,
    its_own: bool = False,
) -> Answer | None:
    """The "no" to somebody who may not read what is private, None for who may."""
    secret = any(registry.secrets.in_json(vm.text) for vm in wanted if not vm.stored)
    if its_own or not (registry.config.private or secret):
        return None
    found = _leave(asked, shelf)
    return found if isinstance(found, Answer) else None


def _leave(asked: Asked, shelf: Shelf, change: str = "") -> Answer | str:
    """Who asks, as the audit calls him, or the "no" to who may not, be it for a *change*."""
    authority = shelf.authority
    try:
        by = f"API token {authority.must_have_token(asked)} from {asked.peer}"
        if change:
            must_be_our_page(asked, authority.names)
            authority.must_be_elsewhere(asked)
    except No as no:
        wrong = no.code == "token-wrong"
        if change or wrong:
            told = change or f"{asked.method} {asked.path}"
            authority.audit.refused(asked.peer, told, no.code, asked.peer)
        status, headers = (HTTPStatus.FORBIDDEN, None) if wrong else (no.status, no.headers)
        return refused(asked, status, no.text, headers)
    return by


def _has(asked: Asked, vm: Vm, registry: Registry, shelf: Shelf) -> bool:
    """Whether *vm* is assigned to the machine that asks, by its address or by its boot's token."""
    token = asked.query.get("token", "")
    users = (one for name in vm.names for one in users_of(name, registry))
    proven = (one for one in users if token and shelf.proves(one.key, token))
    return any(
        shelf.find(name, registry) is vm
        for machine in (*_callers(asked, registry, shelf), *proven)
        for name in machine.vms
    )


def _callers(asked: Asked, registry: Registry, shelf: Shelf) -> Iterator[Machine]:
    """
    Whose address the request comes from: the machine with that ``ip``, or, of those that have none,
    the one whose boot script was fetched from there.
    """
    if machine := registry.by_address(asked.peer):
        yield machine
    mac = shelf.record.at(asked.peer)[1]
    machine = identify(asked.client(Stage.HTTP_BOOT, mac), registry) if mac else None
    if machine and "ip" not in machine.variables:
        yield machine


def _read(asked: Asked, body: bytes, mac: MAC | None = None, target: str = "") -> Answer:
    content = Content(asked.path, held=body)
    stamps = Stamps.of(content)
    event = Served(
        mac=mac,
        target=target,
        peer=asked.peer,
        path=asked.path,
        status=HTTPStatus.OK,
        size=len(body),
        count=len(body),
        sent=0,
        seconds=0.0,
    )
    headers = {"Cache-Control": "no-cache", **stamps.headers}
    match verdict(asked, stamps):
        case HTTPStatus.PRECONDITION_FAILED as failed:
            return refused(asked, failed, "it is not the one you know")
        case HTTPStatus.NOT_MODIFIED as same:
            return Answer(same, headers, b"", replace(event, status=same, count=0))
    return Answer(HTTPStatus.OK, {**_JSON, **headers}, Part(content, 0, len(body)), event)


def _index(asked: Asked, registry: Registry, shelf: Shelf) -> Answer | Work:
    """No event: it is looked at, and changes nothing.  Ten thousand lines are a thread's work."""
    if asked.method not in METHODS:
        allow = {"Allow": ", ".join(METHODS)}
        return refused(asked, HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD only", allow)
    return _kept_from(asked, registry, shelf) or Work(partial(_all_rows, registry, shelf))


def _all_rows(registry: Registry, shelf: Shelf) -> Answer:
    rows = [_row(vm, registry, shelf) for vm in sorted(shelf.all(registry), key=lambda v: v.key)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    body = f"[\n{lines}\n]\n" if rows else "[]\n"
    return Answer(HTTPStatus.OK, {**_JSON, **NO_STORE}, body.encode("utf-8"))


def _row(vm: Vm, registry: Registry, shelf: Shelf) -> dict[str, object]:
    names = [name for name in vm.names if shelf.find(name, registry) is vm]
    secret = any(is_secret_vm(name, registry) for name in vm.names)
    machines = dict.fromkeys(key for name in names for key in registry.vm_users.get(name, ()))
    return {
        "key": vm.key,
        "alias": vm.alias,
        "uuid": vm.uuid,
        "brand": vm.brand,
        "size": len(vm.text),
        "etag": "" if secret else vm.etag,  # a digest of its text: guesses could be tried
        "source": STORED if vm.stored else "configuration",
        "machines": list(machines),
        "advice": len(vm.advice),
    }


# --- writing -------------------------------------------------------------------------------------


class _Unlike(NetbootdError):
    """A condition of the request does not hold, or another description is in the way."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        self.status = status
        super().__init__(text)


def _change(asked: Asked, key: str, registry: Registry, shelf: Shelf, by: str) -> Answer | Work:
    """PUT and DELETE."""
    if vm := registry.vms.find(key):
        told = f'"{key}" is of the configuration: change it in {vm.source}'
        return refused(asked, HTTPStatus.CONFLICT, told)
    if asked.method == "DELETE":
        if vm := shelf.store.vms.find(key):
            return Work(_saying_why_not(asked, partial(_delete, asked, vm.key, shelf, by)))
        return _no_such(asked, key)
    if not is_key(key):
        return refused(asked, HTTPStatus.BAD_REQUEST, KEY_RULE)
    if "content-range" in asked.headers:
        return refused(asked, HTTPStatus.BAD_REQUEST, "in one piece only")
    if asked.cut or len(asked.body) > LARGEST:
        return refused(asked, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST} bytes")
    return Work(_saying_why_not(asked, partial(_put, asked, key, registry, shelf, by)))


def _put(asked: Asked, key: str, registry: Registry, shelf: Shelf, by: str) -> Answer:
    vm = make(key, asked.body, STORED)

    def allowed(before: Vm | None) -> None:
        _heed_conditions(asked, before)
        other = vm.uuid and (registry.vms.by_uuid(vm.uuid) or shelf.store.vms.by_uuid(vm.uuid))
        if other and other.key != key:
            told = f'its uuid is that of "{other.key}"'
            raise _Unlike(HTTPStatus.CONFLICT, told)

    is_new = shelf.store.put(vm, allowed)
    said = f"{'created' if is_new else 'replaced'} VM description {key}"
    event, etag = Audited(peer=asked.peer, by=by, deed=said), {"ETag": f'"{vm.etag}"'}
    if not is_new and not vm.advice:
        return Answer(HTTPStatus.NO_CONTENT, etag, b"", event)
    lines = [f"{said}; {counted(len(vm.advice), 'remark')}", *map(str, vm.advice)]
    made = text(HTTPStatus.CREATED if is_new else HTTPStatus.OK, "\n".join(lines) + "\n", event)
    return replace(made, headers={**made.headers, **etag})


def _delete(asked: Asked, key: str, shelf: Shelf, by: str) -> Answer:
    def allowed(before: Vm | None) -> None:
        if before is None:
            raise _Unlike(HTTPStatus.NOT_FOUND, _nothing_under(key))
        _heed_conditions(asked, before)

    shelf.store.remove(key, allowed)
    event = Audited(peer=asked.peer, by=by, deed=f"removed VM description {key}")
    return Answer(HTTPStatus.NO_CONTENT, {}, b"", event)


def _saying_why_not(asked: Asked, make_answer: Callable[[], Answer]) -> Callable[[], Answer]:
    """*make_answer*, whose errors are answers as well; then nothing has changed."""

    def safely() -> Answer:
        try:
            return make_answer()
        except NotStrict as problem:
            return refused(asked, HTTPStatus.BAD_REQUEST, f"{problem}; nothing has changed")
        except _Unlike as problem:
            return refused(asked, problem.status, str(problem))
        except Full as problem:
            return refused(asked, HTTPStatus.INSUFFICIENT_STORAGE, str(problem))
        except OSError as problem:
            return _unwritable(asked, problem)

    return safely


def _unwritable(asked: Asked, problem: OSError) -> Answer:
    why = problem.strerror or str(problem)
    full = problem.errno in _NO_ROOM
    status = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.INTERNAL_SERVER_ERROR
    return refused(asked, status, f"cannot be written: {why}; nothing has changed")


def _heed_conditions(asked: Asked, before: Vm | None) -> None:
    """If-Match and If-None-Match (RFC 9110, 13.1.1 and 13.1.2); raises where one does not hold."""
    wanted, unwanted = asked.headers.get("if-match"), asked.headers.get("if-none-match")
    if wanted is not None and not _means(wanted, before, weak=False):
        raise _Unlike(HTTPStatus.PRECONDITION_FAILED, "it is not the one you know")
    if unwanted is not None and _means(unwanted, before, weak=True):
        raise _Unlike(HTTPStatus.PRECONDITION_FAILED, "it exists already")


def _means(tags: str, vm: Vm | None, *, weak: bool) -> bool:
    return vm is not None and among(tags, f'"{vm.etag}"', weak=weak)


def _no_such(asked: Asked, key: str) -> Answer:
    return refused(asked, HTTPStatus.NOT_FOUND, _nothing_under(key))


def _nothing_under(key: str) -> str:
    return f'no VM description "{key}"'
