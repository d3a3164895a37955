"""
Why a machine does not boot: the furthest stage, the packet that is missing, the likely causes.

Every signature looks at the same case by itself and says how sure it is; the surest comes first.  A
machine that is up has nothing wrong with it, and of one that is on its way nothing is said before
the time that its stage may take is over; but that a newer configuration was refused, or a port
lost half a minute, is worth a word even then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netbootd.boots.boot import Outcome, Stage
from netbootd.why import address, console, files, firmware, policy, script, system, transfer
from netbootd.why.case import Case, Signature, case_of
from netbootd.why.diagnosis import Cause, Diagnosis, State
from netbootd.why.evidence import Evidence
from netbootd.why.moments import clock
from netbootd.why.patience import state_of

__all__ = ["diagnose", "state_of"]

SIGNATURES: tuple[Signature, ...] = (
    *policy.SIGNATURES,
    *address.SIGNATURES,
    *firmware.SIGNATURES,
    *transfer.SIGNATURES,
    *script.SIGNATURES,
    *files.SIGNATURES,
    *system.SIGNATURES,
    *console.SIGNATURES,
)
_REMARKS: tuple[Signature, ...] = (
    address.never_asked,
    policy.refused_reload,
    policy.waits,
    transfer.slow_port,
)
_MOST_CAUSES = 6
#: What should come after each stage.
_NEXT: Mapping[Stage | None, str] = {
    None: "DISCOVER of its firmware (UDP port 67)",
    Stage.DISCOVER: "our OFFER",
    Stage.OFFER: "request to port 4011, or the read request for its loader (UDP port 69)",
    Stage.BOOT_SERVER: "TFTP read request for its loader (UDP port 69)",
    Stage.LOADER: "DISCOVER of iPXE (UDP port 67)",
    Stage.IPXE_DISCOVER: "our OFFER to iPXE",
    Stage.IPXE_OFFER: "HTTP request for its boot script",
    Stage.SCRIPT: "HTTP request for its kernel",
    Stage.KERNEL: "HTTP request for its initrd",
    Stage.INITRD: "DHCP request of the booted system",
    Stage.SYSTEM: "the next request of the booted system",
    Stage.ANSWER_FILE: "the report that it is up",
    Stage.FILES: "the report that it is up",
    Stage.NODE_SCRIPT: "the report that it is up",
}


def diagnose(evidence: Evidence) -> Diagnosis:
    """What *evidence* says; it never raises, whatever that is."""
    case = case_of(evidence)
    causes = _with_the_latest(case, _causes(case))
    reached = case.boot.reached
    step = case.boot.step(reached) if reached else None
    return Diagnosis(
        machine=evidence.key,
        boot=case.boot.number,
        state=case.state,
        reached=reached,
        at=step.at if step else case.boot.last,
        missing=_missing(case),
        causes=causes,
    )


def _causes(case: Case) -> tuple[Cause, ...]:
    well = case.state in (State.UP, State.BOOTING)
    found: dict[str, Cause] = {}
    for signature in _REMARKS if well else SIGNATURES:
        for cause in signature(case):
            if cause.code not in found or found[cause.code].confidence < cause.confidence:
                found[cause.code] = cause
    ordered = sorted(found.values(), key=lambda cause: -cause.confidence)
    if not ordered and not well:
        ordered = [_no_idea(case)]
    return tuple(ordered[:_MOST_CAUSES])


def _with_the_latest(case: Case, causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """*causes*, and how far the latest boot came, where they are of one before it."""
    latest = case.evidence.boots[0] if case.evidence.boots else case.boot
    step = latest.step(latest.reached) if latest.reached else None
    if not causes or latest.number == case.boot.number or step is None:
        return causes
    fact = f"the latest try, boot {latest.number}, came less far: {step.stage}, at {clock(step.at)}"
    return (replace(causes[0], because=(*causes[0].because, fact)), *causes[1:])


def _no_idea(case: Case) -> Cause:
    """What is seen fits nothing that is known."""
    return Cause(
        code="unexplained",
        sentence=f"{case.called} does not go on, and what was seen of it fits no known cause.",
        confidence=10,
        advice=f"netbootd timeline {case.evidence.key} shows what was seen; its console may say "
        "more.",
    )


def _missing(case: Case) -> str:
    """The packet that should have come by now."""
    stuck = case.state in (State.STUCK, State.OVERDUE)
    never = case.state is State.UNKNOWN and case.boot.reached is None
    if not (stuck or never) or case.boot.outcome in (Outcome.DONE, Outcome.FAILED):
        return ""
    step = case.boot.step(case.boot.reached) if case.boot.reached else None
    if step is not None and (step.open or (step.size and step.sent < step.size)):
        return f"the rest of {step.path.rpartition('/')[2][:80]!r}"
    target = case.evidence.target
    if case.is_at(Stage.KERNEL) and not target.initrds:
        return _NEXT[Stage.INITRD]
    if case.is_at(Stage.SYSTEM) and target.answer:
        return "HTTP request for its answer file"
    return _NEXT.get(case.boot.reached, "")
