"""
Boots by ``netbootd simulate`` through a running daemon, captured by tcpdump, and replayed: what we
would have answered is what we did answer.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.lab import BOOT_SERVER, NETBOOTD, Lab, write_config
from tests.simulate.kernels import bzimage

pytestmark = pytest.mark.wire

NODE = "00:25:90:27:db:b4"
FILTER = "port 67 or port 68 or port 4011 or udp or tcp port 3000"


def settings(folder: Path, word: str) -> dict:
    root = folder / "srv"
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "images" / "vmlinuz").write_bytes(bzimage(100_000))
    linux = {"kernel": "images/vmlinuz", "initrd": "images/vmlinuz"}
    return {
        "targets": {
            "nfs": {"one": {**linux, "boot_args": f"root=/dev/nfs word={word}"}},
            "localboot": {"disk": {}},
        },
        "machines": {NODE: {"type": "nfs", "name": "one"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "firmware": "/usr/lib/ipxe",
            "state": str(folder / f"state-{word}"),
            "syslog": False,
            # What a daemon remembers of earlier boots is nothing that a capture shows.
            "guard": False,
            "proxydhcp": {"learn": False},
        },
    }


def captured(lab: Lab, file: Path, *options: str, kinds: tuple[str, ...]) -> Path:
    """Boots of *kinds*, as tcpdump with *options* sees them on the boot server."""
    tcpdump = lab.spawn(
        "boot", "tcpdump", "--immediate-mode", "-B16384", "-U", "-w", str(file), *options, FILTER
    )
    tcpdump.wait_for("listening on", 10)
    for kind in kinds:
        simulate = [str(NETBOOTD), "simulate", "--interface", "eth0", "--firmware", kind, NODE]
        subprocess.run(lab.inside("lan", *simulate), capture_output=True, check=False)
    tcpdump.send(signal.SIGINT)
    tcpdump.wait(10)
    return file


def replay(config: Path, file: Path, *options: str) -> tuple[int, str]:
    command = [str(NETBOOTD), "replay", "--config", str(config), *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "options",
    [("-i", "eth0"), ("-i", "any", "-y", "LINUX_SLL"), ("-i", "any", "-y", "LINUX_SLL2")],
    ids=["Ethernet", "cooked", "cooked-v2"],
)
def test_what_the_daemon_answered_is_what_it_would_answer(lab, tmp_path, options):
    config = write_config(lab.folder / "netbootd.json", settings(tmp_path, "one"))
    lab.netbootd(config)
    file = captured(lab, tmp_path / "boot.pcap", *options, kinds=("bios", "efi", "http", "ipxe"))
    _status, told = replay(config, file, "--mac", NODE, "--json")
    found = json.loads(told)
    asked = [(one["asks"].split()[0], one["verdict"]) for one in found["questions"]]
    assert {"DISCOVER", "REQUEST", "RRQ", "GET"} <= {word for word, _ in asked}
    wrong = [one for one in found["questions"] if one["verdict"] not in ("same", "neither")]
    # The tokens of boots are of chance, and stand in the scripts.
    wrong = [one for one in wrong if not re.match("(GET|HEAD) /boot/", one["asks"])]
    assert wrong == [], json.dumps(wrong, indent=1)
    assert found["address"] == BOOT_SERVER


def test_another_configuration_is_held_against_what_was_answered(lab, tmp_path):
    config = write_config(lab.folder / "netbootd.json", settings(tmp_path, "one"))
    lab.netbootd(config)
    file = captured(lab, tmp_path / "boot.pcap", "-i", "eth0", kinds=("ipxe",))
    (tmp_path / "new").mkdir()
    new = write_config(tmp_path / "new" / "netbootd.json", settings(tmp_path, "two"))
    status, told = replay(new, file)
    assert status == 1
    assert re.search(r"-.*word=one", told), told
    assert re.search(r"\+.*word=two", told)
