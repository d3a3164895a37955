"""
Syslog: bytes to what they say.  Nothing is dropped because it does not parse: what cannot be read
stays in the text.

RFC 5424 where the version says so; else RFC 3164 and what its relatives make of it: BusyBox leaves
the host name out, iPXE the time as well, Cisco puts marks around the time, others a year.  The
times of both come as a ``Stamp``, since the year and the zone that are missing are not the
message's to know.
"""

from __future__ import annotations

import base64
import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

#: Bytes of a message; more are cut off.  UDP cannot carry as much.
LONGEST = 1 << 16
_MOST_DATA = 256  # elements and parameters of structured data that are told apart; more are text
_MOST_NAME = 255  # characters of a host or program (RFC 5424, 6); what is longer is no name
_BELIEVED_S = 86_400.0  # a clock that is further off is not believed
_DAY = 86_400.0
_NOTICE, _USER = 5, 1  # of a message without a priority (RFC 3164, 4.3.3)

_PRIORITY = re.compile(rb"<(\d{1,3})>")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_OLD_TIME = re.compile(
    r"[*.]?(?:(?P<before>\d{4}) )?(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2})"
    r"(?: (?P<between>\d{4}))? (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?: (?P<after>\d{4})(?=[ :]|$))?(?: (?:UTC|GMT)(?=[ :]|$))?"
    r":?(?: |$)"
)
_RFC_3339 = re.compile(
    r"[*.]?(?P<date>\d{4}-\d\d-\d\d)[Tt ](?P<time>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>[Zz]|[+-]\d\d:?\d\d)?:?(?: |$)"
)
_TAG = re.compile(r"(?P<name>[^\[\]:]*)(?:\[(?P<procid>[^\]]*)\])?:")
_ILLUMOS = re.compile(r"\[ID (\d{1,10}) \w+\.\w+\] ")
# Possessive: the places to go back to would take 200 bytes for each of a value's characters.
_PARAMETER = re.compile(r' ([^\s="\]]{1,255})="((?:[^"\\\]]++|\\.)*+)"', re.DOTALL)
_IDENTIFIER = re.compile(r'\[([^\s="\]]{1,255})')
_ESCAPED = re.compile(r'\\(["\\\]])')


class Stamp(NamedTuple):
    """
    A time as it was *written*.  *seconds* are Unix seconds as if it were UTC; *zoned*: they are.
    *year* is False where the message has none, and *seconds* are then in a leap year of long ago.
    """

    written: str
    seconds: float
    zoned: bool
    year: bool


class Said(NamedTuple):
    """What one message says, in the words of ``logbook.line.Line``; *stamp* None without a time."""

    text: str
    facility: int = _USER
    severity: int = _NOTICE
    stamp: Stamp | None = None
    host_name: str = ""
    app: str = ""
    procid: str = ""
    msgid: str = ""
    version: int = 0
    structured: Mapping[str, Mapping[str, Sequence[str]]] = {}
    original: str = ""
    tags: tuple[str, ...] = ()


def read(message: bytes) -> Said:
    """One message, as a datagram or a frame brought it."""
    tags: tuple[str, ...] = ()
    message = message.rstrip(b"\0\r\n")
    if len(message) > LONGEST:
        message, tags = message[:LONGEST], ("truncated",)
    text, original, tags = _decoded(message, tags)
    match = _PRIORITY.match(message)
    if match is None or (priority := int(match[1])) > 191:
        return Said(text, original=original, tags=tags)
    facility, severity = divmod(priority, 8)
    rest = text[match.end() :]
    said = _new(rest) if rest.startswith("1 ") else _old(rest)
    return said._replace(
        facility=facility, severity=severity, original=original, tags=(*tags, *said.tags)
    )


def _decoded(message: bytes, tags: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """The text, and the original: where that is no UTF-8, in base64."""
    try:
        text = message.decode()
    except UnicodeDecodeError:
        original = base64.b64encode(message).decode()
        return message.decode(errors="replace"), original, (*tags, "not_utf8")
    return text, text, tags


# -- RFC 3164 and relatives ------------------------------------------------------------------------


def _old(text: str) -> Said:
    stamp, text = _old_stamp(text)
    host, tag, rest = _host_and_tag(text)
    if not tag:
        return Said(text, stamp=stamp)
    match = _TAG.fullmatch(tag)
    app, procid = (match["name"], match["procid"] or "") if match else (tag[:-1], "")
    illumos = _ILLUMOS.match(rest)
    return Said(
        rest,
        stamp=stamp,
        host_name=host,
        app=app,
        procid=procid,
        msgid=illumos[1] if illumos else "",
    )


def _old_stamp(text: str) -> tuple[Stamp | None, str]:
    """The time at the beginning, if there is one, and what is behind it."""
    match = _OLD_TIME.match(text)
    if match is not None:
        stamp = _bsd_stamp(match[0])
    else:
        match = _RFC_3339.match(text)
        stamp = _iso_stamp(match[0]) if match else None
    if match is None or stamp is None:
        return None, text
    return stamp, text[match.end() :]


def _host_and_tag(text: str) -> tuple[str, str, str]:
    """
    The host name, the tag with its colon, and the text.

    The first word is the tag if it ends in a colon; if the second does, the first is the host.
    Else there is neither, and all of it is text.
    """
    first, _, behind = text.partition(" ")
    if _is_tag(first):
        return "", first, behind
    second, _, rest = behind.partition(" ")
    if first and len(first) <= _MOST_NAME and _is_tag(second):
        return first, second, rest
    return "", "", text


def _is_tag(word: str) -> bool:
    return 1 < len(word) <= _MOST_NAME and word[-1] == ":"


@lru_cache(maxsize=1024)
def _bsd_stamp(written: str) -> Stamp | None:
    """``Nov 21 03:14:24``, perhaps with a year; None where there is no such day."""
    match = _OLD_TIME.match(written)
    if match is None or (month := _MONTHS.get(match["month"])) is None:
        return None
    year = match["before"] or match["between"] or match["after"]
    clock = (int(match["hour"]), int(match["minute"]), min(59, int(match["second"])))
    try:
        # 1972 has a 29 February.
        moment = datetime(int(year or 1972), month, int(match["day"]), *clock, tzinfo=UTC)
    except ValueError:
        return None
    seconds = timegm(moment.timetuple()) + float(f"0.{match['fraction'] or 0}")
    return Stamp(written.strip(), seconds, zoned=False, year=year is not None)


@lru_cache(maxsize=1024)
def _iso_stamp(written: str) -> Stamp | None:
    match = _RFC_3339.match(written)
    if match is None:
        return None
    clock = match["time"].replace(":60", ":59")  # a leap second
    zone = (match["zone"] or "").upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{clock}{zone or '+00:00'}")
    except ValueError:
        return None
    seconds = moment.timestamp() + float(f"0.{match['fraction'] or 0}")
    return Stamp(written.strip(), seconds, zoned=bool(zone), year=True)


# -- RFC 5424 --------------------------------------------------------------------------------------


def _new(text: str) -> Said:
    """From the version on."""
    rest = text[2:]
    stamp: Stamp | None = None
    written, blank, behind = rest.partition(" ")
    if written != "-":
        stamp = _iso_stamp(written)
        if stamp is None or not blank:
            return _broken(Said("", version=1), rest)
    words, rest = _words(behind)
    host, app, procid, msgid = (*words, "", "", "", "")[:4]
    said = Said("", 0, 0, stamp, host, app, procid, msgid, 1)
    if len(words) < 4:
        return _broken(said, rest)
    if rest == "-" or rest.startswith("- "):
        return said._replace(text=_unmarked(rest[2:]))
    return _structured(said, rest)


def _words(rest: str) -> tuple[list[str], str]:
    """The four words behind the time, a hyphen made nothing, as far as they are there."""
    words: list[str] = []
    while len(words) < 4:
        word, blank, behind = rest.partition(" ")
        if not word or not blank or len(word) > _MOST_NAME:
            break
        words.append("" if word == "-" else word)
        rest = behind
    return words, rest


def _broken(said: Said, rest: str) -> Said:
    """What was read before stays; what was not is the text."""
    return said._replace(text=rest, tags=("unparsed",))


def _structured(said: Said, rest: str) -> Said:
    found: dict[str, dict[str, list[str]]] = {}
    at, left = 0, _MOST_DATA
    while left > 0 and (match := _IDENTIFIER.match(rest, at)):
        parameters, end = _parameters(rest, match.end(), left)
        if not rest.startswith("]", end):
            break
        left -= 1 + len(parameters)
        for name, value in parameters:
            found.setdefault(match[1], {}).setdefault(name, []).append(value)
        found.setdefault(match[1], {})
        at = end + 1
    said = said._replace(structured=found)
    if at and (at == len(rest) or rest[at] == " "):
        return said._replace(text=_unmarked(rest[at + 1 :]))
    return _broken(said, rest[at:])


def _parameters(rest: str, at: int, most: int) -> tuple[list[tuple[str, str]], int]:
    found: list[tuple[str, str]] = []
    while len(found) < most and (match := _PARAMETER.match(rest, at)):
        value = _ESCAPED.sub(r"\1", match[2]) if "\\" in match[2] else match[2]
        found.append((match[1], value))
        at = match.end()
    return found, at


def _unmarked(text: str) -> str:
    return text.removeprefix("\ufeff")


# -- time ------------------------------------------------------------------------------------------


def moment(stamp: Stamp, received: float, zone: tzinfo = UTC) -> float:
    """
    Unix seconds of *stamp*, which came at *received*; *zone* is the sender's, if it does not say.

    Without a year it is the one that brings it closest to the receipt.
    """
    if stamp.zoned:
        return stamp.seconds
    if stamp.year:
        return _local(stamp.seconds, zone)
    return _closest(stamp.seconds, round(received / _DAY), zone)


@lru_cache(maxsize=1024)
def _closest(seconds: float, day: int, zone: tzinfo) -> float:
    then = datetime.fromtimestamp(seconds, UTC)
    year = datetime.fromtimestamp(day * _DAY, UTC).year
    found = []
    for candidate in (year - 1, year, year + 1):
        try:
            found.append(then.replace(year=candidate).timestamp())
        except ValueError:  # 29 February
            continue
    if not found:
        return _local(seconds, zone)
    return min((_local(one, zone) for one in found), key=lambda one: abs(one - day * _DAY))


def _local(seconds: float, zone: tzinfo) -> float:
    """What the clock in *zone* showed as *seconds*."""
    if zone is UTC:
        return seconds
    shown = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=seconds)
    return shown.timestamp()


def is_believed(at: float, received: float) -> bool:
    """Whether the sender's clock may be right."""
    return abs(at - received) <= _BELIEVED_S
