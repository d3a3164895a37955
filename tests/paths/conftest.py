"""A real daemon on a network of its own, and a secret beside what it serves."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import authority, signed
from tests.end_to_end.lab import BOOT_SERVER, Lab
from tests.end_to_end.process import Daemon

CANARY = b"canary-5b1c0f7e-never-to-be-sent"
NODE = "52:54:00:00:00:01"
IMAGE = random.Random(9).randbytes(3_000_000)


@dataclass
class Site:
    """*root* is served, *secret* lies beside it."""

    lab: Lab
    daemon: Daemon
    root: Path
    secret: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = tmp_path_factory.mktemp("paths")
    root, secret = folder / "srv", folder / "secret.txt"
    secret.write_bytes(CANARY * 40)
    (folder / "served").mkdir()
    root.symlink_to("served")
    fill(root, secret)
    with Lab() as lab:
        daemon = lab.netbootd(configuration(folder, root))
        yield Site(lab, daemon, root, secret)
        assert "Traceback" not in daemon.text


def configuration(folder: Path, root: Path) -> dict[str, object]:
    pair = signed("boot", BOOT_SERVER, signer=authority()).write(folder / "pair.pem")
    return {
        "targets": {"nfs": {"one": {"kernel": "images/vmlinuz", "initrd": "images/vmlinuz"}}},
        "machines": {NODE: {"type": "nfs", "name": "one"}},
        "netbootd": {
            "interfaces": ["eth0"],
            "files": str(root),
            "state": str(folder / "state"),
            "tls": {"port": 3443, "certificate": str(pair)},
        },
    }


def fill(root: Path, secret: Path) -> None:
    """What is served, and every way out of it that a file system has."""
    (root / "images").mkdir()
    (root / "images" / "vmlinuz").write_bytes(IMAGE)
    sibling = root.parent / f"{root.resolve().name}-sibling"
    sibling.mkdir()
    (sibling / secret.name).write_bytes(CANARY)
    for name, to in {
        "outside": secret,
        "up": "..",
        "sibling": sibling,
        "chain": "chain2",
        "chain2": "images/chain3",
        "images/chain3": "../outside",
        "loop": "loop2",
        "loop2": "loop",
        "inside": "images/inside2",
        "images/inside2": "../images/vmlinuz",
    }.items():
        (root / name).symlink_to(to)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.open(root, os.O_PATH)
        unix.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    os.mknod(root / "device", 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
