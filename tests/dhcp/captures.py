"""
Captured packets, one a file: the UDP payload in hex, comment lines on top.

Those in tests/captures were taken by this project from free firmware in QEMU.  Others, published
elsewhere, may not be redistributed with it: they are used where a folder holds them, which
NETBOOTD_PACKETS names.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

OURS = Path(__file__).parents[1] / "captures"
_BESIDE = Path(__file__).parents[2].parent / "shared" / "packets"
OTHERS = Path(os.environ.get("NETBOOTD_PACKETS", _BESIDE)) / "dhcp"

_UDP = re.compile(r"udp ([\d.]+):(\d+) > ([\d.]+):(\d+)")


@dataclass(frozen=True)
class Capture:
    """A packet and the addresses it travelled between."""

    name: str
    payload: bytes
    source: tuple[str, int]
    to: tuple[str, int]

    def __str__(self) -> str:
        return self.name


def read(file: Path) -> Capture:
    lines = file.read_text().splitlines()
    comments = "\n".join(line for line in lines if line.startswith("#"))
    payload = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
    found = _UDP.search(comments)
    assert found, f"{file} does not say where it was sent"
    source, source_port, to, port = found.groups()
    return Capture(file.stem, payload, (source, int(source_port)), (to, int(port)))


def ours() -> list[Capture]:
    return [read(file) for file in sorted(OURS.glob("qemu-*.hex"))]


def others() -> list[Capture]:
    """Empty where the folder is absent."""
    return [read(file) for file in sorted(OTHERS.glob("tp-*.hex"))]


def everything() -> list[Capture]:
    return ours() + others()


def capture(name: str) -> Capture:
    return read(OURS / f"{name}.hex")
