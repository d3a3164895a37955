"""
Why does it not boot?  Asked of what the running daemon has written down of a machine.

Evidence is put together here as the daemon does it, from its own files, so that "later" may be an
hour from now: nobody waits for a machine that is silent.
"""

from __future__ import annotations

import http.client
import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from netbootd.boots.boot import Boot, Code, Stage
from netbootd.logbook.line import Source
from netbootd.mac import MAC
from netbootd.record import outside
from netbootd.record.record import Record
from netbootd.registry.load import load
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry
from netbootd.why.diagnosis import Diagnosis
from netbootd.why.gather import find, gather, look_closer
from netbootd.why.telling import lines
from netbootd.why.why import diagnose
from tests.end_to_end.conftest import Site

PATIENCE_S = 8.0
LATER_S = 3600.0

Condition = Callable[[Sequence[Boot]], bool]


def reached(stage: Stage) -> Condition:
    """The newest boot has come to *stage*."""
    return lambda boots: bool(boots) and boots[0].reached is stage


def begun(times: int) -> Condition:
    """So many boots are written; what a boot has come to may be written a second later."""
    return lambda boots: len(boots) == times


def noted(code: Code) -> Condition:
    """Some boot has a note *code*."""
    return lambda boots: any(note.code is code for boot in boots for note in boot.notes)


def both(*conditions: Condition) -> Condition:
    """All of them."""
    return lambda boots: all(one(boots) for one in conditions)


def nothing(_boots: Sequence[Boot]) -> bool:
    """There is nothing to wait for."""
    return True


class Asker:
    """Reads what the daemon of *site* has written; *loaded* is the configuration that it serves."""

    def __init__(self, site: Site, loaded: Registry | None = None) -> None:
        self.state = Path(site.config["netbootd"]["state"])
        self.registry = loaded or load(site.file)

    def boots(self, key: str, until: Condition, patience: float = PATIENCE_S) -> list[Boot]:
        """The boots of the machine *key*, newest first, once they are as wanted."""
        deadline = time.monotonic() + patience
        while True:
            found = self._read(key)
            if until(found):
                return found
            told = json.dumps([one.as_dict() for one in found], indent=1)
            assert time.monotonic() < deadline, f"the record of {key} did not become so:\n{told}"
            time.sleep(0.1)

    def _read(self, key: str) -> list[Boot]:
        file = self.state / "boots.sqlite"
        if not file.exists():
            return []
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5) as connection:
            try:
                rows = connection.execute("SELECT value, key FROM boot ORDER BY number DESC")
                boots = [Boot.of_dict(json.loads(value)) for value, _ in rows]
            except sqlite3.OperationalError:  # its tables are being made
                return []
        connection.close()
        return [one for one in boots if key in ("", one.key)]

    def api(self, path: str) -> Any:
        """What the daemon's own API answers."""
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.state / "api.sock"))
        try:
            connection.request("GET", f"/api/v1{path}")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body
            return json.loads(body)
        finally:
            connection.close()

    def console(self, mac: str, wanted: str) -> list[tuple[float, str]]:
        """The machine's log lines with their times, once one has *wanted* in it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = self.api(f"/machines/{mac}/logs")["lines"]
            said = [
                (_seconds(line["@timestamp"]), line["message"])
                for line in found
                if line["event"]["dataset"] != Source.BOOT
            ]
            if any(wanted in text for _, text in said):
                return said
            assert time.monotonic() < deadline, f"no {wanted!r} among {found}"
            time.sleep(0.1)

    def why(
        self,
        mac: str,
        until: Condition,
        *,
        later: float = LATER_S,
        patience: float = PATIENCE_S,
        console: Iterable[tuple[float, str]] = (),
        refused: Iterable[object] = (),
        strangers: Iterable[str] = (),
    ) -> Diagnosis:
        """The diagnosis *later* seconds from now, once the boots of *mac* are as wanted."""
        machine = find(mac, self.registry, Sightings())
        key = machine.key if machine else mac
        boots = self.boots(key, until, patience)
        everybody = self._read("")
        record = Record(time.time, outside.read(self.state))
        heard = {
            step.interface: step.until
            for boot in everybody
            for step in boot.steps
            if step.interface
        }
        evidence = gather(
            mac,
            self.registry,
            record,
            Sightings(),
            boots,
            console,
            refused,
            heard,
            [_asked(one) for one in strangers],
            time.time() + later,
            others=everybody,
        )
        return diagnose(look_closer(evidence, self.registry))


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _asked(mac: str) -> Any:
    return SimpleNamespace(mac=MAC.parse(mac))


def assert_first(diagnosis: Diagnosis, code: str) -> None:
    """The likeliest cause is *code*; what was said instead, if it is not."""
    told = "\n".join(lines(diagnosis, 100))
    assert diagnosis.causes, told
    assert diagnosis.causes[0].code == code, told
