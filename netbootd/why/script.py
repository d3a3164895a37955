"""
Signatures of an iPXE that did not get its script, or what the script names.

A kernel comes from where its script says: from us, whom iPXE has just reached, or from elsewhere,
of which nothing is seen here.  iPXE takes memory for a whole file before its first byte, so an
initrd that is too large breaks off early, and the machine starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from netbootd.boots.begins import FIRST
from netbootd.boots.boot import Boot, Code, Note, Stage, Step
from netbootd.printable import printable
from netbootd.why.case import (
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
from netbootd.why.firmware import files_of_others, foreign_file, http_blocked, second_proxy, takes
from netbootd.why.patience import base_name
from netbootd.why.transfer import port_blocked

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


def no_script(case: Case) -> Iterator[Cause]:
    """iPXE is there, and its script was never asked for."""
    if not case.over or not case.is_at(Stage.IPXE_DISCOVER, Stage.IPXE_OFFER):
        return
    offer = case.step(Stage.IPXE_OFFER) or case.step(Stage.IPXE_DISCOVER)
    taken = tuple(note for note in takes(case) if offer is None or note.until >= offer.at)
    yield from foreign_file(case)
    yield from second_proxy(case)
    if taken:
        yield from _name_unknown(case, (offer.path,) if offer else ())
        yield http_blocked(case, because(offer, *some(taken, 1)), 86)
        return
    yield Cause(
        code="no-address",
        sentence=f"iPXE on {case.called} gets no address: it asked, and took nobody's offer.",
        confidence=74,
        because=because(case.step(Stage.IPXE_DISCOVER), offer, *some(files_of_others(case), 1)),
        advice="Look at the DHCP server of this network: has its range free addresses, does it "
        "give a second one to a machine that asks with another client identifier (option 61)?",
    )
    if case.has(Stage.LOADER):
        yield port_blocked(case, offer, 40)
    yield http_blocked(case, because(offer), 35)


def first_script_only(case: Case) -> Iterator[Cause]:
    """The first script was fetched, and not the machine's own."""
    script = case.step(Stage.SCRIPT)
    if script is not None and case.over and case.is_at(Stage.SCRIPT) and script.note == FIRST:
        yield Cause(
            code="script-not-fetched",
            sentence=f"{case.called} fetched the first script, and never its own: iPXE could not "
            "go on to it.",
            confidence=70,
            because=because(script, f"silent for {span(case.silent)}"),
            advice="Look at its console: iPXE shows an error number there (https://ipxe.org/err).",
        )


def _name_unknown(case: Case, urls: tuple[str, ...]) -> Iterator[Cause]:
    """A URL whose host is a name is nothing without DNS."""
    names = [host for url in urls if (host := _host_name(url))]
    if names:
        yield Cause(
            code="name-unresolved",
            sentence=f"iPXE on {case.called} has to look up {printable(names[0], 80)!r}, and asks "
            "for nothing there: it gets no name server from DHCP, or that does not know the name.",
            confidence=87,
            because=because(f"the URL is {printable(urls[0], 160)}"),
            advice="Let the DHCP server give a name server (option 6) that knows it, or write an "
            "address in 'boot_servers'.",
        )


def _host_name(url: str) -> str:
    """The host of *url* where that is a name, else nothing."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host if host and not host.replace(".", "").isdigit() and ":" not in host else ""


def script_and_no_more(case: Case) -> Iterator[Cause]:
    """The script went out, and nothing that it names was asked for."""
    script = case.step(Stage.SCRIPT)
    if script is None or not case.over or not case.is_at(Stage.SCRIPT):
        return
    if script.note == FIRST or script.trouble:  # a notice that says why there is none
        return
    target = case.evidence.target
    if any(case.refused(one) for one in (*target.files, target.kernel, *target.initrds)):
        return
    if case.boot.target.startswith("menu/"):
        yield _waits(case, script)
        return
    why = because(script, f"silent for {span(case.silent)}")
    if target.names:
        yield from _name_unknown(case, tuple(f"http://{name}/" for name in target.names))
    if target.elsewhere:
        yield Cause(
            code="files-elsewhere",
            sentence=f"{case.called} has its script, which takes files from another server, "
            f"{printable(target.elsewhere[0], 120)}; whether it gets them is not seen here.",
            confidence=76,
            because=why,
            advice=f"Try it from that network: curl -I {printable(target.elsewhere[0], 200)}",
        )
    if target.files:
        kernel = printable(target.files[0], 120)
        yield Cause(
            code="kernel-not-fetched",
            sentence=f"{case.called} has its script, and never asked for {kernel}: a filter cuts "
            "its connections, or its iPXE stopped at an earlier line.",
            confidence=72 if not target.names else 50,
            because=(*why, f"no request for {kernel}"),
            advice="Look at its console, where iPXE shows an error number "
            "(https://ipxe.org/err), and at filters between the two; 'netbootd script "
            f"{case.evidence.key}' shows the script.",
        )


def _waits(case: Case, script: Step) -> Cause:
    return Cause(
        code="menu-waits",
        sentence=f"{case.called} shows its menu, and nobody has chosen.",
        confidence=85,
        because=because(script),
        advice='Choose at its console, or give the menu a "timeout" and a "default"; netbootd next '
        f"{case.evidence.key} TARGET boots it without asking.",
    )


# -- kernel and initrd -----------------------------------------------------------------------------


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
        yield _refusal(case, what, refused[-1])


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
        _broken(boot, step) for boot in case.tries if boot.number < case.boot.number
    )


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
    no_script,
    first_script_only,
    script_and_no_more,
    file_refused,
    file_short,
    transfer_broke,
    kernel_and_no_initrd,
)
