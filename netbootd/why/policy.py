"""
Signatures of what the configuration wills: nothing is broken, and the machine boots all the same
not what its admin thinks.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd.boot.waiting import SAYS as WAITS
from netbootd.boots.boot import Code, Note, Stage
from netbootd.printable import printable
from netbootd.record.claims import SECOND
from netbootd.why.case import Case, Signature, arming, because, text, told_note
from netbootd.why.diagnosis import Cause, State


def held(case: Case) -> Iterator[Cause]:
    """The loop guard, or an operator, holds it."""
    reason = case.evidence.standing.held
    if reason:
        yield Cause(
            code="held",
            sentence=f"{case.called} is held and boots nothing: {printable(reason, 300)}",
            confidence=98,
            because=because(*case.notes(Code.HELD)[-2:]) or (printable(reason, 300),),
            advice=_before_release(reason) + f", then: netbootd release {case.evidence.key}",
        )


def _before_release(reason: str) -> str:
    if reason.startswith(SECOND):
        return "Find out who else asked, and change the secret if anybody has it"
    return "Mend what made it go in circles"


def waits(case: Case) -> Iterator[Cause]:
    """Its script has it wait, and that is the last that was seen of it."""
    last = max(case.boot.steps, key=lambda step: step.until, default=None)
    if last is not None and last.stage is Stage.SCRIPT and last.note == WAITS:
        yield Cause(
            code="waits-its-turn",
            sentence=f"{case.called} waits for its turn: others load, one after another.",
            confidence=95,
            because=because(last),
            advice=f"Nothing; 'netbootd pace' shows its place, and to let it load at once: "
            f"netbootd pace go {case.evidence.key}",
        )


def disabled(case: Case) -> Iterator[Cause]:
    """Its entry is switched off."""
    if not case.evidence.enabled:
        yield Cause(
            code="machine-disabled",
            sentence=f'The entry of {case.called} is switched off ("enabled": false), so it boots '
            "its own disk.",
            confidence=99,
            because=because(_entry(case)),
            advice='Take "enabled": false out of the entry'
            f"{_where(case)}, or: netbootd machines set {case.evidence.key} enabled=true",
        )


def _entry(case: Case) -> str:
    machine = case.evidence.machine
    return f"{machine.place}: {machine.written or machine.key}" if machine else ""


def _where(case: Case) -> str:
    machine = case.evidence.machine
    return f" ({machine.place})" if machine else ""


def unknown(case: Case) -> Iterator[Cause]:
    """It is not in the configuration, so it got nothing, or the default."""
    evidence = case.evidence
    turned_away = case.notes(Code.UNSERVED, code="unknown")
    if evidence.known:
        return
    sentence = f"{case.called} is not in the configuration"
    if turned_away:
        sentence += ", and machines that are not listed get no answer."
    elif evidence.machine is not None and case.rank >= 0:
        sentence += f", so it gets the default: {printable(evidence.machine.title, 80)}."
    else:
        sentence += "."
    if evidence.near:
        sentence += f" {evidence.near} is listed, differs a little, and was never seen."
    mac = evidence.macs[0] if evidence.macs else evidence.key
    slip = f"Correct the MAC of {evidence.near}, or add" if evidence.near else "Add"
    yield Cause(
        code="unknown-machine",
        sentence=sentence,
        confidence=78 if evidence.refused and evidence.in_refused is not False else 97,
        because=because(*turned_away[-2:]) or (f"generation {evidence.generation} has no {mac}",),
        advice=f"{slip} it: netbootd machines add {mac} {_what_it_boots(evidence.groups)}",
    )


def _what_it_boots(groups: tuple[str, ...]) -> str:
    """The option that says so; groups are for those who have some."""
    if not groups:
        return "--target TYPE/NAME"
    return f"--group {printable(groups[0], 80) if len(groups) == 1 else 'GROUP'}"


def refused_reload(case: Case) -> Iterator[Cause]:
    """The newest configuration was refused, and the machine is only there, or is other there."""
    evidence = case.evidence
    if not evidence.refused or evidence.in_refused is False:
        return
    missing = not evidence.known
    named = evidence.in_refused is True or _is_named(case)
    if not (missing or named):
        return
    served = f"generation {evidence.generation} is still served"
    if missing and evidence.in_refused:
        sentence = f"{case.called} stands only in a configuration that was refused: {served}."
    elif missing:
        sentence = f"{case.called} is not in the configuration that is served, and the newest one "
        sentence += f"was refused: {served}."
    else:
        sentence = f"The newest configuration, which names {case.called}, was refused: {served}."
    yield Cause(
        code="reload-refused",
        sentence=sentence,
        confidence=_sure_of_refusal(case, missing=missing, named=named),
        because=tuple(printable(one, 300) for one in evidence.refused[:3]),
        advice="Mend what 'netbootd check' tells of, then: netbootd reload",
    )


def _sure_of_refusal(case: Case, *, missing: bool, named: bool) -> int:
    if missing:
        return 98 if named else 80
    return 60 if case.state in (State.UP, State.BOOTING) else 45


def _is_named(case: Case) -> bool:
    """Whether a finding speaks of the machine or its target."""
    evidence = case.evidence
    names = {evidence.key, evidence.name, evidence.target.title, *evidence.macs} - {""}
    return any(name in one for one in evidence.refused for name in names)


def unserved(case: Case) -> Iterator[Cause]:
    """A DISCOVER came, and we had a reason not to answer."""
    for note in _last_of_each_reason(case):
        reason = text(note, "code")
        if reason == "unknown" or not _is_the_end(case, note):
            continue
        code, sentence, advice = _UNSERVED.get(reason, _OTHERWISE)
        yield Cause(
            code=code,
            sentence=sentence.format(name=case.called, text=printable(note.text, 300)),
            confidence=96 if reason in _UNSERVED else 85,
            because=(told_note(note),),
            advice=advice,
        )


def _last_of_each_reason(case: Case) -> list[Note]:
    notes = {text(note, "code"): note for note in case.notes(Code.UNSERVED)}
    return sorted(notes.values(), key=lambda note: -note.until)


def _is_the_end(case: Case, note: Note) -> bool:
    """Whether the boot came no further after *note*; a step may begin with it."""
    return note.until >= max((step.at for step in case.boot.steps), default=note.until)


_OTHERWISE = ("unserved", "{name} asked, and was not answered: {text}", "See the reason.")
_UNSERVED = {
    "subnet": (
        "subnet-unserved",
        "{name} asks from a subnet where nobody is served: {text}",
        'Set "enabled": true for that subnet in the section "subnets", or list the network.',
    ),
    "no-loader": (
        "loader-missing",
        "There is no loader for the architecture of {name} on this server: {text}",
        "Put the file there (netbootd firmware lists what is missing), then: netbootd reload",
    ),
    "no-arch": (
        "architecture-unknown",
        "The firmware of {name} does not say what it is, so no loader can be chosen: {text}",
        "Update the firmware of its card, or have it start iPXE from its ROM or a USB stick.",
    ),
    "relay": (
        "relay-without-giaddr",
        "The DISCOVERs of {name} come through a relay that does not give its address (giaddr is "
        "0.0.0.0), so no answer finds back.",
        "Make the router relay DHCP to this server by its address (Cisco: ip helper-address, "
        "Linux: dhcrelay), and not forward broadcasts (ip directed-broadcast, socat).",
    ),
    "proxyless": (
        "heeds-no-proxy",
        "The firmware of {name} takes its boot file from the DHCP server alone: {text}",
        "Let the DHCP server name it: next-server (siaddr) is this server, the file as told.",
    ),
    "reserved": (
        "architecture-unknown",
        "The firmware of {name} says an architecture that means nothing: {text}",
        "Update the firmware of its card.",
    ),
    "no-uuid": (
        "no-uuid",
        "{name} did not tell the UUID by which it is listed: {text}",
        "List it by its MAC.",
    ),
}


def broken_target(case: Case) -> Iterator[Cause]:
    """What it should boot cannot be booted, and its script says so on the console."""
    step = case.step(Stage.SCRIPT)
    reason = case.evidence.target.broken
    if step is not None and step.trouble and case.is_at(Stage.SCRIPT) and case.evidence.known:
        reason = reason or ("" if case.evidence.standing.held else step.trouble)
    if not reason or case.state is State.UP:
        return
    yield Cause(
        code="target-broken",
        sentence=f"What {case.called} should boot, {case.evidence.target.title or 'its target'}, "
        f"cannot be booted: {printable(reason, 300)}",
        confidence=96,
        because=because(step) or (printable(reason, 300),),
        advice=arming(case)
        if " has secrets for " in reason
        else "Mend the target: 'netbootd check' says where; then: netbootd reload",
    )


SIGNATURES: tuple[Signature, ...] = (
    held,
    waits,
    disabled,
    unknown,
    refused_reload,
    unserved,
    broken_target,
)
