"""A running daemon tells others that a node is up, or has failed; what they do harms nobody."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, Lab

pytestmark = pytest.mark.wire

BASE = f"http://{BOOT_SERVER}:3000"
NODE = "52:54:00:00:00:01"


@pytest.fixture
def config(tmp_path: Path) -> dict:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "k").write_bytes(b"kernel")
    return {
        "vars": {"rack": "r7"},
        "targets": {"nfs": {"one": {"kernel": "k", "boot_args": "root=/dev/nfs done=__done__"}}},
        "machines": {NODE: {"type": "nfs", "name": "one", "hostname": "node1"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(tmp_path / "srv"),
            "firmware": "/usr/lib/ipxe",
            "state": str(tmp_path / "state"),
            "grace": 2,
        },
    }


@pytest.fixture
def program(tmp_path: Path):
    def program(text: str) -> str:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return program


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a hook may write, whoever it runs as: a folder for everybody."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    return tmp_path / "out"


def boot(lab: Lab) -> str:
    """Fetch the boot script; where the node then says that it is up."""
    script = lab.run("lan", "curl", "-sS", "-A", "iPXE/1.21", f"{BASE}/boot/{NODE}")
    found = re.search(r"done=(\S+)", script)
    assert found is not None, script
    return found[1]


def told(file: Path) -> dict:
    deadline = time.monotonic() + 15
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return json.loads(file.read_text())


def test_a_node_that_is_up_is_told_once_with_all_its_data(lab, config, program, out):
    hook = program(
        f'cat >{out}/new; echo "$1 $NETBOOTD_HOSTNAME" >>{out}/runs; mv {out}/new {out}/told'
    )
    config["netbootd"]["hooks"] = {"up": [hook, "--quiet"]}
    daemon = lab.netbootd(config)
    done = boot(lab)
    lab.run("lan", "curl", "-sS", "--data-binary", "all is well", done)
    data = told(out / "told")
    assert data["event"] == "up"
    assert (data["mac"], data["target"], data["address"]) == (NODE, "nfs/one", "192.0.2.1")
    assert data["machine"] == {"hostname": "node1", "rack": "r7"}
    assert data["output"] == "all is well"
    daemon.wait_for(f"{NODE} hook up: {hook} in", 10)
    lab.run("lan", "curl", "-sS", done)  # said again: no news
    lab.run("lan", "curl", "-sS", f"{BASE}/{NODE}")
    assert (out / "runs").read_text() == "--quiet node1\n"


def test_a_node_that_failed_is_told_to_the_other_one(lab, config, program, out):
    config["netbootd"]["hooks"] = {
        "up": ["/bin/false"],
        "failed": [program(f"cat >{out}/new; mv {out}/new {out}/told")],
    }
    lab.netbootd(config)
    done = boot(lab)
    lab.run("lan", "curl", "-sS", "--data-binary", "no disk", done.replace("/done/", "/failed/"))
    data = told(out / "told")
    assert (data["event"], data["output"]) == ("failed", "no disk")


def test_a_hook_that_hangs_holds_up_nobody_and_ends_with_the_daemon(lab, config, program, out):
    config["netbootd"]["hooks"] = {
        "up": [program(f"sleep 1000 & echo $! >{out}/new; mv {out}/new {out}/pid; wait")]
    }
    daemon = lab.netbootd(config)
    lab.run("lan", "curl", "-sS", boot(lab))
    child = told(out / "pid")
    assert boot(lab)
    daemon.send(signal.SIGTERM)
    assert daemon.wait(20) == 0
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_hook_that_does_not_exist_is_a_line(lab, config):
    config["netbootd"]["hooks"] = {"up": ["/no/such/program"]}
    daemon = lab.netbootd(config)
    lab.run("lan", "curl", "-sS", boot(lab))
    daemon.wait_for(f"{NODE} hook up failed: /no/such/program: No such file", 10)
