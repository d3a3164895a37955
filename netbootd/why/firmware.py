"""
Signatures of a firmware that did not come as far as to ask for its loader.

A firmware collects offers for some seconds, then takes the address that the DHCP server offers by a
REQUEST, which is broadcast and names that server (RFC 2131, 4.3.2).  EDK2 and the ROMs of cards do
so only when they have been told of a boot file.  So a REQUEST tells that our offer was heard; none
tells that it was not, or that there is no address, or that this firmware heeds no proxy.
"""

from __future__ import annotations

from collections.abc import Iterator

from netbootd import replies
from netbootd.boots.boot import Code, Note, Stage
from netbootd.printable import printable
from netbootd.why.address import leases, serves
from netbootd.why.case import Case, Signature, because, some, span, text
from netbootd.why.diagnosis import Cause, State
from netbootd.why.moments import clock

_FRESH_S = 86400.0
_SILENCE = (
    "Power it on; make network boot the first boot device in its setup (UEFI: Boot Order, PXE "
    "IPv4, network stack enabled; BIOS: Option ROM, LAN boot), plug in the card with this MAC, put "
    "its switch port into this VLAN. 'tcpdump -ni IF port 67' here shows what arrives."
)


def never_asked(case: Case) -> Iterator[Cause]:
    """No DISCOVER ever."""
    evidence = case.evidence
    seen = case.rank >= 0 or case.notes(Code.UNSERVED) or case.state is State.UP
    if seen:
        return
    if evidence.near and evidence.known:
        yield Cause(
            code="mac-misspelt",
            sentence=f"{case.called} never asked, but {evidence.near} did, which is not listed and "
            "differs a little: the MAC in the configuration is probably mistyped.",
            confidence=90,
            because=(f"{evidence.near} asks and is not listed", *_who_was_heard(case)),
            advice="Compare with the sticker of the card, correct the entry, and reload.",
        )
    if not evidence.leases and not any(evidence.heard.values()):
        yield Cause(
            code="nobody-heard",
            sentence="No DHCP client at all was ever heard on the interfaces of this server: "
            "broadcasts of that network do not arrive here.",
            confidence=72,
            because=_who_was_heard(case) or ("no DHCP packet of anybody since the start",),
            advice="Put this server into the VLAN of the machines, or relay their DHCP to it; "
            "allow UDP port 67 in (nft add rule inet filter input udp dport 67 accept; "
            "ufw allow 67/udp).",
        )
    if not _systems(case):
        yield Cause(
            code="no-discover",
            sentence=f"{case.called} never asked: no DISCOVER of it has reached this server.",
            confidence=68,
            because=_who_was_heard(case),
            advice=_SILENCE,
        )


def _who_was_heard(case: Case) -> tuple[str, ...]:
    heard = sorted(case.evidence.heard.items())
    return tuple(
        f"{name}: last DHCP client heard at {clock(at)}" if at else f"{name}: no DHCP client heard"
        for name, at in heard[:4]
    )


def _systems(case: Case) -> tuple[Note, ...]:
    """What it asked for as a running system does."""
    leased = case.notes(Code.LEASED, netboot=False)
    return (*leased, *case.notes(Code.NOT_NETBOOT))


def not_netboot(case: Case) -> Iterator[Cause]:
    """It asks for an address as a running system does."""
    notes = _systems(case)
    if case.rank >= 0 or not notes or case.state is State.UP:
        return
    said = text(notes[-1], "vendor_class")
    as_what = f" (vendor class {printable(said, 60)!r})" if said else ""
    yield Cause(
        code="not-a-netboot-client",
        sentence=f"{case.called} asks for an address as a running system does{as_what}, and never "
        "as a PXE client: it boots from its disk.",
        confidence=88,
        because=because(*some(notes)),
        advice=_SILENCE,
    )


def offer_unanswered(case: Case) -> Iterator[Cause]:
    """DISCOVER and our offer, and nothing after it."""
    if not case.over or not case.is_at(Stage.DISCOVER, Stage.OFFER):
        return
    offer = case.step(Stage.OFFER)
    if offer is None:
        return
    yield from foreign_file(case)
    yield from second_proxy(case)
    if serves(case):
        if leases(case):
            yield _file_not_fetched(case)
    elif takes(case):
        asked = case.notes(Code.REFUSED, protocol="TFTP")
        if not (files_of_others(case) or proxies(case) or asked):
            yield from _after_its_address(case)
    elif any(text(note, "address") for note in case.notes(Code.OVERHEARD)):
        yield from _no_request(case, has_address=True)
    else:
        yield _no_address(case)
        yield from _no_request(case, has_address=False)


def takes(case: Case) -> tuple[Note, ...]:
    """That it took an address as a netboot client, another server's or ours."""
    return tuple(
        note
        for note in (*case.notes(Code.REQUESTED), *case.notes(Code.LEASED))
        if note.data.get("netboot") is not False
    )


def files_of_others(case: Case) -> tuple[Note, ...]:
    """What DHCP servers say of booting."""
    return tuple(
        note
        for note in case.notes(Code.OVERHEARD)
        if text(note, "file") and not note.data.get("proxy")
    )


def proxies(case: Case) -> tuple[Note, ...]:
    """What other proxies say."""
    return case.notes(Code.OVERHEARD, proxy=True)


def foreign_file(case: Case) -> Iterator[Cause]:
    """The DHCP server names a boot file of its own."""
    theirs = files_of_others(case)
    if not theirs:
        return
    last = theirs[-1]
    file, server = printable(text(last, "file"), 100), printable(text(last, "server"), 40)
    asked = case.refused(text(last, "file"))
    yield Cause(
        code="foreign-boot-file",
        sentence=f"The DHCP server {server} names a boot file itself, {file!r}"
        f"{_from(last)}, and the firmware followed that and not us.",
        confidence=97 if asked else 93 if takes(case) else 84,
        because=because(*some(theirs, 2), *some(takes(case), 1), *some(asked, 1)),
        advice="Take next-server and the boot file (options 66 and 67) out of that DHCP server's "
        "scope; a Windows server has them in the scope options, dnsmasq in dhcp-boot.",
    )


def _from(note: Note) -> str:
    next_server = printable(text(note, "next_server"), 40)
    return f" from {next_server}" if next_server else ""


def second_proxy(case: Case) -> Iterator[Cause]:
    """Somebody else on the wire answers PXE clients."""
    theirs = proxies(case)
    if not theirs:
        return
    server = printable(text(theirs[-1], "server"), 40)
    yield Cause(
        code="second-proxy",
        sentence=f"Another proxyDHCP server, {server}, answers the same clients, and the firmware "
        "may have followed it.",
        confidence=76 if files_of_others(case) else 91,
        because=because(*some(theirs, 2), *some(takes(case), 1)),
        advice=f"Stop the other one (WDS, FOG, MAAS, dnsmasq with pxe-service …) at {server}, or "
        "keep the two in different VLANs.",
    )


def _file_not_fetched(case: Case) -> Cause:
    """It has an address of ours and the name of its file, and the next packet did not arrive."""
    offer, lease = case.step(Stage.OFFER), some(leases(case), 1)
    if offer is not None and "://" in offer.path:
        return http_blocked(case, because(offer, *lease), 86)
    return tftp_blocked(case, because(offer, *lease), 86)


def _after_its_address(case: Case) -> Iterator[Cause]:
    """It took its address, so it has heard of a boot file; the next packet did not arrive."""
    offer, taken = case.step(Stage.OFFER), takes(case)
    style = offer.note if offer else ""
    if replies.HTTP in (style, offer.protocol if offer else ""):
        yield http_blocked(case, because(offer, *some(taken, 1)), 86)
    elif style == replies.DIRECT:
        yield tftp_blocked(case, because(offer, *some(taken, 1)), 85)
    else:
        yield Cause(
            code="port-4011-blocked",
            sentence=f"{case.called} took its address, and its request to port 4011 never arrived.",
            confidence=86,
            because=because(offer, *some(taken, 1), "no packet on UDP port 4011"),
            advice="Allow UDP port 4011 to this server: nft add rule inet filter input udp dport "
            "4011 accept; ufw allow 4011/udp; and in whatever filters between the two. Or set "
            '"reply_style": "direct" for this machine, which does without that port.',
        )
    yield _heeds_none(case, 30)


def tftp_blocked(case: Case, why: tuple[str, ...], confidence: int) -> Cause:
    """It knows its file, and its read request never came."""
    return Cause(
        code="tftp-blocked",
        sentence=f"{case.called} knows its boot file, and its TFTP read request never arrived.",
        confidence=confidence,
        because=(*why, "no packet on UDP port 69"),
        advice="Allow TFTP to this server: nft add rule inet filter input udp dport 69 accept; "
        "ufw allow 69/udp; and in whatever filters between the two, also the answers, which come "
        "from ports of their own.",
    )


def http_blocked(case: Case, why: tuple[str, ...], confidence: int) -> Cause:
    """It has a URL, and its request never came."""
    return Cause(
        code="http-blocked",
        sentence=f"{case.called} knows the URL of its boot, and its HTTP request never arrived.",
        confidence=confidence,
        because=(*why, "no HTTP request"),
        advice="Allow the port of 'http_port' to this server: nft add rule inet filter input tcp "
        "dport 3000 accept; ufw allow 3000/tcp; and in whatever filters between the two.",
    )


def relay(case: Case) -> str:
    """The relay through which its DISCOVERs come; empty where they come by themselves."""
    discover = case.step(Stage.DISCOVER)
    return discover.peer if discover is not None else ""


def _no_address(case: Case) -> Cause:
    discover = case.step(Stage.DISCOVER)
    return Cause(
        code="no-address",
        sentence=f"{case.called} gets no address: no DHCP server answered its DISCOVERs, and "
        "without one it cannot follow our offer.",
        # What a relay brings back from the DHCP server passes us by.
        confidence=50 if relay(case) else 80,
        because=because(
            discover, case.step(Stage.OFFER), "no OFFER of a DHCP server, no REQUEST of the client"
        ),
        advice="Look at the DHCP server of this network: is it running, has its range free "
        "addresses, does it know this MAC, is there a relay to it (ip helper-address)? "
        "netbootd doctor asks it.",
    )


def _no_request(case: Case, *, has_address: bool) -> Iterator[Cause]:
    """Addresses are offered or not; the client does not take one."""
    if relay(case):
        yield _relay_drops(case)
        yield _heeds_none(case, 40)
        return
    followed = case.evidence.company.followed
    sure = (48 if followed else 80) if has_address else (25 if followed else 45)
    discover, offer = case.step(Stage.DISCOVER), case.step(Stage.OFFER)
    seen = some(case.notes(Code.OVERHEARD), 1)
    yield Cause(
        code="offers-dropped",
        sentence=f"{case.called} does not seem to hear our offers: a switch with DHCP snooping "
        "drops those of a server behind a port that it does not trust.",
        confidence=sure,
        because=because(discover, offer, *seen, _company(case)),
        advice="Trust the port of this server (Cisco: ip dhcp snooping trust; others: DHCP "
        "snooping, trusted port), and allow UDP port 68 out of this host.",
    )
    yield _heeds_none(case, (62 if has_address else 35) + (20 if followed else 0))


def _relay_drops(case: Case) -> Cause:
    where = printable(relay(case), 40)
    return Cause(
        code="relay-drops-offers",
        sentence=f"{case.called} asks through the relay {where}, and does not seem to get our "
        "offers, which go back there.",
        confidence=58,
        because=because(case.step(Stage.DISCOVER), case.step(Stage.OFFER)),
        advice=f"Is {where} the relay's address on the client's side, is there a route to it "
        f"from here (ip route get {where}), and does a filter let UDP port 67 through, both "
        "ways? Some relays pass on the answers of listed servers alone: list this one, too.",
    )


def _heeds_none(case: Case, confidence: int) -> Cause:
    restyled = case.notes(Code.RESTYLED)
    tried = sum(note.times for note in restyled)
    heeds = min(confidence + 4 * min(tried, 3), 90) if confidence > 40 else confidence
    offer = case.step(Stage.OFFER)
    file = printable(offer.path, 80) if offer else "the file"
    return Cause(
        code="heeds-no-proxy",
        sentence=f"The firmware of {case.called} heeds no proxyDHCP server: it sees the offers, "
        "and begins again with its DISCOVER.",
        confidence=heeds,
        because=because(case.step(Stage.DISCOVER), *some(restyled), _company(case)),
        advice="Update its firmware; or let the DHCP server that gives it its address name the "
        f"boot file: next-server this server, file {file!r}.",
    )


def _company(case: Case) -> str:
    company = case.evidence.company
    if not company.followed:
        return "no other machine on this interface has followed an offer of ours lately"
    alike = f", {company.alike} of them of the same architecture" if company.alike else ""
    return f"{company.followed} other machines on this interface followed our offers lately{alike}"


def boot_server_and_no_more(case: Case) -> Iterator[Cause]:
    """Port 4011 told it the file, and it never asked for that."""
    if case.over and case.is_at(Stage.BOOT_SERVER):
        acked = case.step(Stage.BOOT_SERVER)
        yield from foreign_file(case)
        if not case.notes(Code.REFUSED, protocol="TFTP"):  # else a read request did arrive
            yield tftp_blocked(case, because(acked, f"silent for {span(case.silent)}"), 88)


SIGNATURES: tuple[Signature, ...] = (
    never_asked,
    not_netboot,
    offer_unanswered,
    boot_server_and_no_more,
)
