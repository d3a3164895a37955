"""
What the API changes: entries of machines, one write at a time, and orders.

A write is checked and done in a thread, and answered when the configuration that it made is in
force: whoever reads 201 may switch the machine on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from netbootd.api import body, entry, table, values
from netbootd.api.desk import Leases, Queue
from netbootd.api.dropin import Author
from netbootd.api.edit import Done, key_of
from netbootd.api.entry import patched
from netbootd.api.leases import address_of, line
from netbootd.api.no import No, not_found, wrong
from netbootd.errors import Level
from netbootd.http.apicall import JSON, Call, machine_of, nothing, told
from netbootd.http.apireading import in_thread, lease_book, queue_of
from netbootd.http.resource import Answer, Awaited
from netbootd.leases.lease import Address
from netbootd.nearest import there_are
from netbootd.printable import counted
from netbootd.record.standing import Armed
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.targets.notice import Notice

_MOST_TIMES = 1000
_MOST_STANDING = 50  # errors that a reload tells one by one
_LATEST = 253_402_300_799  # the last second that has a date of four digits in its year
_CSV = ("text/csv", "text/tab-separated-values", "text/plain")

Edit = Callable[[Registry, Author], Done]


# -- entries ---------------------------------------------------------------------------------------


def add(call: Call) -> Awaited:
    """A machine that is not listed yet."""
    key, said = _sensible(entry.keyed, object_of(call))
    make = partial(call.desk.editor.add, key, patched({}, said))
    return Awaited(_changed(call, make, key, HTTPStatus.CREATED))


def put(call: Call, who: str) -> Awaited:
    """The whole entry of one."""
    return Awaited(_replaced(call, who, object_of(call)))


async def _replaced(call: Call, who: str, said: dict[str, Any]) -> Answer:
    machine = await _listed(call, who)
    whole = patched({}, _sensible(entry.of, said, key_of(machine)))
    return await _changed(call, partial(call.desk.editor.put, machine, whole), key_of(machine))


def patch(call: Call, who: str) -> Awaited:
    """Some of its keys."""
    return Awaited(_patched(call, who, object_of(call)))


async def _patched(call: Call, who: str, said: dict[str, Any]) -> Answer:
    machine = await _listed(call, who)
    keys = _sensible(entry.of, said, key_of(machine))
    return await _changed(call, partial(call.desk.editor.patch, machine, keys), key_of(machine))


def delete(call: Call, who: str) -> Awaited:
    """What we wrote of it."""
    return Awaited(_deleted(call, who))


async def _deleted(call: Call, who: str) -> Answer:
    machine = await _listed(call, who)
    await _write(call, partial(call.desk.editor.delete, machine))
    return nothing()


def import_table(call: Call) -> Awaited:
    """Many at once, all or none."""
    kind = call.content_type
    if kind not in (*_CSV, JSON):
        told_so = f"a table is text/csv or {JSON}, not {kind or 'of no type'}"
        raise No(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content-type", told_so)
    raw = _body(call)
    return Awaited(_imported(call, table.of_json if kind == JSON else table.of_csv, raw))


async def _imported(call: Call, read: Callable[[bytes], list[table.Row]], raw: bytes) -> Answer:
    counts: dict[str, int] = {}
    editor, dry = call.desk.editor, call.flag("dry_run")

    def make(before: Registry, author: Author) -> Done:
        rows = [(row.key, row.keys) for row in read(raw)]
        changes, added, unchanged = editor.plan(rows, before)
        counts.update(added=added, changed=len(changes) - added, unchanged=unchanged)
        return (editor.check if dry else editor.make)(changes, before, author)

    done = await _write(call, make, dry=dry)
    return told({**counts, "findings": [one.as_dict() for one in done.remarks]})


async def _changed(call: Call, make: Edit, key: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """The machine as it is after *make*, and what there is to say of its entry."""
    done = await _write(call, make)
    picture = call.desk.picture()
    line = values.summary(machine_of(key, picture), picture)
    findings = [one.as_dict() for one in done.remarks]
    return told({**line, "findings": findings}, status)


async def _write(call: Call, make: Edit, *, dry: bool = False) -> Done:
    """What *make* did, once it is in force; one at a time."""
    await call.turn.acquire()
    try:
        before = call.desk.live.snapshot
        done: Done = await in_thread(_made, call, make, before, dry)
        if not dry and done.files:
            await _in_force(call, done)
        return done
    finally:
        call.turn.release()


def _made(call: Call, make: Edit, before: Registry, dry: bool) -> Done:
    """In a thread: users may be looked up over the network, and files are written."""
    done = make(before, _author(call))
    for text in done.altered:
        call.deed.note(text)
    if (more := len(done.files) - len(done.altered)) > 0:
        call.deed.note(f"and {counted(more, 'other machine')}")
    if dry:
        call.deed.note("only tried")
    return done


async def _in_force(call: Call, done: Done) -> None:
    if refused := await call.desk.reload(done.files):
        told_so = f"it is written, but the configuration is not taken: {refused[0]}"
        raise No(HTTPStatus.CONFLICT, "reload-refused", told_so, refused)


def _author(call: Call) -> Author:
    return Author(call.deed.who, "web" if call.by_cookie else "command", call.desk.now())


async def _listed(call: Call, who: str) -> Machine:
    """The machine that has an entry of its own; raises No."""
    machine: Machine = await in_thread(machine_of, who, call.desk.picture())
    registry = call.desk.live.snapshot
    if machine.named in registry.named or (machine.mac in registry.machines and machine.known):
        return machine
    told_so = f"{who} has no entry of its own; add it with POST /api/v1/machines"
    raise No(HTTPStatus.NOT_FOUND, "not-listed", told_so)


# -- orders ----------------------------------------------------------------------------------------


def arm(call: Call, who: str) -> Awaited:
    """What it boots next, instead of its own target."""
    said = object_of(call)
    if "target" in said:
        return Awaited(_armed(call, who, _armed_of(call, said)))
    return Awaited(_armed_as_it_is(call, who, said))


async def _armed_as_it_is(call: Call, who: str, said: Mapping[str, Any]) -> Answer:
    """Its own target, which shall have what it needs a boot that is armed for."""
    machine: Machine = await in_thread(machine_of, who, call.desk.picture())
    return await _armed(call, who, _armed_of(call, {**said, "target": machine.title}))


def _armed_of(call: Call, said: Mapping[str, Any]) -> Armed:
    if unknown := said.keys() - {"target", "times", "until"}:
        raise wrong(f'"{min(unknown):.60}" means nothing here: target, times and until do')
    target, times, until = said.get("target"), said.get("times", 1), said.get("until") or 0
    if not isinstance(target, str):
        raise wrong('"target" must be TYPE/NAME')
    if not _is_whole(times) or not 1 <= times <= _MOST_TIMES:
        raise wrong(f'"times" must be a whole number from 1 to {_MOST_TIMES}')
    if isinstance(until, bool) or not isinstance(until, int | float) or until < 0:
        raise wrong('"until" must be a time in Unix seconds, or 0 for ever')
    if until > _LATEST:
        raise wrong('"until" is beyond the year 9999; 0 is for ever')
    if until and until <= call.desk.now():
        raise wrong('"until" is in the past')
    call.deed.note(f"{target}, {counted(times, 'time')}")
    targets = call.desk.live.snapshot.targets
    found = targets.get(target)
    if found is None or isinstance(found, Notice):
        why = f"does not exist; {there_are(target, targets)}"
        why = "cannot boot; /api/v1/findings says why" if found else why
        told_so = f"target {target:.100} {why}"
        raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "target-unknown", told_so)
    return Armed(target=target, times=times, until=float(until))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def disarm(call: Call, who: str) -> Awaited:
    """Its own target again."""
    return Awaited(_armed(call, who, None))


async def _armed(call: Call, who: str, armed: Armed | None) -> Answer:
    return await _ordered(call, who, lambda key, by: call.desk.orders.arm(key, armed, by))


def release(call: Call, who: str) -> Awaited:
    """It may boot again."""
    return Awaited(_ordered(call, who, call.desk.orders.release))


def go(call: Call, who: str) -> Awaited:
    """It need not wait for its turn to load."""
    return Awaited(_let_go(call, who, queue_of(call)))


async def _let_go(call: Call, who: str, queue: Queue) -> Answer:
    machine = await in_thread(machine_of, who, call.desk.picture())
    by = (await in_thread(_author, call)).who
    queue.let_go(machine.key, by)
    return told(values.summary(machine, call.desk.picture()))


def all_go(call: Call) -> Awaited:
    """Nobody of those who wait need do so."""
    return Awaited(_all_go(call, queue_of(call)))


async def _all_go(call: Call, queue: Queue) -> Answer:
    by = (await in_thread(_author, call)).who
    return told({"count": queue.let_all_go(by)})


def pause(call: Call) -> Awaited:
    """Nobody's turn comes, or it does again."""
    said = object_of(call)
    if said.keys() != {"paused"} or not isinstance(said["paused"], bool):
        raise wrong('send {"paused": true} or {"paused": false}')
    call.deed.note("paused" if said["paused"] else "goes on")
    return Awaited(_paused(call, queue_of(call), said["paused"]))


async def _paused(call: Call, queue: Queue, paused: bool) -> Answer:
    by = (await in_thread(_author, call)).who
    queue.pause(by, paused=paused)
    return told(queue.summary())


async def _ordered(call: Call, who: str, obey: Callable[[str, str], None]) -> Answer:
    """The machine once the order is carried out, and on disk."""
    machine = await in_thread(machine_of, who, call.desk.picture())
    if machine.key != who:
        call.deed.note(machine.key)
    by = (await in_thread(_author, call)).who
    obey(machine.key, by)
    settle = call.desk.live.record.settle
    if settle is not None and not await in_thread(settle):
        told_so = "it is done, but not on disk yet: a restart may forget it; see /api/v1/status"
        raise No(HTTPStatus.SERVICE_UNAVAILABLE, "not-kept", told_so)
    return told(values.summary(machine, call.desk.picture()))


def end_lease(call: Call, who: str) -> Awaited:
    """The address is anybody's again, whatever its holder believes."""
    address = address_of(who)
    if address is None:
        raise not_found(f"{who!r:.60} is no address")
    return Awaited(_lease_ended(call, lease_book(call), address))


async def _lease_ended(call: Call, leases: Leases, address: Address) -> Answer:
    by = (await in_thread(_author, call)).who
    try:
        ended = await leases.release(address, by)
    except OSError as problem:
        told_so = f"the lease is not ended, since that cannot be written: {problem}"
        raise No(HTTPStatus.SERVICE_UNAVAILABLE, "not-kept", told_so) from None
    if ended is None:
        raise No(HTTPStatus.NOT_FOUND, "no-such-lease", f"nobody has {address}")
    call.deed.note(f"was that of {ended.mac or 'nobody'}")
    return told(line(ended, call.desk.picture(), leases.clock()))


def reload(call: Call) -> Awaited:
    """Read the configuration now."""
    return Awaited(_reloaded(call))


async def _reloaded(call: Call) -> Answer:
    if refused := await call.desk.reload(()):
        told_so = f"the configuration is not taken: {refused[0]}"
        raise No(HTTPStatus.CONFLICT, "reload-refused", told_so, refused)
    desk = call.desk
    call.deed.note(desk.told.last_reload)
    registry, changes = desk.live.snapshot, desk.told.last_reload
    return told({"generation": registry.generation, "changes": changes, **_standing(registry)})


def _standing(registry: Registry) -> dict[str, Any]:
    """What costs machines or targets in *registry*: how many, and the worst of them."""
    grave = [one for one in registry.findings if one.level >= Level.TARGET]
    worst_first = sorted(grave, key=lambda one: -one.level)[:_MOST_STANDING]
    return {"errors": len(grave), "findings": [one.as_dict() for one in worst_first]}


# -- bodies ----------------------------------------------------------------------------------------


def object_of(call: Call) -> dict[str, Any]:
    """The body, an object in JSON; raises No."""
    kind = call.content_type
    if kind not in (JSON, "application/merge-patch+json"):
        told_so = f"send Content-Type: {JSON}, not {kind or 'none'}"
        raise No(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content-type", told_so)
    return body.parse_object(_body(call))


def _body(call: Call) -> bytes:
    if call.asked.cut:
        told_so = "the body is longer than 1 MiB; send it in parts"
        raise No(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long", told_so)
    return call.asked.body


def _sensible(read: Callable[..., Any], *arguments: Any) -> Any:
    """What *read* gives; raises No where that raises ValueError."""
    try:
        return read(*arguments)
    except ValueError as problem:
        raise No(HTTPStatus.UNPROCESSABLE_ENTITY, "refused", str(problem)) from None
