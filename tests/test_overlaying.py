"""``netbootd overlay``, as an admin types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from netbootd.cli import main

NODE = "52:54:00:12:34:56"


@pytest.fixture
def config(tmp_path):
    for name, text in (
        ("base/etc/motd", "base"),
        ("base/etc/x", "x"),
        ("rack/etc/motd.j2", "{{ rack }}"),
    ):
        file = tmp_path / "overlays" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)
    (tmp_path / "overlays/base/etc/link").symlink_to("/etc/x")
    target = {"kernel": "http://192.0.2.9/vmlinuz", "overlay": "25%", "overlays": ["base"]}
    machine = {"type": "linux", "name": "node", "overlays": ["rack"], "rack": "r7"}
    config = {"targets": {"linux": {"node": target}}, "machines": {NODE: machine}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    return str(tmp_path / "c.json")


def test_list_says_which_file_comes_from_which_overlay(config, capsys):
    assert main(["overlay", "list", "--config", config, "52-54-00-12-34-56"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "52:54:00:12:34:56 (linux/node): overlays base, rack",
        "lrwxrwxrwx /etc/link -> /etc/x  (base)",
        "-rw-r--r-- /etc/motd  (rack, rendered)",
        "-rw-r--r-- /etc/x  (base)",
    ]


def test_build_writes_an_archive_that_cpio_unpacks(config, tmp_path):
    archive = tmp_path / "node.cpio"
    assert main(["overlay", "build", "--config", config, NODE, "-o", str(archive)]) == 0

    subprocess.run(["cpio", "-id", "--quiet"], stdin=archive.open("rb"), cwd=tmp_path, check=True)

    assert (tmp_path / "etc/netbootd/root/etc/motd").read_text() == "r7"
    assert "NETBOOTD_SIZE=25%\n" in (tmp_path / "etc/netbootd/env").read_text()


def test_build_without_a_file_goes_down_the_pipe(config):
    command = [sys.executable, "-m", "netbootd", "overlay", "build", "--config", config, NODE]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    listed = subprocess.run(
        ["cpio", "-t", "--quiet"], input=archive, capture_output=True, check=True
    )
    assert b"etc/netbootd/root/etc/motd\n" in listed.stdout


def test_build_spares_the_terminal(config):
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "netbootd", "overlay", "build", "--config", config, NODE]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 1
    assert b"-o FILE" in done.stderr


@pytest.mark.parametrize("what", ["list", "build"])
def test_a_machine_that_is_not_there(config, capsys, what):
    assert main(["overlay", what, "--config", config, "02:00:00:00:00:01"]) == 1
    assert "02:00:00:00:00:01 is not in the configuration" in capsys.readouterr().err


def test_an_overlay_with_an_error_is_said_with_its_place(config, tmp_path, capsys):
    (tmp_path / "overlays/rack/etc/motd.j2").write_text("one\n{{ nothing }}\n")
    assert main(["overlay", "build", "--config", config, NODE, "-o", str(tmp_path / "x")]) == 1
    assert "motd.j2:2: 'nothing' is undefined" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
