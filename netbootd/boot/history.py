"""
Between the decision and the record: what is remembered goes into a boot script, and what was
served comes out of it.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import boots_now, identify, refusal
from netbootd.boot.script import BootScript, Past
from netbootd.mac import MAC
from netbootd.neighbours import Tie
from netbootd.record.record import Record
from netbootd.record.standing import Attempt, Outcome, Standing, fetches, holds, reports
from netbootd.registry import secrecy
from netbootd.registry.facts import facts_of
from netbootd.registry.machine import Machine
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Facts, Target
from netbootd.targets.menu import Menu


def past(client: Client, registry: Registry, record: Record, tie: Tie | None = None) -> Past:
    """
    What *record* has of the machine that *client* is; a token only where it may have one.

    *tie* is the card that the kernel has at the client's address, None where it was not asked.
    """
    machine = identify(client, registry)
    if machine is None:
        return Past(now=record.now())
    key = machine.key
    standing = record.of(key)
    if registry.config.private and lives_elsewhere(machine, standing, client.address):
        token = record.dead_token(key)
    else:
        token = record.next_token(key)
    known = Past(standing=standing, now=record.now(), token=token, machine=machine)
    return _proven(known, client.address, registry, record, tie) if registry.seals else known


def _proven(past: Past, address: str, registry: Registry, record: Record, tie: Tie | None) -> Past:
    """*past*, with the proof for what is secret, or why there is none."""
    machine, armed = past.machine, past.standing.armed
    assert machine is not None
    if registry.config.secrets.armed and not (armed and armed.valid(past.now)):
        unarmed = f"this boot was not armed: 'netbootd next {machine.mac or machine.key}' does that"
        past = replace(past, unarmed=unarmed)
    if why := doubt(machine, address, tie):
        return replace(past, unproven=why)
    return replace(past, proof=record.next_proof(machine.key))


def doubt(machine: Machine, address: str, tie: Tie | None) -> str:
    """Why nobody can tell that *machine* itself is at *address*; empty where the kernel knows."""
    cards = secrecy.cards_of(machine)
    if not cards:
        return "its entry has no MAC by which it could be known"
    if tie is None:
        return "only who asks by HTTP, as iPXE does, can be known for it"
    if tie.card is None:
        return f"nobody can tell who is at {address}: {tie.why}"
    if tie.card not in cards:
        return f"{address} is {tie.card}"
    return ""


def machine_of(mac: MAC, registry: Registry, sightings: Sightings) -> Machine | None:
    """The machine that the card *mac* is, with all that was learned of it."""
    if (found := registry.machines.get(mac)) is not None:
        return found
    client = Client(stage=Stage.IPXE, mac=mac).marked(sightings.of(mac))
    return identify(client, registry)


def lives_elsewhere(machine: Machine, standing: Standing, peer: str) -> bool:
    """
    Whether *peer* is not the address where *machine* is known to be: its ``ip``, else where it last
    booted.

    Anybody may look at a machine's script; that must not count as its boot.
    """
    known = machine.variables.get("ip") or (standing.latest.peer if standing.latest else "")
    return bool(known) and known != peer


def is_it(machine: Machine, peer: str, token: str, record: Record) -> bool:
    """
    Whether whoever asks from *peer* with *token* is *machine* itself, as far as the token of its
    boot or its address tell.
    """
    if record.attempt_of(machine.key, token) is not None:
        return True
    if (own := machine.variables.get("ip")) is not None:
        return bool(own == peer)
    return record.at(peer)[0] == machine.key


def may_claim(machine: Machine, registry: Registry, record: Record) -> bool:
    """
    Whether the last boot of *machine* may still have secrets, which the next one ends.

    Whoever cannot be told to be the machine must not end it by a look at what it boots next.
    """
    latest = record.of(machine.key).latest if registry.seals else None
    if latest is None or abs(record.now() - latest.began) > registry.config.secrets.window:
        return False
    target = target_of(latest, machine, registry)
    return target is not None and secrecy.is_sealed(machine.booting(target), registry)


def note(
    client: Client,
    script: BootScript,
    registry: Registry,
    record: Record,
    *,
    surely: bool,
    tie: Tie | None = None,
) -> bool:
    """
    Remember that *client* was given *script*: a boot attempt, or a hold; False where it is neither.

    *surely*: it says that it is iPXE; another counts if nothing speaks against it.  *tie* as in
    ``past``: where the last boot ``may_claim``, only the machine's own card begins another, but for
    one that must not be given twice.
    """
    machine = script.machine
    if machine is None or client.mac is None or not (script.holds or script.boots):
        return False
    key = machine.key
    if not surely and lives_elsewhere(machine, record.of(key), client.address):
        return False
    repeatable = not (script.armed or machine.target.common.once)
    if repeatable and may_claim(machine, registry, record) and doubt(machine, client.address, tie):
        return False
    if script.holds:
        standing = holds(record.of(key), script.holds)
        record.put(key, standing, listed=machine.known)
    if script.boots:
        record.begin(
            key,
            machine.title,
            armed=script.armed,
            mac=client.mac,
            peer=client.address,
            listed=machine.known,
        )
        if machine.target.common.once and not _we_see_its_end(machine.target, registry):
            end(machine, registry, record, record.of(key).latest, Outcome.DONE)
    return True


def _we_see_its_end(target: Target, registry: Registry) -> bool:
    """Whether the node will tell, or its last file comes from us."""
    last = target.last_file
    ours = last.startswith("/") or bool(
        registry.boot_server and last.startswith(f"{registry.boot_server}/")
    )
    return target.common.calls_back or ours


def fetched(path: str, peer: str, registry: Registry, record: Record) -> None:
    """
    A whole file, *path* below the file root, went to *peer*.

    The boot that its machine is in is a real one; and it is all there is to see of a program that
    cannot call back, where this was its last file.
    """
    key, attempt = record.attempt_at(peer)
    mac = MAC.maybe(attempt.mac) if attempt else None
    machine = registry.by_key(key, mac, peer) if mac else None
    if machine is None or machine.key != key or attempt is None:
        return
    if not attempt.fetched:
        record.put(key, fetches(record.of(key), peer), listed=machine.known)
    target = target_of(attempt, machine, registry)
    silent = target is not None and target.common.once and not target.common.calls_back
    if silent and target is not None and _same_path(target.last_file, path):
        end(machine, registry, record, record.of(key).of_peer(peer), Outcome.DONE)


def _same_path(location: str, path: str) -> bool:
    return unquote(urlsplit(location).path).lstrip("/") == path.lstrip("/")


def end(
    machine: Machine,
    registry: Registry,
    record: Record,
    attempt: Attempt | None,
    outcome: Outcome,
    output: str = "",
) -> bool:
    """*attempt* of *machine* is over; False where that was known before."""
    if attempt is None or attempt.outcome is outcome:
        return False
    target = target_of(attempt, machine, registry)
    once = target is not None and target.common.once
    standing = reports(
        record.of(machine.key), attempt, outcome, once=once, now=record.now(), output=output
    )
    record.put(machine.key, standing, listed=machine.known)
    return True


def target_of(attempt: Attempt, machine: Machine, registry: Registry) -> Target | None:
    """What *attempt* booted, None where the configuration does not have it any more."""
    if attempt.target == machine.target.title:
        return machine.target  # with what the machine replaces in it
    return registry.targets.get(attempt.target)


def running(machine: Machine, registry: Registry, standing: Standing, now: float) -> Target:
    """
    What *machine* runs, as far as we know: what its last boot was, else what it would boot now.

    The configuration may have changed since; then what it says counts, but a boot that was armed,
    or chosen from the machine's menu, stays what it is until the next.
    """
    latest = standing.latest
    own = machine.target
    if latest is not None and (
        latest.order
        or latest.target == own.title
        or (isinstance(own, Menu) and own.offers(latest.target))
    ):
        target = target_of(latest, machine, registry)
        if target is not None:
            return target
    return boots_now(machine, registry, standing, now)[0]


def provided(
    client: Client, registry: Registry, record: Record, base: str
) -> tuple[Machine, Facts] | None:
    """
    The machine that *client* is, with the target it runs, and what may be said to it.

    None for one that is not served.  What is secret of it is for the caller to keep.
    """
    machine = identify(client, registry)
    if machine is None or client.mac is None or refusal(client, machine, registry):
        return None
    standing = record.of(machine.key)
    machine = machine.booting(running(machine, registry, standing, record.now()))
    sealed = secrecy.is_sealed(machine, registry)
    token = (record.proof if sealed else record.token)(machine.key, standing.latest)
    facts = facts_of(client.mac, machine, registry, base, client.address, token, asks=client.asks)
    return machine, facts
