"""
Each question of a capture with both answers: ours, and those that it got.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from netbootd import urls
from netbootd.dhcp import pxe, wire
from netbootd.dhcp.message import MessageType
from netbootd.errors import WireError
from netbootd.mac import MAC
from netbootd.printable import printable
from netbootd.replay.conversation import Kind, Question, joined
from netbootd.replay.datagram import Datagram
from netbootd.replay.reading import Names, Reading
from netbootd.replay.said import (
    Difference,
    Said,
    differences,
    of_message,
    of_packet,
    tells_to_boot,
)
from netbootd.replay.us import Silent, Us, asked_over_http, status_of
from netbootd.tftp import wire as tftp


class Verdict(StrEnum):
    """How our answer compares with those that were given."""

    SAME = "same"
    DIFFERS = "differs"
    WE_ALONE = "we alone"
    THEY_ALONE = "they alone"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    *asks* is the question in a few words and *client* who asks, of which *mac* is the card; its
    packet has *number* and *at* (Unix seconds).  *ours* is None where we would be silent, for the
    reason *silent*; *concerns*: a machine goes without for that.  *ended* is how the client broke
    it off.
    """

    number: int
    at: float
    kind: Kind
    mac: MAC | None
    asks: str
    client: str
    ours: Said | None
    silent: str
    concerns: bool
    theirs: tuple[Said, ...]
    ended: str = ""
    cut: bool = False
    vlans: tuple[int, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """By what tells to boot; an address alone is not our trade."""
        boots = [said for said in self.theirs if said.boots]
        if self.ours is None:
            return Verdict.THEY_ALONE if boots and self.concerns else Verdict.NEITHER
        if not boots:
            return Verdict.WE_ALONE
        same = any(not differences(self.ours, said) for said in boots)
        return Verdict.SAME if same else Verdict.DIFFERS

    def differences(self, theirs: Said) -> tuple[Difference, ...]:
        """Between ours and *theirs*; none where we are silent, or it is not about booting."""
        return differences(self.ours, theirs) if self.ours and theirs.boots else ()


def exchanges(reading: Reading, us: Us) -> Iterator[Exchange]:
    """All of them, in the order of the capture."""
    names = Names()
    for question in reading.questions:
        match question.kind:
            case Kind.DHCP:
                yield _exchange(question, us, names.note(question), *_asks_dhcp(question))
            case Kind.TFTP:
                if (asks := _asks_tftp(question)) is not None:
                    yield _exchange(question, us, _owner(question, asks[0], names), asks[1], "")
            case Kind.HTTP:
                try:
                    asked = asked_over_http(question)
                except Silent:
                    continue
                mac = urls.route([part for part in asked.path.split("/") if part]).mac
                told = f"{asked.method} {printable(asked.path)}"
                agent = printable(asked.headers.get("user-agent", ""), 60)
                yield _exchange(question, us, mac or names.of(question.asked.source), told, agent)


def _exchange(question: Question, us: Us, mac: MAC | None, asks: str, client: str) -> Exchange:
    ours, silent, concerns = None, "", False
    try:
        ours = us.answer(question)
    except Silent as problem:
        silent, concerns = str(problem), problem.concerns
    return Exchange(
        number=question.asked.number,
        at=question.asked.at,
        kind=question.kind,
        mac=mac,
        asks=asks,
        client=client,
        ours=ours,
        silent=silent,
        concerns=concerns,
        theirs=tuple(_theirs(question)),
        ended=_ended(question),
        cut=question.asked.cut,
        vlans=question.asked.vlans,
    )


def _asks_dhcp(question: Question) -> tuple[str, str]:
    request = question.request
    assert request is not None
    client = pxe.client_of(request)
    who = f"{client.stage.value}, {client.arch or 'no architecture'}" if client else "no netboot"
    said = printable(request.vendor_class, 60) or "no vendor class"
    if int(request.giaddr):
        who = f"{who}, by relay {request.giaddr}"
    return f"{request.message_name} to port {question.asked.dport}", f"{who} ({said})"


def _asks_tftp(question: Question) -> tuple[str, str] | None:
    """The path and the request in words; None where it is no read request."""
    try:
        request = tftp.decode(question.asked.payload)
    except WireError:
        return None
    if not isinstance(request, tftp.ReadRequest):
        return None
    options = ", ".join(f"{name} {value}" for name, value in request.options.items())
    told = f"RRQ {printable(request.path)}"
    return request.path, f"{told} ({printable(options)})" if options else told


def _owner(question: Question, path: str, names: Names) -> MAC | None:
    return urls.split_mac(path)[0] or names.of(question.asked.source)


def _theirs(question: Question) -> Iterator[Said]:
    """The answers in the capture; of a transfer the first alone."""
    if question.kind is Kind.HTTP:
        if question.answers:
            yield _over_http(question)
        return
    for answer in question.answers:
        number, at, by = answer.number, answer.at, str(answer.source)
        try:
            if question.kind is Kind.TFTP:
                yield _first_of_transfer(answer)
                return
            reply = wire.decode(answer.payload)
        except WireError:
            continue
        given = f"gives {reply.yiaddr}" if int(reply.yiaddr) else ""
        kind = reply.message_type
        yield Said(
            what=MessageType(kind).name if kind in _TYPES else f"message type {kind}",
            by=by,
            fields=of_message(reply),
            number=number,
            at=at,
            boots=tells_to_boot(reply),
            because=(given,) if given else (),
            cut=answer.cut,
        )


_TYPES = frozenset(MessageType)


def _over_http(question: Question) -> Said:
    first, answer = question.answers[0], joined(question)
    what, fields = status_of(answer) if answer else ("an answer", {})
    return Said(
        what=what,
        by=str(first.source),
        fields=fields,
        number=first.number,
        at=first.at,
        boots=bool(answer),
        cut=not answer,  # its beginning was lost, by a capture that could not keep up
    )


def _first_of_transfer(answer: Datagram) -> Said:
    what, fields, text = of_packet(tftp.decode(answer.payload))
    return Said(
        what=what,
        by=str(answer.source),
        fields=fields,
        number=answer.number,
        at=answer.at,
        because=(text,) if text else (),
        # Of the bytes of a file nothing is looked at here, and few captures have them.
        cut=answer.cut and what == "OACK",
    )


def _ended(question: Question) -> str:
    if question.ended is None:
        return ""
    try:
        what, _, text = of_packet(tftp.decode(question.ended.payload))
    except WireError:
        return ""
    return f"{what} {text}".strip()
