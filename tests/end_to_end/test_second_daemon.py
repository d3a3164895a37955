"""Two daemons and one state folder: the second is refused, but for a successor."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.end_to_end.process import Process
from tests.faults.place import until

pytestmark = pytest.mark.wire

NODE = "00:25:90:27:db:b4"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "large").write_bytes(os.urandom(8_000_000))
    return {
        "targets": {"localboot": {"disk": {}}},
        "machines": {NODE: {"type": "localboot", "name": "disk"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "state": str(tmp_path / "state"),
            "user": "nobody",
        },
    }


def second(lab: Lab, config: dict, tmp_path: Path) -> Process:
    """On other ports, so that nothing else is in its way."""
    settings = {"http_port": 3001, "tftp": {"port": 70}, "syslog": False}
    file = tmp_path / "second.json"
    write_config(file, {**config, "netbootd": {**config["netbootd"], **settings}})
    return lab.spawn("boot", str(NETBOOTD), "run", "--config", str(file))


def machines(lab: Lab, tmp_path: Path) -> list:
    """As the API tells on its socket."""
    socket = str(tmp_path / "state" / "api.sock")
    said = lab.run(
        *("boot", "curl", "-sS", "-m", "5", "--unix-socket", socket, "http://x/api/v1/machines")
    )
    return list(json.loads(said)["machines"])


def test_a_second_daemon_with_the_same_state_folder_is_refused(lab, config, tmp_path):
    first = lab.netbootd(config)
    said = len(first.text)
    other = second(lab, config, tmp_path)
    # 1: once the first has ended it would be another matter, and systemd may try again.
    assert other.wait(60) == 1
    wanted = f"another netbootd (process {first.pid}, user nobody) has the state folder"
    assert f"{wanted} {tmp_path}/state: end that one first" in other.text
    assert "Traceback" not in other.text
    assert "listening" not in other.text
    assert "#!ipxe" in lab.run("lan", "curl", "-sS", f"http://{BOOT_SERVER}:3000/boot/{NODE}")
    assert machines(lab, tmp_path)
    assert "TROUBLE" not in first.text[said:]
    first.send(signal.SIGKILL)
    first.wait(10)
    lab.netbootd(config)


def test_a_successor_need_not_wait_for_the_last_transfers_of_who_stops(lab, config, tmp_path):
    config["netbootd"]["grace"] = 300
    first = lab.netbootd(config)
    out = tmp_path / "out"
    url = f"http://{BOOT_SERVER}:3000/large"
    fetch = lab.spawn("lan", "curl", "-sS", "--limit-rate", "40k", "-o", str(out), url)
    until(lambda: out.exists() and out.stat().st_size > 0, "the transfer has begun")
    first.send(signal.SIGTERM)
    first.wait_for("netbootd stops", 20)
    successor = lab.netbootd(config)
    assert first.returncode is None, "it still sends"
    assert "TROUBLE" not in successor.text
    assert machines(lab, tmp_path)
    fetch.send(signal.SIGKILL)
    assert first.wait(60) == 0
    assert machines(lab, tmp_path)
    assert "Traceback" not in first.text + successor.text
