"""
The kernel's netconsole: datagrams to lines.

Plain, it is the text of the console: a line may come in several datagrams, and several in one.
Extended (``+``), each datagram is a record, ``6,416,1758426,-;text``: facility and level as in
syslog, a sequence number, microseconds since boot, a flag, and ``KEY=value`` lines behind the text;
one that is too long comes in fragments, ``ncfrag=OFFSET/TOTAL``.  With ``r`` the kernel's release
stands in front.

Sources: Documentation/networking/netconsole.rst, Documentation/ABI/testing/dev-kmsg and
drivers/net/netconsole.c of Linux.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field

from netbootd.syslog.wire import Said

#: Bytes of a record, and of a line that does not end.
LONGEST = 1 << 16
_LONGEST_LINE = 1 << 13
_PATIENCE_S = 2.0  # for the rest of a record or line
_MOST_LINES = 4096  # that wait for their end, one of each sender
_MOST_RECORDS = 256  # that wait for their rest, of all senders
_MOST_PARTS = 256  # of one; the kernel makes them some 1000 bytes long
#: Lines of one datagram that are told apart, and pairs of one record: a line costs much more than
#: its bytes do, and the kernel's datagrams have 1000 of these (MAX_PRINT_CHUNK).
_MOST_SPLIT = 256
_KERNEL, _NOTICE = 0, 5
_HEADER = re.compile(
    rb"(?:(?P<release>[^\s,;]{1,128}),)?(?P<priority>\d{1,4}),(?P<sequence>\d{1,20}),"
    rb"(?P<microseconds>\d{1,20}),(?P<flag>[^,;]{1,4})(?P<more>(?:,[^,;]{1,128}){0,8});"
)
_FRAGMENT = re.compile(rb",ncfrag=(\d{1,7})/(\d{1,7})")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_KEY = "netconsole"


@dataclass(slots=True)
class _Record:
    """A record of which parts have come: *parts* by offset, *total* bytes in all."""

    header: re.Match[bytes]
    total: int
    since: float
    parts: dict[int, bytes] = field(default_factory=dict)

    @property
    def is_odd(self) -> bool:
        """Whether its parts can be no record's, and would fill the memory."""
        return len(self.parts) > _MOST_PARTS or sum(map(len, self.parts.values())) > self.total


@dataclass(slots=True)
class _Line:
    text: bytes
    since: float


class Assembler:
    """Puts the datagrams of all senders together; *now* is in seconds of any clock."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, bytes], _Record] = OrderedDict()
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many records and lines lack their rest."""
        return len(self._records) + len(self._lines)

    def feed(self, datagram: bytes, sender: str, now: float) -> list[tuple[str, Said]]:
        """
        The lines that *datagram* completes, with their sender: where too many wait for their rest,
        another's are among them.
        """
        header = _HEADER.match(datagram)
        if header is None or int(header["priority"]) > 191:
            return self._plain(datagram, sender, now)
        body = datagram[header.end() :]
        fragment = _FRAGMENT.search(header["more"])
        if fragment is None:
            return [(sender, _said(header, body))]
        return self._fragment(header, body, sender, now)

    def overdue(self, now: float) -> list[tuple[str, Said]]:
        """What has waited too long for its rest, with its sender: it is given as it is."""
        found: list[tuple[str, Said]] = []
        while self._records and now - next(iter(self._records.values())).since > _PATIENCE_S:
            found.append(self._give_up())
        while self._lines and now - next(iter(self._lines.values())).since > _PATIENCE_S:
            sender, line = self._lines.popitem(last=False)
            found.append((sender, _plain(line.text)))
        return found

    # -- extended ------------------------------------------------------------------------------

    def _fragment(
        self, header: re.Match[bytes], body: bytes, sender: str, now: float
    ) -> list[tuple[str, Said]]:
        match = _FRAGMENT.search(header["more"])
        assert match is not None
        offset, total = int(match[1]), int(match[2])
        if not 0 < total <= LONGEST or offset + len(body) > total:
            return [(sender, _said(header, body, ("incomplete",)))]
        key = (sender, header["sequence"])
        record = self._records.get(key)
        if record is None or record.total != total:
            record = self._records[key] = _Record(header, total, now)
            self._records.move_to_end(key)
        record.parts.setdefault(offset, body)
        if (joined := _joined(record)) is not None:
            del self._records[key]
            return [(sender, _said(record.header, joined))]
        if record.is_odd:
            del self._records[key]
            return [(sender, _as_far(record))]
        return [self._give_up()] if len(self._records) > _MOST_RECORDS else []

    def _give_up(self) -> tuple[str, Said]:
        (sender, _), record = self._records.popitem(last=False)
        return sender, _as_far(record)

    # -- plain ---------------------------------------------------------------------------------

    def _plain(self, datagram: bytes, sender: str, now: float) -> list[tuple[str, Said]]:
        waiting = self._lines.pop(sender, None)
        *whole, rest = ((waiting.text if waiting else b"") + datagram).split(b"\n", _MOST_SPLIT)
        if len(rest) > _LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        if rest:
            self._lines[sender] = _Line(rest, now)
        found = [(sender, _plain(text)) for text in whole if text.strip()]
        if len(self._lines) > _MOST_LINES:
            other, line = self._lines.popitem(last=False)
            found.append((other, _plain(line.text)))
        return found


def _joined(record: _Record) -> bytes | None:
    """The whole body, None while a part is missing."""
    body = b""
    for offset, part in sorted(record.parts.items()):
        if offset != len(body):
            return None
        body += part
    return body if len(body) == record.total else None


def _as_far(record: _Record) -> Said:
    """A record that will not be whole."""
    text = b" [...] ".join(part for _, part in sorted(record.parts.items()))
    return _said(record.header, text, ("incomplete",))


def _said(header: re.Match[bytes], body: bytes, tags: tuple[str, ...] = ()) -> Said:
    facility, severity = divmod(int(header["priority"]), 8)
    text, *pairs = body.split(b"\n", _MOST_SPLIT)
    facts = {
        "sequence": [header["sequence"].decode()],
        "microseconds": [header["microseconds"].decode()],
    }
    if header["release"]:
        facts["release"] = [header["release"].decode(errors="replace")]
    for pair in pairs:
        name, equals, value = pair.strip().partition(b"=")
        if equals:
            facts.setdefault(_text(name), []).append(_text(value))
    return Said(
        _text(text),
        facility,
        severity,
        app="kernel" if facility == _KERNEL else "",
        structured={_KEY: facts},
        original=(header[0] + body).decode(errors="replace"),
        tags=tags,
    )


def _plain(text: bytes) -> Said:
    decoded = text.rstrip(b"\r\0").decode(errors="replace")
    return Said(decoded, _KERNEL, _NOTICE, app="kernel", original=decoded)


def _text(escaped: bytes) -> str:
    r"""The kernel writes bytes that are no ASCII, and backslashes, as ``\x5c``."""
    if b"\\x" in escaped:
        escaped = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), escaped)
    return escaped.decode(errors="replace")
