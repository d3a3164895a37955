"""
A line as a document in the names of the Elastic Common Schema, which Elasticsearch, Logstash and
Kibana take as they are: nested objects, and nothing that is absent.

Sources: the field reference of ECS 8.11 (log, event, host, process, observer, data_stream);
RFC 5424, 6.2.1 for the names of severities and facilities.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from netbootd.logbook.line import AUDIT_DATA, Filing, Line, Source

VERSION = "8.11.0"
SEVERITIES = (
    "Emergency",
    "Alert",
    "Critical",
    "Error",
    "Warning",
    "Notice",
    "Informational",
    "Debug",
)
LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news"),
    *("uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
_PID_DIGITS = 10
#: What nobody sent.
_OURS = frozenset({Source.BOOT, Source.AUDIT})

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What all documents of this server have: its host name (*observer*) and the *namespace* of their
    data streams.  *original*: they keep the raw text.
    """

    observer: str
    namespace: str = "default"
    original: bool = False

    def encode(self, line: Line, sequence: int, identity: str) -> bytes:
        """
        *line* as the document number *sequence* of its file: one line of JSON, with its newline
        and no other.  *identity* is its own for ever.
        """
        # Most of a document is the same as in the one before: those parts are made once.
        parts = (
            f'"@timestamp":"{timestamp(line.at)}","message":{_encode(line.text)}',
            f'"event":{{{self._event(line, sequence, identity)}}}',
            f'"log":{_log(line)}',
            _surroundings(self.observer, self.namespace, line.source),
            _sender(line.filing, line.peer, line.port, line.said_at),
            _program(line.app, line.procid),
            _user(line) if line.source is Source.AUDIT else "",
            f',"tags":{_encode(line.tags)}' if line.tags else "",
        )
        text = "{" + ",".join(parts[:4]) + "".join(parts[4:]) + "}\n"
        return text.encode("utf-8", "replace")

    def document(self, line: Line, sequence: int, identity: str) -> dict[str, Any]:
        """The same as values, for who wants to show it."""
        found: dict[str, Any] = json.loads(self.encode(line, sequence, identity))
        return found

    def _event(self, line: Line, sequence: int, identity: str) -> str:
        """The members of ``event``, of which nearly all is the same in each."""
        event = (
            f'"created":"{timestamp(line.received)}","dataset":"{line.source.value}",'
            f'"module":"netbootd","kind":"event","id":"{identity}","sequence":{sequence}'
        )
        if self.original and line.original:
            event = f'{event},"original":{_encode(line.original)}'
        if line.source is Source.BOOT and line.msgid:
            event = f'{event},"action":{_encode(line.msgid)}'
        if line.source is Source.AUDIT:
            event = f"{event},{_audited(line)}"
        return event


@lru_cache(maxsize=1024)
def timestamp(at: float) -> str:
    """Unix seconds *at* as Elasticsearch reads them: UTC, microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(maxsize=16)
def _surroundings(observer: str, namespace: str, source: Source) -> str:
    return _members(
        {
            "ecs": {"version": VERSION},
            "data_stream": {"type": "logs", "dataset": source.value, "namespace": namespace},
            "observer": {"hostname": observer, "type": "netboot"},
        }
    )


def _members(found: dict[str, Any]) -> str:
    """The members of an object, as they stand between its braces."""
    return _encode(found)[1:-1]


def _more(found: dict[str, Any]) -> str:
    """The same behind others."""
    return f",{_members(found)}" if found else ""


# -- what it says ----------------------------------------------------------------------------------


def _log(line: Line) -> str:
    if line.source in _OURS:
        return f'{{"level":"{LEVELS[line.severity]}"}}'
    log = _plain_log(
        line.facility,
        line.severity,
        line.host_name,
        line.app,
        line.procid,
        line.msgid,
        line.version,
    )
    if not line.structured:
        return log
    data = {
        identifier: {name: list(values) for name, values in parameters.items()}
        for identifier, parameters in line.structured.items()
    }
    return f'{log[:-2]},"structured_data":{_encode(data)}}}}}'  # within both its braces


def _audited(line: Line) -> str:
    (outcome,) = line.structured[AUDIT_DATA]["outcome"]
    return _members({"category": ["configuration"], "type": ["change"], "outcome": outcome})


def _user(line: Line) -> str:
    (name,) = line.structured[AUDIT_DATA]["user"]
    return _more({"user": {"name": name}})


@lru_cache(maxsize=8192)
def _plain_log(
    facility: int,
    severity: int,
    host_name: str,
    app: str,
    procid: str,
    msgid: str,
    version: int,
) -> str:
    syslog: dict[str, Any] = {
        "priority": facility * 8 + severity,
        "facility": {"code": facility, "name": FACILITIES[facility]},
        "severity": {"code": severity, "name": SEVERITIES[severity]},
    }
    for name, value in (
        ("hostname", host_name),
        ("appname", app),
        ("procid", procid),
        ("msgid", msgid),
        ("version", str(version) if version else ""),
    ):
        if value:
            syslog[name] = value
    return _encode({"level": LEVELS[severity], "syslog": syslog})


@lru_cache(maxsize=8192)
def _program(app: str, procid: str) -> str:
    if not app:
        return ""
    process: dict[str, Any] = {"name": app}
    if procid.isascii() and procid.isdecimal() and len(procid) <= _PID_DIGITS:
        process["pid"] = int(procid)
    return _more({"process": process})


# -- who says it -----------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def _sender(filing: Filing, peer: str, port: int, said_at: str) -> str:
    found: dict[str, Any] = {}
    if peer:
        found["source"] = {"ip": peer, "port": port} if port else {"ip": peer}
    if host := _host(filing, peer):
        found["host"] = host
    if ours := _netbootd(filing, said_at):
        found["netbootd"] = ours
    return _more(found)


def _host(filing: Filing, peer: str) -> dict[str, Any]:
    """The machine, if it is known which; the schema wants its MAC with hyphens, in upper case."""
    if not filing.key:
        return {}
    host: dict[str, Any] = {"name": filing.name or filing.key}
    if filing.name:
        host["hostname"] = filing.name
    if filing.mac is not None:
        host["mac"] = [filing.mac.dashed.upper()]
    if peer:
        host["ip"] = [peer]
    return host


def _netbootd(filing: Filing, said_at: str) -> dict[str, Any]:
    ours = {
        "machine": filing.key,
        "mapped_by": filing.by,
        "target": filing.target,
        "boot_id": filing.boot,
        "said_at": said_at,
    }
    return {name: value for name, value in ours.items() if value}
