"""
A machine that nobody listed is switched on: the commands show it, add it to a group, and it boots.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.end_to_end.lab import NETBOOTD, Lab, write_config
from tests.end_to_end.test_replay import settings

pytestmark = pytest.mark.wire

STRANGERS = ["52:54:00:00:00:07", "52:54:00:00:00:08"]


def simulate(lab: Lab, mac: str) -> bool:
    """Whether *mac* boots, as its own iPXE would."""
    words = [str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", "ipxe", mac]
    return subprocess.run(lab.inside("lan", *words), capture_output=True).returncode == 0


def test_a_stranger_is_added_by_one_command_and_boots(lab: Lab, tmp_path):
    content = settings(tmp_path, "one")
    content["groups"] = {"rack1": {"type": "nfs", "name": "one"}}
    config = write_config(lab.folder / "netbootd.json", content)
    lab.netbootd(config)

    def netbootd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(NETBOOTD), *words, "--config", str(config)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    assert not simulate(lab, STRANGERS[0])
    assert STRANGERS[0] in netbootd("machines", "unknown").stdout
    added = netbootd("machines", "add", "--unknown", "--group", "rack1", "hostname=new")
    assert added.stdout == f"{STRANGERS[0]} (new) is added: boots nfs/one, of rack1\n"
    assert simulate(lab, STRANGERS[0])
    boot = json.loads(netbootd("timeline", "new", "--json").stdout)["boot"]
    assert boot["target"] == "nfs/one"
    assert netbootd("machines", "unknown").stdout.startswith("nobody asked")

    for mac in ("52:54:00:00:00:09", STRANGERS[1]):
        assert not simulate(lab, mac)
    several = netbootd("machines", "add", "--unknown", "--group", "rack1")
    assert several.returncode == 1
    assert several.stderr.index(STRANGERS[1]) < several.stderr.index("52:54:00:00:00:09")
    assert "name the MAC of one" in several.stderr
