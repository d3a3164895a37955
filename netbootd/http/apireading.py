"""
What the API tells: pages that change nothing.  What takes time is made in a thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from twisted.internet.threads import deferToThread

from netbootd.api import leases as addresses
from netbootd.api import values
from netbootd.api.diagnosing import Seen, diagnosis
from netbootd.api.no import No, not_found, wrong
from netbootd.api.values import hostname
from netbootd.boot.pace import OFF
from netbootd.boots.boot import Boot
from netbootd.http.apicall import Call, key_of, machine_of, told, told_list
from netbootd.http.resource import Answer, Awaited, Work
from netbootd.why.diagnosis import State

_MOST_BOOTS = 1000
_MOST_FINDINGS = 5000
_MOST_LINES = 5000
_LEASES = 10_000  # that are told of unless more are asked for


# -- machines --------------------------------------------------------------------------------------


def machines(call: Call) -> Work:
    """The list, as far as it fits the query."""
    query = call.asked.query
    state = query.get("state", "")
    if state and state not in list(State):
        raise wrong(f'"state" must be one of {", ".join(State)}, not {state!r:.40}')
    wanted = partial(
        values.wanted, state=state, group=query.get("group", ""), text=query.get("q", "").strip()
    )
    picture = call.desk.picture()

    def make() -> Answer:
        lines = (values.summary(one, picture) for one in picture.machines().values())
        head = {"generation": picture.registry.generation, "now": picture.now}
        return told_list(head, "machines", filter(wanted, lines))

    return Work(make)


def machine(call: Call, who: str) -> Work:
    """One, with all that is written of it."""
    picture, desk = call.desk.picture(), call.desk

    def make() -> Answer:
        found = machine_of(who, picture)
        entry = desk.editor.written(found)
        return told(
            {
                **values.summary(found, picture),
                "variables": picture.registry.variables_of(found),
                "written": entry.value,
                "file": found.place.file,
                "line": found.place.line,
                "managed": entry.managed,
            }
        )

    return Work(make)


def unknown(call: Call) -> Work:
    """Who asked, and is not listed."""
    strangers = call.desk.boots.strangers() if call.desk.boots else ()
    head = {"now": call.desk.now()}
    return Work(lambda: told_list(head, "machines", map(_stranger, strangers)))


def _stranger(one: Any) -> dict[str, Any]:
    names = ("first", "last", "times", "arch", "uuid", "interface", "vendor_class", "relay")
    said = {name: getattr(one, name) for name in (*names, "netboot")}
    return {"mac": str(one.mac), **said}


def fleet(call: Call) -> Work:
    """All machines at a glance."""
    picture = call.desk.picture()
    return Work(lambda: told(values.fleet(picture)))


# -- boots -----------------------------------------------------------------------------------------


def boots(call: Call, who: str) -> Awaited:
    """The last ones of a machine, newest first."""
    return Awaited(_boots(call, who, call.number("limit", 20, 1, _MOST_BOOTS)))


async def _boots(call: Call, who: str, limit: int) -> Answer:
    record, picture = _record(call), call.desk.picture()
    key = await in_thread(key_of, who, picture)
    found = await record.boots(key, limit)
    answer: Answer = await in_thread(told_list, {}, "boots", map(Boot.as_dict, found))
    return answer


def timeline(call: Call, who: str) -> Awaited:
    """The latest boot of a machine."""
    return Awaited(_timeline(call, who))


async def _timeline(call: Call, who: str) -> Answer:
    record, picture = _record(call), call.desk.picture()
    key = await in_thread(key_of, who, picture)
    found = picture.boots.get(key)
    if found is None:
        found = next(iter(await record.boots(key, 1)), None)
    return told({"boot": found.as_dict() if found else None})


def boot(call: Call, number: str) -> Awaited:
    """One boot by its number."""
    if not (number.isascii() and number.isdecimal()) or len(number) > 18:
        raise not_found(f"boots have numbers; {number!r:.40} is none")
    return Awaited(_boot(call, int(number)))


async def _boot(call: Call, number: int) -> Answer:
    found = await _record(call).boot(number)
    if found is None:
        raise not_found(f"there is no boot {number}, or it is too old")
    return told(found.as_dict())


def why(call: Call, who: str) -> Awaited:
    """What keeps a machine from booting, as far as it can be told."""
    return Awaited(_why(call, who))


async def _why(call: Call, who: str) -> Answer:
    desk, picture = call.desk, call.desk.picture()
    key = await in_thread(key_of, who, picture)
    boots = desk.boots
    seen = Seen(
        boots=tuple(boots.recent(key)) if boots else (),
        words=desk.logs.last_words(key) if desk.logs else (),
        refused=tuple(desk.told.refused),
        heard=dict(boots.heard) if boots else {},
        strangers=tuple(boots.strangers()) if boots else (),
        transfers=tuple(desk.transfers()),
        leases=desk.leased() if desk.leases else None,
    )
    return told((await in_thread(diagnosis, key, picture, seen)).as_dict())


def logs(call: Call, who: str) -> Work:
    """The last lines of a machine, or of an address that is nobody's."""
    book, picture = call.desk.logs, call.desk.picture()
    limit = call.number("limit", 200, 1, _MOST_LINES)
    boot = call.number("boot", 0, 0, 1 << 62)
    before = call.asked.query.get("before", "")
    if book is None:
        raise No(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "no logs are kept")

    def make() -> Answer:
        key = who if _is_address(who) else key_of(who, picture)
        return told_list({}, "lines", book.tail(key, limit, boot, before))

    return Work(make)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _record(call: Call) -> Any:
    if call.desk.boots is None:
        told_so = "there is no record of boots"
        raise No(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", told_so)
    return call.desk.boots


# -- addresses -------------------------------------------------------------------------------------


def leases(call: Call) -> Work:
    """Who has which address, and how full the pools are."""
    query, text = call.asked.query, call.asked.query.get("q", "").strip()
    state = query.get("state", "")
    if state and state not in addresses.STATES:
        raise wrong(f'"state" must be one of {", ".join(addresses.STATES)}, not {state!r:.40}')
    try:
        within = addresses.network_of(query.get("subnet", "").strip())
    except ValueError as problem:
        raise wrong(f'"subnet" must be a network: {problem}') from None
    limit = call.number("limit", _LEASES, 1, 1 << 20)
    lease_book(call)
    moment = call.desk.leased()

    def make() -> Answer:
        found = list(addresses.listed(moment, state, within, text))
        head = {
            "now": moment.picture.now,
            "total": len(found),
            "pools": addresses.pools(moment.usage),
            "foreign": addresses.foreigners(moment.foreign),
            "trouble": moment.trouble,
        }
        lines = (addresses.line(one, moment.picture, moment.clock) for one in found[:limit])
        return told_list(head, "leases", lines)

    return Work(make)


def lease_book(call: Call) -> Any:
    """Where leases are kept; raises No where none are."""
    if call.desk.leases is None:
        raise No(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "no leases are kept")
    return call.desk.leases


# -- the queue of a storm --------------------------------------------------------------------------


def pace(call: Call) -> Work:
    """Who waits for its turn to load, the next first; nobody while the setting is off."""
    queue, picture = call.desk.pace, call.desk.picture()
    if queue is None:
        raise _unpaced()
    head, lines = {"now": picture.now, **queue.summary()}, queue.lines()

    def make() -> Answer:
        machines = picture.machines()
        named = (
            {**one, "hostname": hostname(machines[one["key"]]) if one["key"] in machines else ""}
            for one in lines
        )
        return told_list(head, "places", named)

    return Work(make)


def queue_of(call: Call) -> Any:
    """Who knows the queue; raises No where there is none."""
    if call.desk.pace is None or not call.desk.live.snapshot.config.pace.enabled:
        raise _unpaced()
    return call.desk.pace


def _unpaced() -> No:
    return No(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", OFF)


# -- the daemon ------------------------------------------------------------------------------------


def status(call: Call) -> Work:
    """How the daemon is."""
    desk, picture = call.desk, call.desk.picture()
    base, refused = desk.status(), tuple(desk.told.refused)

    def make() -> Answer:
        lines = (values.summary(one, picture) for one in picture.machines().values())
        own = {"now": picture.now, "counts": values.counts(lines)}
        return told({**base, **own, "refused": _findings(refused)})

    return Work(make)


def findings(call: Call) -> Work:
    """What the configuration in force is blamed for, and what keeps a newer one out."""
    registry, desk = call.desk.live.snapshot, call.desk
    head = {"generation": registry.generation, "last_reload": desk.told.last_reload}
    refused, found = tuple(desk.told.refused), registry.findings

    def make() -> Answer:
        worst_first = sorted(found, key=lambda one: -one.level)[:_MOST_FINDINGS]
        return told({**head, "refused": _findings(refused), "findings": _findings(worst_first)})

    return Work(make)


def _findings(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [one.as_dict() for one in found]


def transfers(call: Call) -> Answer:
    """What is on its way now."""
    running = values.transfers(call.desk.transfers(), call.desk.picture())
    return told({"transfers": list(running)})


def targets(call: Call) -> Work:
    """The names of all targets."""
    registry = call.desk.live.snapshot
    return Work(lambda: told({"targets": sorted(registry.targets)}))


def groups(call: Call) -> Work:
    """The names of all groups."""
    registry = call.desk.live.snapshot
    return Work(lambda: told({"groups": list(registry.groups)}))


def in_thread(make: Any, *arguments: Any) -> Awaitable[Any]:
    """What *make* gives, made beside the reactor's thread."""
    made: Awaitable[Any] = deferToThread(make, *arguments)
    return made
