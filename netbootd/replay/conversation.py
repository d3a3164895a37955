"""
Questions of booting machines in a capture, each with what was answered.

DHCP on ports 67, 68 and 4011: a reply belongs to the latest question with its xid and chaddr that
it fits.  TFTP: whatever comes back to the port that a request came from.  HTTP: a GET or HEAD that
fits one segment, and what follows its acknowledgement number.

Memory is bounded by _MOST_QUESTIONS, _MOST_ANSWERS each and _MOST_BODY: a capture may be of any
size, and made by anybody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from netbootd.dhcp import wire
from netbootd.dhcp.message import Message, MessageType, Op
from netbootd.errors import NetbootdError, WireError
from netbootd.replay.datagram import Datagram

_SERVER, _CLIENT, _BOOT_SERVER, _TFTP = 67, 68, 4011, 69
_MOST_QUESTIONS = 50_000
_MOST_ANSWERS = 16
_MOST_BODY = 1 << 18  # bytes of an HTTP answer
_MOST_RECENT = 256
#: Seconds within which the same bytes between the same ends are one packet that was seen twice: on
#: the two sides of a bridge, by a capture on all interfaces.
_SAME_WITHIN_S = 0.005
_MOST_SEGMENTS = 1024
_METHODS = (b"GET ", b"HEAD ")
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_REPLY_TYPES: Mapping[int, tuple[int, ...]] = {
    MessageType.DISCOVER: (MessageType.OFFER,),
    MessageType.REQUEST: (MessageType.ACK, MessageType.NAK),
    MessageType.INFORM: (MessageType.ACK, MessageType.NAK),
}


class TooMuch(NetbootdError):
    """The capture has more questions than are kept."""


class Kind(Enum):
    """Which protocol a question is of."""

    DHCP = "DHCP"
    TFTP = "TFTP"
    HTTP = "HTTP"


@dataclass(slots=True)
class Question:
    """
    What a client *asked*, and what came back: *answers* in the order of time.

    *request* is the message of DHCP.  *ended* is the ERROR by which a client broke a TFTP transfer
    off, None where it did not.
    """

    kind: Kind
    asked: Datagram
    request: Message | None = None
    answers: list[Datagram] = field(default_factory=list)
    ended: Datagram | None = None


@dataclass(slots=True)
class Conversations:
    """Fed with datagrams in the order of the capture; *questions* grow, and *garbled* counts."""

    questions: list[Question] = field(default_factory=list)
    garbled: int = 0
    doubled: int = 0
    _by_xid: OrderedDict[tuple[int, bytes], list[Question]] = field(default_factory=OrderedDict)
    _by_port: OrderedDict[tuple[object, int], Question] = field(default_factory=OrderedDict)
    _by_flow: OrderedDict[tuple[object, ...], Question] = field(default_factory=OrderedDict)
    _recent: OrderedDict[tuple[object, ...], float] = field(default_factory=OrderedDict)

    def add(self, datagram: Datagram) -> None:
        """The next one; raises TooMuch."""
        if datagram.tcp:
            self._add_http(datagram)
        elif datagram.dport in (_SERVER, _CLIENT, _BOOT_SERVER):
            self._add_dhcp(datagram)
        else:
            self._add_tftp(datagram)

    def _ask(self, question: Question) -> Question:
        if len(self.questions) >= _MOST_QUESTIONS:
            raise TooMuch(
                f"only the first {_MOST_QUESTIONS:,} questions are looked at, "
                f"up to packet {question.asked.number - 1}: --mac says which machine matters"
            )
        self.questions.append(question)
        return question

    def _is_seen(self, datagram: Datagram) -> bool:
        ends = datagram.source, datagram.sport, datagram.to, datagram.dport, datagram.payload
        before = self._recent.get(ends)
        self._recent[ends] = datagram.at
        self._recent.move_to_end(ends)
        if len(self._recent) > _MOST_RECENT:
            self._recent.popitem(last=False)
        seen = before is not None and 0 <= datagram.at - before <= _SAME_WITHIN_S
        self.doubled += seen
        return seen

    # -- DHCP ----------------------------------------------------------------------------------

    def _add_dhcp(self, datagram: Datagram) -> None:
        if self._is_seen(datagram):
            return
        try:
            message = wire.decode(datagram.payload)
        except WireError:
            self.garbled += 1
            return
        key = message.xid, message.chaddr
        if message.op == Op.REQUEST:
            question = self._ask(Question(Kind.DHCP, datagram, message))
            _keep(self._by_xid, key, [*self._by_xid.get(key, ())[-7:], question])
        elif asked := _fitting(message, datagram, self._by_xid.get(key, ())):
            _answer(asked, datagram)

    # -- TFTP ----------------------------------------------------------------------------------

    def _add_tftp(self, datagram: Datagram) -> None:
        opcode = int.from_bytes(datagram.payload[:2], "big")
        if datagram.dport == _TFTP:
            if opcode == _RRQ and not self._is_seen(datagram):
                question = self._ask(Question(Kind.TFTP, datagram))
                _keep(self._by_port, (datagram.source, datagram.sport), question)
            return
        asked = self._by_port.get((datagram.to, datagram.dport))
        if asked and not asked.answers and opcode in (_DATA, _ERROR, _OACK):
            _answer(asked, datagram)  # the first says it all; behind it comes the file
        mine = self._by_port.get((datagram.source, datagram.sport))
        if mine and opcode == _ERROR and mine.ended is None:
            mine.ended = datagram

    # -- HTTP ----------------------------------------------------------------------------------

    def _add_http(self, segment: Datagram) -> None:
        if not segment.payload:
            return
        if segment.payload.startswith(_METHODS):
            if not self._is_seen(segment):
                flow = segment.to, segment.dport, segment.source, segment.sport
                _keep(self._by_flow, flow, self._ask(Question(Kind.HTTP, segment)))
            return
        asked = self._by_flow.get((segment.source, segment.sport, segment.to, segment.dport))
        if asked and _behind(segment.seq, asked.asked.ack) < _MOST_BODY:
            kept = sum(len(one.payload) for one in asked.answers)
            if kept < _MOST_BODY and len(asked.answers) < _MOST_SEGMENTS:
                asked.answers.append(segment)


_RRQ, _DATA, _ERROR, _OACK = 1, 3, 5, 6


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    kept[key] = value
    kept.move_to_end(key)


def _answer(question: Question, datagram: Datagram) -> None:
    if len(question.answers) < _MOST_ANSWERS:
        question.answers.append(datagram)


def _fitting(reply: Message, datagram: Datagram, questions: Iterable[Question]) -> Question | None:
    """The latest of *questions* that *reply* answers, else the latest of all."""
    latest = None
    to_boot_server = _BOOT_SERVER in (datagram.sport, datagram.dport)
    for question in questions:
        asked = question.request
        assert asked is not None
        fits = reply.message_type in _REPLY_TYPES.get(asked.message_type or 0, ())
        same_port = (question.asked.dport == _BOOT_SERVER) == to_boot_server
        if fits and same_port:
            latest = question
    return latest or next(iter(reversed(list(questions))), None)


def _behind(seq: int, start: int) -> int:
    """How far *seq* is behind *start*, in bytes; numbers of TCP begin anew at 2**32."""
    return (seq - start) & 0xFFFFFFFF


def joined(question: Question) -> bytes:
    """The bytes of an HTTP answer, in order, up to the first that the capture lacks."""
    body = b""
    for segment in sorted(question.answers, key=lambda one: _behind(one.seq, question.asked.ack)):
        at = _behind(segment.seq, question.asked.ack)
        if at > len(body):
            break
        body += segment.payload[len(body) - at :]
        if segment.cut:
            break
    return body
