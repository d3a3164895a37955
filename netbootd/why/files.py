"""
Signatures of a kernel or an initrd that is missing, is none, or does not arrive.

iPXE takes memory for a whole file before its first byte, so an initrd that is too large breaks off
or stands still at once, while a line that loses packets has carried the kernel no better.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from netbootd.boots.boot import Boot, Code, Note, Stage, Step
from netbootd.printable import printable
from netbootd.why.case import (
    STRUGGLE_S,
    Case,
    Signature,
    because,
    number,
    size,
    some,
    span,
    text,
    told_note,
)
from netbootd.why.diagnosis import Cause
from netbootd.why.patience import base_name

_FETCHED = (Stage.KERNEL, Stage.INITRD)
#: iPXE and the kernel hold an initrd twice for a moment; less memory than this many times its size
#: is known to be too little.
_ROOM = 2.2
_MIB = 1 << 20
#: Bytes within which two transfers broke off at the same place: what a socket's buffers hold.
_SAME_PLACE = 4 << 20
_QUICK_S = 5.0
#: Bytes of a kernel that tell that a way carries full packets; those of an initrd that is large.
_SOUND = 1 << 20
_LARGE = 128 << 20


def file_refused(case: Case) -> Iterator[Cause]:
    """The kernel or an initrd is missing, or must not be given."""
    target = case.evidence.target
    if case.rank >= Stage.SYSTEM.rank or not case.over:
        return
    wanted = [one for one in (target.kernel, *target.initrds, *target.files) if one]
    for location in dict.fromkeys(wanted):
        refused = case.refused(location)
        if not refused:
            continue
        what = "kernel" if location == target.kernel else "initrd"
        what = what if location in (target.kernel, *target.initrds) else "file"
        if (
            refused[-1].data.get("status") == HTTPStatus.NOT_FOUND
            and location in case.evidence.there
        ):
            yield _mended(case, what, refused[-1])
        else:
            yield _refusal(case, what, refused[-1])


def _mended(case: Case, what: str, note: Note) -> Cause:
    path = printable(text(note, "path"), 160)
    return Cause(
        code=f"{what}-missing",
        sentence=f"The {what} of {case.called}, {path}, was not there when it asked; it is now.",
        confidence=60,
        because=(told_note(note),),
        advice="Start the machine again.",
    )


def _refusal(case: Case, what: str, note: Note) -> Cause:
    status, path = int(number(note, "status")), printable(text(note, "path"), 160)
    reason = printable(text(note, "reason") or note.text, 160)
    if status == HTTPStatus.FORBIDDEN:
        code, does = f"{what}-forbidden", "must not be given"
        advice = "Make it a regular file below 'files' that netbootd may read (chmod a+r, and a+x "
        advice += "for its folders)."
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code, does = f"{what}-unreadable", "could not be read or made"
        advice = "The log says more; look at the disk or the template."
    else:
        code, does = f"{what}-missing", "is not there"
        advice = "Put it below the folder 'files', or correct the path in the target; "
        advice += "'netbootd check' finds missing files."
    return Cause(
        code=code,
        sentence=f"The {what} of {case.called}, {path}, {does} ({status}): {reason}",
        confidence=97,
        because=(told_note(note),),
        advice=advice,
    )


def file_short(case: Case) -> Iterator[Cause]:
    """A kernel or initrd whose file on our disk ends too early, or is something else."""
    if not case.over or not (Stage.KERNEL.rank <= case.rank < Stage.SYSTEM.rank):
        return
    for path, told in case.evidence.short.items():
        what = "kernel" if path == case.evidence.target.kernel else "initrd"
        yield Cause(
            code=f"{what}-truncated",
            sentence=f"The {what} {printable(path, 120)} on this server is not whole: "
            f"{printable(told, 160)}",
            confidence=95,
            because=because(case.step(Stage[what.upper()]), printable(told, 160)),
            advice="Copy it again from where it came, and compare sizes and hashes (sha256sum).",
        )
    for path, told in case.evidence.unfit.items():
        what = "kernel" if path == case.evidence.target.kernel else "initrd"
        yield Cause(
            code=f"{what}-unfit",
            sentence=f"The {what} {printable(path, 120)} on this server is none: "
            f"{printable(told, 160)}",
            confidence=95,
            because=because(case.step(Stage[what.upper()]), printable(told, 160)),
            advice="Was an error page of a mirror saved, or a pointer of git-lfs? Fetch the file "
            "itself. iPXE for BIOS takes any file for a program, and starts it.",
        )
    if not case.evidence.short:
        yield from _shrunk(case)


def _shrunk(case: Case) -> Iterator[Cause]:
    """A file that was larger when the machine last came up."""
    from_before = next((one for one in case.earlier() if _came_up(one)), None)
    if from_before is None:
        return
    for stage in _FETCHED:
        now, before = case.step(stage), from_before.step(stage)
        if now is None or before is None or now.path != before.path:
            continue
        if 0 < now.size < before.size * 0.98:
            yield Cause(
                code=f"{stage.value}-truncated",
                sentence=f"The {stage.value} {printable(now.path, 120)} has become smaller since "
                f"{case.called} came up with it: {size(before.size)} then, {size(now.size)} now.",
                confidence=80,
                because=because(now, before),
                advice="Was it copied whole? Compare it with where it came from (sha256sum).",
            )


def _came_up(boot: Boot) -> bool:
    return boot.reached is not None and boot.reached.rank >= Stage.SYSTEM.rank


def transfer_broke(case: Case) -> Iterator[Cause]:
    """The kernel or an initrd began to come, and did not arrive."""
    if not case.over or not case.is_at(*_FETCHED):
        return
    step = next((one for one in reversed(case.boot.steps) if one.stage in _FETCHED), None)
    if step is None or (not step.open and not step.trouble and step.sent >= step.size):
        return
    broken = _broken(case.boot, step)
    if ended_here := next((note for note in broken if "shorter" in text(note, "end")), None):
        yield _became_shorter(step, ended_here)
        return
    sent = number(broken[-1], "sent") if broken else _under_way(case, step)
    yield from _too_large(case, step, broken, sent)
    stalls = _stalls(case, step, broken)
    yield Cause(
        code="http-stalls",
        sentence=f"The {step.stage.value} of {case.called} stops after {size(sent)} of "
        f"{size(step.size)}: {_how(broken)}.",
        confidence=_sure_of_stall(case, step, sent, stalls=stalls),
        because=because(step, *some(broken), f"silent for {span(case.silent)}"),
        advice="Look for a hop with a smaller MTU (ping -M do -s 1472 CLIENT), a filter that cuts "
        "long connections, a bad cable (ethtool -S), and at the machine's console.",
    )


def _broken(boot: Boot, step: Step) -> list[Note]:
    return [
        note
        for note in boot.notes
        if note.code is Code.BROKEN and base_name(text(note, "path")) == base_name(step.path)
    ]


def _under_way(case: Case, step: Step) -> float:
    """Bytes of a transfer that has not ended."""
    alike = [
        one.sent for one in case.evidence.transfers if base_name(one.path) == base_name(step.path)
    ]
    return max(alike, default=step.sent)


def _how(broken: list[Note]) -> str:
    if not broken:
        return "nothing more was taken since"
    if text(broken[-1], "end") == "client":
        return "the client went away"
    return printable(text(broken[-1], "end"), 80) or "it broke off"


def _stalls(case: Case, step: Step, broken: list[Note]) -> bool:
    """Whether it stood still with its connection, or broke off at one place more than once."""
    if step.open and not broken:
        return True
    if any("long taken nothing" in text(note, "end") for note in broken):
        return True
    if any(number(note, "seconds") > 20 and number(note, "sent") < 1 << 20 for note in broken):
        return True
    places = [number(note, "sent") for note in broken]
    places += [number(note, "sent") for boot in case.tries for note in _broken(boot, step)]
    close = max(places, default=0) - min(places, default=0) <= _SAME_PLACE
    times = sum(note.times for note in broken)
    return times > 1 and close and not _began_anew(case, step)


def _sure_of_stall(case: Case, step: Step, sent: float, *, stalls: bool) -> int:
    if _never_began(case, step, sent):
        return 66
    if stalls:
        return 88
    return 48 if step.stage is Stage.INITRD and _began_anew(case, step) else 70


def _never_began(case: Case, step: Step, sent: float) -> bool:
    """
    Whether a large initrd stands still at its beginning, when the kernel came well by the same way.

    iPXE for BIOS that has no memory for it falls silent so, without closing the connection.
    """
    kernel = case.step(Stage.KERNEL)
    well = kernel is not None and not kernel.open and not kernel.trouble
    sound = well and kernel is not None and kernel.sent >= _SOUND
    large = step.stage is Stage.INITRD and step.size >= _LARGE
    return sound and large and sent <= _SAME_PLACE


def _began_anew(case: Case, step: Step) -> bool:
    """Whether the machine started again after its transfer broke off, this time or the last."""
    return case.restarted is not None or any(
        _broken(boot, step) or _is_cut(boot, step)
        for boot in case.earlier()
        if case.boot.began - boot.last <= STRUGGLE_S
    )


def _is_cut(boot: Boot, step: Step) -> bool:
    """Whether the same file did not arrive whole in *boot*."""
    same = boot.step(step.stage)
    return same is not None and same.path == step.path and same.sent < same.size


def _became_shorter(step: Step, note: Note) -> Cause:
    return Cause(
        code=f"{step.stage.value}-truncated",
        sentence=f"The {step.stage.value} {printable(step.path, 120)} became shorter on this "
        f"server while it was sent: somebody replaced or cut it.",
        confidence=95,
        because=because(step, note),
        advice="Replace files by renaming a new one over them (mv, rsync), never by writing into "
        "them (cp over it).",
    )


def _too_large(case: Case, step: Step, broken: list[Note], sent: float) -> Iterator[Cause]:
    initrd = step.stage is Stage.INITRD
    memory, wanted = case.boot.memory * _MIB, _all_wanted(case)
    no_begin = _never_began(case, step, sent)
    tight = bool(memory) and wanted * _ROOM > memory
    anew = _began_anew(case, step)
    by_client = bool(broken) and text(broken[-1], "end") == "client"
    quick = by_client and number(broken[-1], "seconds") < _QUICK_S
    again = sum(bool(_broken(boot, step)) for boot in case.tries) > 1
    if tight:
        sure = 93
    elif memory or not initrd:
        return
    elif no_begin and not anew:
        sure = 84
    elif not by_client:
        return
    elif anew:
        sure = 80 if again else 72
    else:
        sure = 55 if quick else 35
    has = f", and the machine has {memory / _MIB:.0f} MiB of memory" if memory else ""
    yield Cause(
        code="initrd-too-large" if initrd else "kernel-too-large",
        sentence=f"The {step.stage.value} is too large for {case.called}: it gave up after "
        f"{size(sent)} of {size(step.size)}{has}.",
        confidence=sure,
        because=because(step, *some(broken), "and then it began anew" if anew else ""),
        advice="Make the initrd smaller (dracut --hostonly, xz), fetch the root file system "
        "later (NFS, squashfs over HTTP), or give the machine more memory; BIOS loads below "
        "4 GiB only.",
    )


def _all_wanted(case: Case) -> float:
    """The bytes of all that iPXE holds at once."""
    sizes = {
        one.path: max(one.size, one.sent)
        for one in case.boot.steps
        if one.stage in _FETCHED and one.protocol != "TFTP"
    }
    return float(sum(sizes.values()))


def kernel_and_no_initrd(case: Case) -> Iterator[Cause]:
    """The kernel came whole, and the initrd that follows was not asked for."""
    kernel = case.step(Stage.KERNEL)
    initrds = case.evidence.target.initrds
    if kernel is None or not case.over or not case.is_at(Stage.KERNEL) or not initrds:
        return
    if kernel.open or kernel.trouble or any(case.refused(one) for one in initrds):
        return
    yield Cause(
        code="kernel-refused",
        sentence=f"{case.called} fetched its kernel whole, and never asked for its initrd: iPXE "
        "does not take that file for a kernel of its architecture, or has no memory left.",
        confidence=66,
        because=because(kernel, f"silent for {span(case.silent)}"),
        advice="'file' tells what the kernel is: it must be for this machine's architecture, and "
        "whole (compare sha256sum); iPXE shows an error number at the console.",
    )


SIGNATURES: tuple[Signature, ...] = (
    file_refused,
    file_short,
    transfer_broke,
    kernel_and_no_initrd,
)
