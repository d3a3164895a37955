"""
A capture file as conversations, and what could not be read of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

from netbootd.dhcp import pxe, wire
from netbootd.dhcp.message import Message
from netbootd.errors import WireError
from netbootd.mac import MAC
from netbootd.printable import counted
from netbootd.registry.snapshot import Registry
from netbootd.replay.capture import Damaged, Frame, NoCapture, frames
from netbootd.replay.conversation import Conversations, Kind, Question, TooMuch
from netbootd.replay.datagram import KNOWN_LINKS, datagram
from netbootd.replay.said import tells_to_boot

_DOCUMENTATION = IPv4Address("192.0.2.1")  # RFC 5737


@dataclass(slots=True)
class Reading:
    """
    What *file* has in it: *packets* of it, the first at *began* and the last at *ended* (Unix
    seconds), the *questions* in it, and *remarks* on what was left out.
    """

    file: Path
    packets: int = 0
    began: float = 0.0
    ended: float = 0.0
    questions: list[Question] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read(file: Path) -> Reading:
    """Read *file*; raises NoCapture."""
    reading, talks = Reading(file), Conversations()
    links: Counter[int] = Counter()
    try:
        with file.open("rb") as opened:
            for frame in frames(opened):
                _note(frame, reading)
                links[frame.link] += frame.link not in KNOWN_LINKS
                if found := datagram(frame):
                    talks.add(found)
    except NoCapture as problem:
        raise NoCapture(f"{file} is no capture: {problem}") from None
    except OSError as problem:
        raise NoCapture(f"{file} cannot be read: {problem.strerror}") from None
    except (Damaged, TooMuch) as problem:
        reading.remarks.append(str(problem))
    reading.questions = talks.questions
    reading.remarks += _remarks(links, talks)
    return reading


def _note(frame: Frame, reading: Reading) -> None:
    reading.packets = frame.number
    reading.began = reading.began or frame.at
    reading.ended = max(reading.ended, frame.at)


def _remarks(links: Counter[int], talks: Conversations) -> Iterator[str]:
    for link, number in (+links).items():
        yield f"{counted(number, 'packet')} of link type {link}, which is not understood"
    if talks.garbled:
        yield f"{counted(talks.garbled, 'packet')} to a DHCP port without DHCP"
    if talks.doubled:
        yield f"{counted(talks.doubled, 'packet')} seen twice count once"


def server_in(reading: Reading) -> tuple[IPv4Address, str] | None:
    """
    The address that answered as boot server, and how it was known; None where nobody did.

    A reply that gives no address comes from a proxy or a boot server; else whom the DHCP server
    names for the files; else who answered TFTP.
    """
    proxies: Counter[IPv4Address] = Counter()
    named: Counter[IPv4Address] = Counter()
    tftp: Counter[IPv4Address] = Counter()
    for question in reading.questions:
        for answer in question.answers:
            if question.kind is Kind.TFTP:
                tftp[answer.source] += 1
            elif question.kind is Kind.DHCP and (reply := _boot_reply(answer.payload)):
                proxies[answer.source] += not int(reply.yiaddr)
                named[reply.siaddr] += bool(int(reply.siaddr))
    for found, how in (
        (proxies, "which answered as boot server"),
        (named, "which the DHCP server names for the files"),
        (tftp, "which answered TFTP"),
    ):
        if +found:
            return found.most_common(1)[0][0], how
    return None


def _boot_reply(payload: bytes) -> Message | None:
    try:
        reply = wire.decode(payload)
    except WireError:
        return None
    return reply if tells_to_boot(reply) else None


def address_for(
    reading: Reading, registry: Registry, wanted: IPv4Address | None
) -> tuple[IPv4Address, str]:
    """Whose place we take in the capture, and why: *wanted* counts before anything else."""
    if wanted is not None:
        return wanted, "as asked for"
    if found := server_in(reading):
        return found
    host = urlsplit(registry.boot_server or "").hostname or ""
    try:
        return IPv4Address(host), "of the configuration"
    except ValueError:
        return _DOCUMENTATION, "which stands for any: nobody in the capture is a boot server"


@dataclass(slots=True)
class Names:
    """Who has which address, as far as the DHCP of the capture has told so far."""

    _by_address: dict[IPv4Address, MAC] = field(default_factory=dict)

    def note(self, question: Question) -> MAC | None:
        """Learn from a DHCP *question*, and tell whose it is."""
        assert question.request is not None
        mac = pxe.mac_of(question.request)
        if mac is None:
            return None
        if int(question.request.ciaddr):
            self._by_address[question.request.ciaddr] = mac
        for answer in question.answers:
            try:
                given = wire.decode(answer.payload).yiaddr
            except WireError:
                continue
            if int(given):
                self._by_address[given] = mac
        return mac

    def of(self, address: IPv4Address) -> MAC | None:
        """Whose *address* is."""
        return self._by_address.get(address)
