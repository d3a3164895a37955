"""
Signatures of a machine that has no address, where we are the DHCP server: the pool is empty, its
address is somebody else's, it was told no, it took another server's offer, or none.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd.boots.boot import Code, Note, Stage
from netbootd.printable import printable
from netbootd.why.case import Case, Signature, because, some, span, text
from netbootd.why.diagnosis import Cause
from netbootd.why.moments import moment

_OURS = (
    *(Code.LEASE_OFFERED, Code.LEASED, Code.NAKED, Code.NO_ADDRESS),
    *(Code.ADDRESS_IN_USE, Code.FOREIGN_SERVER),
)
_OFFERS = (Stage.DISCOVER, Stage.OFFER, Stage.IPXE_DISCOVER, Stage.IPXE_OFFER)

_OWN = ', or an "ip" to this machine'
#: By the code of a NoAddress: a name for the cause, how sure it is, and what to do.
_NONE: dict[str, tuple[str, int, str]] = {
    "exhausted": (
        "pool-exhausted",
        97,
        'Give {subnet} more addresses ("pools"){own}; shorten "lease_time"; '
        "netbootd leases shows who has them, and netbootd leases release ADDRESS ends one.",
    ),
    "no-pool": (
        "no-pool",
        97,
        'Write "pools" into {subnet}{own}.',
    ),
    "port-limit": (
        "port-limit",
        97,
        "Look who asks behind that port of the relay; list this machine, or raise "
        '"port_limit" of {subnet}.',
    ),
    "unsaved": (
        "leases-unsaved",
        98,
        "netbootd status says what is wrong with the state folder: make room on that disk, or "
        'make it writable. Machines with an "ip" are served meanwhile.',
    ),
    "unlisted": (
        "address-unlisted",
        96,
        'List it (netbootd machines add), or set "known_only": false for {subnet}.',
    ),
}


def serves(case: Case) -> bool:
    """Whether we are the DHCP server of this machine: addresses come from here, or do not."""
    return any(note.code in _OURS for note in case.boot.notes)


def leases(case: Case) -> tuple[Note, ...]:
    """What it has of us as a netboot client."""
    return tuple(note for note in case.notes(Code.LEASED) if note.data.get("netboot") is not False)


def _unsettled(case: Case, of: Code, *answers: Code) -> tuple[Note, ...]:
    """
    The notes *of* after which it got no address, nor anything else of *answers*.

    Who fetched something had an address, from whomever.
    """
    settled = [note.until for code in (Code.LEASED, *answers) for note in case.notes(code)]
    settled += [step.at for step in case.boot.steps if step.stage not in _OFFERS]
    since = max(settled, default=0.0)
    return tuple(note for note in case.notes(of) if note.until > since)


def no_address(case: Case) -> Iterator[Cause]:
    """We had none for it."""
    notes = _unsettled(case, Code.NO_ADDRESS)
    if not notes:
        return
    last = notes[-1]
    subnet = printable(text(last, "subnet"), 40) or "its subnet"
    reason = printable(text(last, "reason"), 200)
    usual = ("no-address", 95, "netbootd leases and netbootd status show more.")
    code, confidence, advice = _NONE.get(text(last, "code"), usual)
    machine = case.evidence.machine
    reserved = machine is not None and case.evidence.known and machine.address is not None
    yield Cause(
        code=code,
        sentence=f"{case.called} got no address of {subnet}: {reason}.",
        confidence=confidence,
        because=because(_asked(case), *some(notes, 2)),
        advice=advice.format(subnet=subnet, own="" if reserved else _OWN),
    )


def never_asked(case: Case) -> Iterator[Cause]:
    """It runs and has an address of ours, and network boot has no part in that."""
    lease, notes = case.evidence.lease, case.notes(Code.LEASED, netboot=False)
    if case.rank >= 0 or not (lease or notes):
        return
    last = text(notes[-1], "address") if notes else ""
    address, since = lease or (last, notes[-1].at)
    yield Cause(
        code="not-a-netboot-client",
        sentence=f"{case.called} has the address {address} since {moment(since)}, as a running "
        "system has, and it never asked to boot.",
        confidence=88,
        because=because(*some(notes)) or (f"lease of {address} since {moment(since)}",),
        advice="It boots from its disk. To boot it from here, make network boot the first boot "
        "device in its setup (UEFI: Boot Order, PXE IPv4, network stack enabled; BIOS: Option "
        "ROM, LAN boot), and start it anew.",
    )


def in_use(case: Case) -> Iterator[Cause]:
    """Somebody uses the address that it was to have."""
    notes = _unsettled(case, Code.ADDRESS_IN_USE)
    if not notes:
        return
    last = notes[-1]
    address, by = text(last, "address"), printable(text(last, "by"), 120)
    yield Cause(
        code="address-in-use",
        sentence=f"The address {address} that {case.called} was to have is used by "
        f"{by or 'somebody else, as it says itself'}.",
        # Where nothing is free besides, the one comes of the other.
        confidence=98,
        because=because(_asked(case), *some(notes, 2)),
        advice=f"Find {by or f'who answers for {address} (arping, the tables of the switch)'} and "
        "give it another address: one that is written into a machine by hand must lie outside "
        'the pools ("exclude"), or be the "ip" of that machine.',
    )


def told_no(case: Case) -> Iterator[Cause]:
    """A NAK, and no lease after it."""
    notes = _unsettled(case, Code.NAKED)
    if not case.over or not notes:
        return
    last = notes[-1]
    yield Cause(
        code="address-refused",
        sentence=f"{case.called} asked for {text(last, 'address')} and was told no (DHCPNAK): "
        f"{printable(text(last, 'reason'), 200)}.",
        confidence=93,
        because=because(_asked(case), *some(notes, 2), f"no lease for {span(case.silent)}"),
        advice="A client that hears a NAK begins anew with a DISCOVER; one that goes on with its "
        "old address has it written down. Is it in another network than before, or has its "
        '"ip" changed? netbootd leases shows who has that address.',
    )


def foreign_server(case: Case) -> Iterator[Cause]:
    """It took the offer of a server that should not be there."""
    if not case.over or not serves(case) or not case.is_at(*_OFFERS):
        return
    taken = tuple(note for note in _unsettled(case, Code.REQUESTED) if text(note, "server"))
    if not taken:
        return
    server = printable(text(taken[-1], "server"), 40)
    seen = case.notes(Code.OVERHEARD, server=text(taken[-1], "server"))
    yield Cause(
        code="foreign-dhcp-server",
        sentence=f"{case.called} took the address of another DHCP server, {server}, and not ours: "
        "two give addresses in this network.",
        confidence=96,
        because=because(case.step(Stage.OFFER), *some(taken, 2), *some(seen, 1)),
        advice=f"Switch off the DHCP server at {server} (a router, a Wi-Fi access point, a virtual "
        'machine?), or let it be the one: "dhcp" : "proxy" for this network. netbootd doctor '
        "asks all of them.",
    )


def not_requested(case: Case) -> Iterator[Cause]:
    """We offered an address, and it asked for none."""
    offered = _unsettled(case, Code.LEASE_OFFERED, Code.REQUESTED, Code.NAKED)
    if not case.over or not offered or not case.is_at(*_OFFERS):
        return
    yield Cause(
        code="offer-not-requested",
        sentence=f"{case.called} was offered {text(offered[-1], 'address')}, and never asked for "
        "it: it does not hear our offers, or does not like them.",
        confidence=88,
        because=because(_asked(case), *some(offered, 2), "no REQUEST"),
        advice="Does a switch drop them (DHCP snooping: trust the port of this server), or a "
        "filter (UDP port 68)? Behind a relay: is there a route back to it? Firmware that wants "
        "a boot file waits for an offer with one: netbootd explain says what ours had.",
    )


def _asked(case: Case) -> str:
    """When it asked, for the list of reasons."""
    step = case.step(Stage.IPXE_DISCOVER) or case.step(Stage.DISCOVER)
    return because(step)[0] if step else ""


SIGNATURES: tuple[Signature, ...] = (
    no_address,
    in_use,
    told_no,
    foreign_server,
    not_requested,
)
