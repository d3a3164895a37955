"""
Signatures of an iPXE that did not get its script, or did not do what that says.

A kernel comes from where its script says: from us, whom iPXE has just reached, or from elsewhere,
of which nothing is seen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from netbootd.boots.begins import FIRST
from netbootd.boots.boot import Stage, Step
from netbootd.printable import printable
from netbootd.why.address import serves
from netbootd.why.case import (
    Case,
    Signature,
    because,
    some,
    span,
)
from netbootd.why.diagnosis import Cause
from netbootd.why.firmware import files_of_others, foreign_file, http_blocked, second_proxy, takes
from netbootd.why.transfer import port_blocked


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
    if not serves(case):
        yield _no_address(case, offer)
    if case.has(Stage.LOADER):
        yield port_blocked(case, offer, 40)
    yield http_blocked(case, because(offer), 35)


def _no_address(case: Case, offer: Step | None) -> Cause:
    return Cause(
        code="no-address",
        sentence=f"iPXE on {case.called} gets no address: it asked, and took nobody's offer.",
        confidence=74,
        because=because(case.step(Stage.IPXE_DISCOVER), offer, *some(files_of_others(case), 1)),
        advice="Look at the DHCP server of this network: is it running, has its range free "
        "addresses, does it give a second one to a machine that asks with another client "
        "identifier (option 61)?",
    )


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


SIGNATURES: tuple[Signature, ...] = (no_script, first_script_only, script_and_no_more)
