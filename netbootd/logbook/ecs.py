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
from typing import Any

from netbootd.logbook.line import Filing, Line, Source

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

    def document(self, line: Line, sequence: int, identity: str) -> dict[str, Any]:
        """*line* as the document number *sequence* of its file; *identity* is its own for ever."""
        document: dict[str, Any] = {
            "@timestamp": timestamp(line.at),
            "message": line.text,
            "ecs": {"version": VERSION},
            "event": self._event(line, sequence, identity),
            "log": _log(line),
            "data_stream": {
                "type": "logs",
                "dataset": line.source.value,
                "namespace": self.namespace,
            },
            "observer": {"hostname": self.observer, "type": "netboot"},
            **_optional(line),
        }
        return document

    def _event(self, line: Line, sequence: int, identity: str) -> dict[str, Any]:
        event: dict[str, Any] = {
            "created": timestamp(line.received),
            "dataset": line.source.value,
            "module": "netbootd",
            "kind": "event",
            "id": identity,
            "sequence": sequence,
        }
        if self.original and line.original:
            event["original"] = line.original
        if line.source is Source.BOOT and line.msgid:
            event["action"] = line.msgid
        return event


def encode(document: dict[str, Any]) -> bytes:
    """One line of JSON, with its newline and no other."""
    return _encode(document).encode("utf-8", "replace") + b"\n"


def timestamp(at: float) -> str:
    """Unix seconds *at* as Elasticsearch reads them: UTC, microseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def _log(line: Line) -> dict[str, Any]:
    log: dict[str, Any] = {"level": LEVELS[line.severity]}
    if line.source is not Source.BOOT:
        log["syslog"] = _syslog(line)
    return log


def _syslog(line: Line) -> dict[str, Any]:
    syslog: dict[str, Any] = {
        "priority": line.facility * 8 + line.severity,
        "facility": {"code": line.facility, "name": FACILITIES[line.facility]},
        "severity": {"code": line.severity, "name": SEVERITIES[line.severity]},
    }
    for name, value in (
        ("hostname", line.host_name),
        ("appname", line.app),
        ("procid", line.procid),
        ("msgid", line.msgid),
        ("version", str(line.version) if line.version else ""),
    ):
        if value:
            syslog[name] = value
    if line.structured:
        syslog["structured_data"] = {
            identifier: {name: list(values) for name, values in parameters.items()}
            for identifier, parameters in line.structured.items()
        }
    return syslog


def _optional(line: Line) -> dict[str, Any]:
    """What only some lines have."""
    found: dict[str, Any] = {}
    if line.app:
        process: dict[str, Any] = {"name": line.app}
        if line.procid.isascii() and line.procid.isdecimal() and len(line.procid) <= _PID_DIGITS:
            process["pid"] = int(line.procid)
        found["process"] = process
    if line.peer:
        found["source"] = {"ip": line.peer, "port": line.port} if line.port else {"ip": line.peer}
    if line.tags:
        found["tags"] = list(line.tags)
    if host := _host(line.filing, line.peer):
        found["host"] = host
    if ours := _netbootd(line):
        found["netbootd"] = ours
    return found


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


def _netbootd(line: Line) -> dict[str, Any]:
    filing = line.filing
    ours: dict[str, Any] = {}
    for name, value in (
        ("machine", filing.key),
        ("mapped_by", filing.by),
        ("target", filing.target),
        ("boot_id", filing.boot),
        ("said_at", line.said_at),
    ):
        if value:
            ours[name] = value
    return ours
