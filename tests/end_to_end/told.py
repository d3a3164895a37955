"""
What netbootd told of a boot: its record by way of the API, and what the machine logged.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

from netbootd.boots.begins import FIRST
from netbootd.boots.boot import Outcome, Stage
from netbootd.logbook.line import Source
from tests.end_to_end.lab import Lab
from tests.end_to_end.node import Node
from tests.end_to_end.process import now

PATIENCE_S = 15.0


def ask(lab: Lab, path: str) -> Any:
    """What the daemon's API answers over its Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(lab.folder / "state" / "api.sock"))
    try:
        connection.request("GET", f"/api/v1{path}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)
    finally:
        connection.close()


def boots(node: Node) -> list[dict[str, Any]]:
    """Its boots since it was powered on, newest first."""
    powered_on = time.time() - node.seconds()
    found = ask(node.lab, f"/machines/{node.mac}/boots")["boots"]
    return [boot for boot in found if boot["last"] >= powered_on]


def stages(boot: dict[str, Any]) -> list[str]:
    """The stages of *boot* in the order of time, each once."""
    return list(dict.fromkeys(step["stage"] for step in boot["steps"]))


def one_boot(node: Node, *wanted: Stage, outcome: Outcome = Outcome.OPEN) -> dict[str, Any]:
    """
    The only boot of *node* since it was powered on, once it has the stages *wanted* and *outcome*.

    Whatever the road, it must be told as one that goes well: each stage behind those that come
    before it (but for a script of first contact, by which a loader finds its own, and for the
    offer that iPXE has in its VLAN, after a script that sent it there), every file whole, no trouble.
    """
    deadline = now() + PATIENCE_S
    while True:
        found = boots(node)
        if found and set(wanted) <= set(stages(found[0])) and found[0]["outcome"] == outcome:
            break
        assert now() < deadline, (
            f"no boot with {wanted}, {outcome!r}:\n{json.dumps(found, indent=1)}"
        )
        time.sleep(0.1)
    told = json.dumps(found, indent=1)
    assert len(found) == 1, told
    (boot,) = found
    home = boot["steps"][0]["interface"]
    way = [
        Stage(step["stage"])
        for step in boot["steps"]
        if step["note"] != FIRST
        and (step["stage"] != Stage.IPXE_OFFER or step["interface"] == home)
    ]
    way = [stage for stage in way if stage is not Stage.FILES]
    assert way == sorted(way, key=_place), told
    began = [step["at"] for step in boot["steps"]]
    assert began == sorted(began), told
    assert not [step for step in boot["steps"] if step["trouble"] or step["open"]], told
    assert not [step for step in boot["steps"] if step["sent"] != step["size"]], told
    return boot


def _place(stage: Stage) -> int:
    """Where *stage* stands on the way; U-Boot fetches the initrd first."""
    return (Stage.KERNEL if stage is Stage.INITRD else stage).rank


def logged(node: Node, source: Source, last: str) -> list[dict[str, Any]]:
    """What *node* said by way of *source*, oldest first and up to *last*, once that is there."""
    deadline = now() + PATIENCE_S
    while True:
        found = ask(node.lab, f"/machines/{node.mac}/logs?limit=1000")["lines"]
        found = [one for one in found if one["event"]["dataset"] == source]
        places = [place for place, one in enumerate(found) if last in one["message"]]
        if places:
            return found[: places[0] + 1]
        assert now() < deadline, [one["message"] for one in found][-9:]
        time.sleep(0.2)
