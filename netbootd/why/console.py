"""
Signatures of what a machine said itself: the lines that its loader, kernel or installer sent to us.

Which lines tell of trouble, and of which kind, is known to ``logbook.trouble``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from netbootd.boots.boot import Stage
from netbootd.logbook.trouble import kind_of
from netbootd.printable import printable
from netbootd.why.case import Case, Said, Signature, because, said_in
from netbootd.why.diagnosis import Cause, State
from netbootd.why.moments import clock

_SHOWN = 6


class _Kind(NamedTuple):
    """What a line of a kind means; it explains a boot that is at a stage from *least* to *most*."""

    code: str
    sentence: str
    confidence: int
    advice: str
    least: Stage = Stage.SCRIPT
    most: Stage = Stage.FAILED


_KINDS: Mapping[str, _Kind] = {
    "panic": _Kind(
        "kernel-panic",
        "The kernel of {name} gave up: {line}",
        95,
        "Read the lines before it. 'unable to mount root' wants the right root= and the driver of "
        "its disk or card in the initrd; 'unpacking failed' a whole initrd.",
    ),
    "no-init": _Kind(
        "init-missing",
        "{name} has its kernel and its root, and no program to start there: {line}",
        94,
        "Is the root file system whole, of this architecture, and is init= right?",
    ),
    "no-root": _Kind(
        "root-missing",
        "The system of {name} does not find its root file system: {line}",
        94,
        "Compare root= in the target's boot_args with what there is; the driver of its disk or "
        "card must be in the initrd.",
    ),
    "nfs": _Kind(
        "nfs-root-missing",
        "The system of {name} does not get its root over NFS: {line}",
        96,
        "On the NFS server: exportfs -v (is the folder exported to this address?), rpcinfo -p, "
        'nfs.service; compare with "root" of the target; try mount -t nfs.',
    ),
    "dracut": _Kind(
        "initramfs-shell",
        "The initramfs of {name} could not go on, and waits at a shell: {line}",
        93,
        "The lines before it say what was missing; add rd.debug or debug to the boot_args.",
    ),
    "no-address": _Kind(
        "system-no-address",
        "The booted system of {name} gets no address: {line}",
        92,
        "Is it the right card (BOOTIF, ip=, interface=), is its driver there, does the switch port "
        "block at each start of the link (portfast), and is there a free address?",
        most=Stage.FILES,
    ),
    "installer": _Kind(
        "installer-failed",
        "The installer of {name} says that a step failed: {line}",
        88,
        "Mend the answer file or the mirror that it names; 'netbootd logs' shows the lines before.",
    ),
    "memory": _Kind(
        "memory-full",
        "{name} has no room left: {line}",
        86,
        "Give it more memory, or boot less of it into memory (NFS, squashfs over HTTP, a smaller "
        "initrd).",
    ),
    "driver": _Kind(
        "driver-missing",
        "The system of {name} lacks a driver or its firmware: {line}",
        84,
        "Put the driver's module and its firmware files into the initrd "
        "(dracut --add-drivers, /etc/initramfs-tools/modules, firmware packages).",
        most=Stage.INITRD,
    ),
    "link": _Kind(
        "link-down",
        "{name} lost its link: {line}",
        66,
        "Look at the cable, the transceiver and the switch port's counters.",
    ),
    "ipxe": _Kind(
        "ipxe-error",
        "iPXE on {name} could not go on: {line}",
        64,
        "The address in that line says what the number means.",
        least=Stage.IPXE_DISCOVER,
        most=Stage.INITRD,
    ),
}


def said(case: Case) -> Iterator[Cause]:
    """Each kind of trouble that it told of, by its last line."""
    lines = said_in(case.evidence, case.boot, case.tries)
    found: dict[str, int] = {}
    for at, one in enumerate(lines):
        if kind := kind_of(one.text):
            found.setdefault(kind, at)
    if not case.over and case.state is not State.STUCK:
        return
    for kind, at in found.items():
        told = _KINDS.get(kind)
        if told is not None and told.least.rank <= case.rank <= told.most.rank:
            yield _cause(case, _as_nfs(case, kind, told), lines, at)


def _as_nfs(case: Case, kind: str, told: _Kind) -> _Kind:
    """A root that is missing is one over NFS where the target has such."""
    return _KINDS["nfs"] if kind == "no-root" and case.boot.target.startswith("nfs/") else told


def _cause(case: Case, told: _Kind, lines: list[Said], at: int) -> Cause:
    shown = lines[max(0, at - 2) : at + _SHOWN]
    return Cause(
        code=told.code,
        sentence=told.sentence.format(
            name=case.called, line=printable(lines[at].text.strip(), 160)
        ),
        confidence=told.confidence,
        because=because(*(f"{clock(one.at)} {printable(one.text.strip(), 160)}" for one in shown)),
        advice=told.advice,
    )


def last_words(case: Case) -> tuple[str, ...]:
    """Its last lines, for a cause that is not told by them."""
    lines = said_in(case.evidence, case.boot, case.tries)[-3:]
    if not lines:
        return ("no console line of it has arrived",)
    return tuple(f"{clock(one.at)} {printable(one.text.strip(), 160)}" for one in lines)


SIGNATURES: tuple[Signature, ...] = (said,)
