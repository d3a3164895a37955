"""
Signatures of a system that was loaded, and did not come up.

All that is seen of it is what it asks for, and what it says: its DHCP request tells that the kernel
runs and knows the card, and its last lines, where they are sent to us, say most of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from netbootd.boots.boot import Code, Outcome, Stage
from netbootd.printable import printable
from netbootd.record.claims import SECOND
from netbootd.why.case import (
    AT_ONCE_S,
    Case,
    Signature,
    arming,
    because,
    number,
    some,
    span,
    text,
    told_note,
)
from netbootd.why.console import last_words
from netbootd.why.diagnosis import Cause
from netbootd.why.patience import PATIENCE_S

_SHOWN = 6


def node_failed(case: Case) -> Iterator[Cause]:
    """The node said that it failed."""
    reports = case.notes(Code.REPORTED, outcome="failed")
    step = case.step(Stage.FAILED)
    if case.boot.outcome is not Outcome.FAILED and step is None and not reports:
        return
    if case.has(Stage.DONE) or case.boot.outcome is Outcome.DONE:
        return
    status = printable(text(reports[-1], "status"), 40) if reports else ""
    output = text(reports[-1], "output") if reports else case.evidence.standing.output
    lines = [line for line in output.strip().splitlines() if line.strip()][-_SHOWN:]
    what = "node script" if case.has(Stage.NODE_SCRIPT) else "installation"
    last = f": {printable(lines[-1], 160)}" if lines else ""
    yield Cause(
        code="node-script-failed" if case.has(Stage.NODE_SCRIPT) else "node-failed",
        sentence=f"{case.called} reported that its {what} failed"
        f"{f' with status {status}' if status else ''}{last}",
        confidence=99,
        because=because(
            *some(reports, 1), case.step(Stage.NODE_SCRIPT), *(printable(one) for one in lines)
        ),
        advice="Mend the script or the answer file that says so; 'netbootd script' shows it as "
        f"the node got it, 'netbootd logs {case.evidence.key}' what it said.",
    )


def nfs_root(case: Case) -> Iterator[Cause]:
    """Its root over NFS is not to be had, though it says nothing of it."""
    if not case.over or not case.is_at(Stage.SYSTEM) or case.evidence.target.kind != "nfs":
        return
    yield Cause(
        code="nfs-root-missing",
        sentence=f"The system of {case.called} has its card and an address, and does not get its "
        "root over NFS.",
        confidence=76,
        because=because(
            case.step(Stage.SYSTEM), f"nothing since, for {span(case.silent)}", *last_words(case)
        ),
        advice="On the NFS server: exportfs -v (is the folder exported to this address?), "
        'rpcinfo -p, nfs.service; compare with "root" of the target; try mount -t nfs.',
    )


def nothing_of_the_system(case: Case) -> Iterator[Cause]:
    """Kernel and initrd were fetched; no request of the system that they are."""
    initrds = case.evidence.target.initrds
    loaded = case.is_at(Stage.INITRD) or (case.is_at(Stage.KERNEL) and not initrds)
    step = case.step(Stage.INITRD) or case.step(Stage.KERNEL)
    if not case.over or not loaded or step is None or step.open or step.trouble:
        return
    if step.sent < step.size:
        return
    if case.restarted is not None and case.restarted < PATIENCE_S[Stage.INITRD]:
        at_once = case.restarted <= AT_ONCE_S
        yield Cause(
            code="kernel-died",
            sentence=f"{case.called} fetched kernel and initrd, and began anew "
            f"{span(case.restarted)} later: the kernel "
            f"{'was not started' if at_once else 'stopped'}, and the machine was reset.",
            confidence=72,
            because=because(case.step(Stage.KERNEL), case.step(Stage.INITRD)),
            advice="Add console=tty0 console=ttyS0 and panic=0 to the target's boot_args and look "
            "at the console; is kernel and initrd whole, of one version, and for this "
            "architecture? Secure Boot refuses an unsigned kernel.",
        )
    yield Cause(
        code="kernel-silent",
        sentence=f"{case.called} has kernel and initrd, and the system that they are never asked "
        "for an address: no driver for the card in the initrd, or the kernel stopped early.",
        confidence=70 if case.evidence.target.asks_dhcp else 45,
        because=because(
            case.step(Stage.KERNEL),
            case.step(Stage.INITRD),
            f"no DHCP request of the system for {span(case.silent)}",
            *last_words(case),
        ),
        advice="Put the card's driver and its firmware into the initrd (lspci -k on a running "
        "one; dracut --add-drivers, /etc/initramfs-tools/modules); look at its console.",
    )


def answer_refused(case: Case) -> Iterator[Cause]:
    """The answer file is not there, or could not be made."""
    answer = case.evidence.target.answer
    refused = [*case.refused(answer)] if answer else []
    refused += [note for note in case.refused(f"{answer}/user-data") if answer]
    if not case.over or case.boot.outcome is Outcome.DONE or not refused:
        return
    last = max(refused, key=lambda note: note.until)
    status = int(number(last, "status"))
    if status == HTTPStatus.FORBIDDEN and case.evidence.standing.held.startswith(SECOND):
        return  # that it is held says why
    path = printable(text(last, "path"), 160)
    reason = printable(text(last, "reason") or last.text, 200)
    made = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    secret = status == HTTPStatus.FORBIDDEN and ("it is secret" in reason or "claimant" in reason)
    yield Cause(
        code="answer-file-broken" if made else "answer-file-missing",
        sentence=f"The answer file of {case.called}, {path}, "
        f"{'could not be made' if made else 'was refused'} ({status}): {reason}",
        confidence=97,
        because=(told_note(last),),
        advice="'netbootd check' renders it for every machine and says the line."
        if made
        else arming(case)
        if secret
        else "Put it there below the folder 'files', or correct \"answer\" in the target.",
    )


def answer_not_fetched(case: Case) -> Iterator[Cause]:
    """The installer runs, and does not ask for its answer file."""
    target = case.evidence.target
    if not case.over or not target.answer or not case.is_at(Stage.SYSTEM, Stage.FILES):
        return
    if case.has(Stage.ANSWER_FILE) or case.refused(target.answer):
        return
    yield Cause(
        code="answer-file-not-fetched",
        sentence=f"The installer of {case.called} has an address, and never asked for its answer "
        f"file {printable(target.answer, 120)}: it waits at a question, or does not reach us.",
        confidence=78,
        because=because(case.step(Stage.SYSTEM), f"no request for it for {span(case.silent)}"),
        advice="Look at its console; is the kernel's argument that names the file the one this "
        f"installer reads ('netbootd script {case.evidence.key}' shows it), and \"os\" right?",
    )


def overdue(case: Case) -> Iterator[Cause]:
    """It came far, and has not said that it is up."""
    late = case.boot.outcome is Outcome.OVERDUE
    standing = case.evidence.standing.latest
    if standing is not None and standing.began >= case.boot.began:
        late = late or standing.outcome.value == "overdue"
    far = case.rank >= Stage.SYSTEM.rank
    if case.has(Stage.DONE) or not (late or (far and case.over)):
        return
    if case.boot.reached is not None and case.rank < Stage.SCRIPT.rank:
        return  # that it is late says nothing where it has got no script
    if case.boot.outcome in (Outcome.DONE, Outcome.FAILED):
        return
    reached = case.boot.step(case.boot.reached) if case.boot.reached else None
    limit = case.evidence.target.up_within
    allowed = f" within {span(limit)}" if limit else ""
    yield Cause(
        code="overdue",
        sentence=f"{case.called} has not reported that it is up{allowed}.",
        confidence=60 if late and far else 42,
        because=because(reached, *some(case.notes(Code.REPORTED), 1), *last_words(case)),
        advice="Does it come as far as to call its __done__ address (curl, at the end of its "
        "installation or its start)? Look at its console; is 'up_within' long enough?",
    )


SIGNATURES: tuple[Signature, ...] = (
    node_failed,
    nfs_root,
    nothing_of_the_system,
    answer_refused,
    answer_not_fetched,
    overdue,
)
