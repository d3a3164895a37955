"""
Signatures of a loader that is asked for, and does not arrive or does not run.

``unheard``, ``lost`` … are how a TFTP transfer ends (``tftp.outcome.End``).  An OACK is a small
packet and DATA a full one: a path that loses the second and not the first has an MTU below what the
link says.  A loader that was fetched whole and never heard of again was refused by the firmware, or
has no driver for the card, or stands behind a switch port that blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd.arch import TABLE
from netbootd.boots.boot import Boot, Code, Note, Stage, Step
from netbootd.events.silence import LEAST_S, MOST_S
from netbootd.printable import printable
from netbootd.why.case import (
    AT_ONCE_S,
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
from netbootd.why.firmware import files_of_others, foreign_file
from netbootd.why.patience import base_name

#: The least DATA that fits into every link (RFC 2347, 512 bytes are what needs no option).
_SMALL_BLOCK = 512
_FAMILIES = {arch.name: arch.family for arch in TABLE.values()}


def loader_not_fetched(case: Case) -> Iterator[Cause]:
    """A transfer began and did not end well."""
    loader = case.step(Stage.LOADER)
    if not case.over or case.rank > Stage.LOADER.rank:
        return
    yield from _missing(case)
    if loader is None or _is_whole(loader):
        return
    broken = [note for note in case.notes(Code.BROKEN) if _is_of(note, loader)]
    by_end = {text(note, "end"): note for note in broken}
    if "unheard" in by_end:
        yield _oack_unheard(case, loader, by_end["unheard"])
    stalled = by_end.get("lost") or by_end.get("unconfirmed")
    if stalled is not None:
        yield from _stalled(case, loader, stalled, broken)
    if unread := by_end.get("broken"):
        yield _unreadable(case, unread)
    if not by_end:
        yield from _cut_off(case, loader)


def _is_of(note: Note, loader: Step) -> bool:
    return base_name(text(note, "path")) == base_name(loader.path)


def _is_whole(loader: Step) -> bool:
    return not loader.open and not loader.trouble and loader.sent >= loader.size


def _missing(case: Case) -> Iterator[Cause]:
    """It asked for what it was told, and there is none."""
    offer = case.step(Stage.OFFER)
    loader = case.step(Stage.LOADER)
    if loader is not None and _is_whole(loader):
        return
    told = [one.path for one in (offer, case.step(Stage.BOOT_SERVER), loader) if one]
    refused = [note for path in told for note in case.refused(path)]
    for note in refused[:1]:
        name = printable(text(note, "path"), 100)
        yield Cause(
            code="loader-missing",
            sentence=f"{case.called} asked for its loader {name}, and this server refused it: "
            f"{printable(text(note, 'reason') or note.text, 160)}",
            confidence=96,
            because=because(offer, note),
            advice="Put the file into a folder that 'firmware' names, readable for netbootd "
            "(netbootd firmware lists what is there), then: netbootd reload",
        )
    others = [one for one in case.notes(Code.REFUSED, protocol="TFTP") if one not in refused]
    if not refused and loader is None and others and not files_of_others(case):
        yield Cause(
            code="foreign-boot-file",
            sentence=f"{case.called} asked for {printable(text(others[-1], 'path'), 100)!r}, which "
            "we never told it: somebody else names its boot file.",
            confidence=86,
            because=because(offer, *some(others, 2)),
            advice="Take the boot file (option 67, the field file) out of the DHCP server's scope.",
        )


def _oack_unheard(case: Case, loader: Step, note: Note) -> Cause:
    return Cause(
        code="oack-unacknowledged",
        sentence=f"{case.called} asked for {printable(base_name(loader.path), 80)} by TFTP, and "
        "never acknowledged our answer (OACK): it does not get there.",
        confidence=89,
        because=because(loader, note),
        advice="Our answers come from a port of their own for each transfer: allow UDP from all "
        "ports of this server to the client (or the conntrack helper tftp in the filter between), "
        'or set "tftp": {"single_port": true}, by which they come from port 69.',
    )


def _stalled(case: Case, loader: Step, note: Note, broken: list[Note]) -> Iterator[Cause]:
    blksize, sent = number(note, "blksize"), number(note, "sent")
    never = sent == 0
    same = len({number(one, "sent") for one in broken}) == 1
    if blksize > _SMALL_BLOCK and never:
        yield Cause(
            code="tftp-stalls",
            sentence=f"TFTP of {printable(base_name(loader.path), 80)} stalls at the first block: "
            f"small packets pass between us and {case.called}, those of {blksize:.0f} bytes do "
            "not (MTU).",
            confidence=90,
            because=because(loader, note, f"blocks of {blksize:.0f} bytes, none acknowledged"),
            advice="Find the hop with the smaller MTU (ping -M do -s 1472 CLIENT; VPN, VXLAN, "
            'PPPoE) and raise it, or set "tftp": {"blksize": 1024} (512 always passes).',
        )
        return
    where = f"after {size(sent)} of {size(loader.size or number(note, 'size'))}"
    yield Cause(
        code="tftp-stalls",
        sentence=f"TFTP of {printable(base_name(loader.path), 80)} stalls {where}: packets to or "
        f"from {case.called} are lost.",
        confidence=78 if same and note.times > 1 else 72,
        because=because(loader, *some(broken)),
        advice="Look at the cable and the port's error counters (ethtool -S, show interface), at "
        'duplex, and at the MTU of the way; "tftp": {"windowsize": 1} is gentler.',
    )


def _unreadable(case: Case, note: Note) -> Cause:
    return Cause(
        code="loader-unreadable",
        sentence=f"The loader of {case.called} could not be read from this server's disk: "
        f"{printable(text(note, 'reason') or note.text, 160)}",
        confidence=95,
        because=(told_note(note),),
        advice="Look at the disk and at who replaced the file meanwhile (dmesg).",
    )


def _cut_off(case: Case, loader: Step) -> Iterator[Cause]:
    """A transfer that is still open, or was broken off by the client."""
    yield Cause(
        code="loader-cut-off",
        sentence=f"{case.called} began to fetch {printable(base_name(loader.path), 80)} and has "
        f"not gone on for {span(case.silent)}.",
        confidence=60,
        because=because(loader),
        advice="Was it switched off? Else look at the cable and the switch port, and at its "
        "console.",
    )


# -- whole, and silent -----------------------------------------------------------------------------


def loader_silent(case: Case) -> Iterator[Cause]:
    """The loader is there, and nothing comes of it."""
    loader = case.step(Stage.LOADER)
    if not case.over or not case.is_at(Stage.LOADER) or loader is None or not _is_whole(loader):
        return
    if case.notes(Code.LOOPED):
        return
    facts = case.evidence.loader
    if facts.name and base_name(facts.name) != base_name(loader.path):
        # a shim's second stage, or the file of another generation: nothing is known of it
        yield _runs_not(case, loader, 50)
        return
    mismatch = _mismatch(case)
    if mismatch:
        yield _wrong_loader(case, loader, mismatch)
    elif facts.cut:
        yield Cause(
            code="loader-truncated",
            sentence=f"The loader {printable(facts.name, 80)} on this server ends too early: "
            "its header tells of more than there is.",
            confidence=95,
            because=because(loader),
            advice="Fetch it anew (netbootd firmware shows its size and hash), then: netbootd "
            "reload",
        )
    else:
        yield from _refused_or_deaf(case, loader)


def _mismatch(case: Case) -> str:
    """The machine's family, where the loader is for another."""
    family, wanted = case.evidence.loader.family, _FAMILIES.get(case.boot.arch, "")
    return wanted if family and wanted and family != wanted else ""


def _wrong_loader(case: Case, loader: Step, wanted: str) -> Cause:
    facts = case.evidence.loader
    return Cause(
        code="wrong-loader",
        sentence=f"{case.called} is {case.boot.arch} ({wanted}), and its loader "
        f"{printable(facts.name, 80)} is a program for {facts.family}: it cannot run there.",
        confidence=97,
        because=because(case.step(Stage.OFFER), loader, f"{facts.name}: {facts.family}"),
        advice='Let "loader" name one for its architecture (machine, group, target, subnet or '
        "the setting), or leave it out; netbootd firmware lists them.",
    )


def _refused_or_deaf(case: Case, loader: Step) -> Iterator[Cause]:
    facts = case.evidence.loader
    ran_before = any(_got_past(boot, loader.path) for boot in case.earlier())
    anew = _anew_after(case, loader)
    if facts.is_efi and not facts.signed:
        sure = 22 if ran_before else 84 if anew is not None and anew <= AT_ONCE_S else 70
        yield _secure_boot(case, loader, sure)
    blocked = case.notes(Code.SILENT) or any(
        note.code is Code.SILENT for boot in case.earlier() for note in boot.notes
    )
    if anew is None and (blocked or LEAST_S <= case.silent <= MOST_S):
        yield port_blocked(case, loader, 86 if blocked else 34)
    yield _runs_not(case, loader, 62 if facts.signed or not facts.is_efi else 40)


def _got_past(boot: Boot, path: str) -> bool:
    """Whether it ran the same loader."""
    loader = boot.step(Stage.LOADER)
    reached = boot.reached
    return (
        loader is not None
        and base_name(loader.path) == base_name(path)
        and reached is not None
        and reached.rank > Stage.LOADER.rank
    )


def _anew_after(case: Case, loader: Step) -> float | None:
    """Seconds from the loader's last byte until the firmware asked again; None if it did not."""
    again = case.step(Stage.DISCOVER)
    if again is not None and max(again.at, again.until) > loader.until:
        first = again.at if again.at > loader.until else again.until
        return first - loader.until
    return case.restarted


def _secure_boot(case: Case, loader: Step, confidence: int) -> Cause:
    anew = _anew_after(case, loader)
    then = "nothing came of it" if anew is None else f"{span(anew)} later the firmware began anew"
    return Cause(
        code="secure-boot",
        sentence=f"The firmware of {case.called} fetched {printable(base_name(loader.path), 80)} "
        "and did not start it: it bears no signature, which Secure Boot wants.",
        confidence=confidence,
        because=because(loader, f"{base_name(loader.path)} is not signed", then),
        advice='Set "loader": "shim-ipxe" or "shim-grub" (see Secure Boot in the manual), or turn '
        "Secure Boot off in its setup.",
    )


def _runs_not(case: Case, loader: Step, confidence: int) -> Cause:
    return Cause(
        code="loader-silent",
        sentence=f"{case.called} has its loader {printable(base_name(loader.path), 80)}, and iPXE "
        "never asked for an address: it does not run, or has no driver for the card.",
        confidence=confidence,
        because=because(loader, f"silent for {span(case.silent)}"),
        advice='Look at its console; set "loader": "ipxe-drivers" (iPXE\'s own drivers) for '
        "it, or the set 'ipxe' (the firmware's driver) where that is chosen already.",
    )


def port_blocked(case: Case, before: Step | None, confidence: int) -> Cause:
    """Spanning tree, or LACP."""
    silent = case.notes(Code.SILENT)
    seconds = number(silent[-1], "seconds") if silent else case.silent
    return Cause(
        code="port-blocked",
        sentence=f"The switch port of {case.called} passes nothing for {span(seconds)} after each "
        "start of its link: spanning tree without portfast (2 × 15 s), or LACP.",
        confidence=confidence,
        because=because(before, *some(silent, 1)),
        advice="Set portfast on that port (Cisco: spanning-tree portfast; others: edge port, "
        "admin edge), or LACP fallback (no lacp suspend-individual).",
    )


def slow_port(case: Case) -> Iterator[Cause]:
    """A port that blocked, where it did not show as the loader's silence."""
    silent = case.notes(Code.SILENT)
    if not silent or case.is_at(Stage.LOADER):
        return
    stuck = case.over and case.is_at(Stage.IPXE_DISCOVER, Stage.IPXE_OFFER)
    yield port_blocked(case, case.step(Stage.LOADER), 84 if stuck else 50)


def loops(case: Case) -> Iterator[Cause]:
    """The loader loads itself."""
    looped = case.notes(Code.LOOPED)
    if not looped or case.has(Stage.SCRIPT):
        return
    file = printable(text(looped[-1], "file"), 80)
    theirs = files_of_others(case)
    who = f" by the DHCP server {printable(text(theirs[-1], 'server'), 40)}" if theirs else ""
    yield Cause(
        code="chain-loop",
        sentence=f"{case.called} goes in a circle: iPXE is told its own loader{who} again and "
        f"again, {file}, instead of its script.",
        confidence=99,
        because=because(*some(looped, 1), *some(theirs, 1), case.step(Stage.LOADER)),
        advice="Take the boot file out of that DHCP server; or let it name a script to iPXE "
        "(dnsmasq: dhcp-match=set:ipxe,175). See 'The loader loads itself' in the README.",
    )
    for cause in foreign_file(case):
        yield Cause(
            code=cause.code,
            sentence=cause.sentence,
            confidence=min(cause.confidence, 90),
            because=cause.because,
            advice=cause.advice,
        )


SIGNATURES: tuple[Signature, ...] = (loader_not_fetched, loader_silent, slow_port, loops)
