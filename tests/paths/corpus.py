"""The lines of ``traversal.txt``, put together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

_FILE = Path(__file__).with_name("traversal.txt")
_DEPTHS = (1, 5)
_UP = "../../../../../"
_LENGTHS = (250, 255, 256, 500, 1024, 1025, 4000, 9000)


def _parts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in _FILE.read_text().splitlines():
        if line.startswith("["):
            lines = found[line.strip("[]")] = []
        elif line and found:
            lines.append(line)
    return found


def targets(secret: Path) -> Iterator[bytes]:
    """What is asked for, as it stands in a request line but for a slash before it."""
    parts = _parts()
    for dots, slash, depth in itertools.product(parts["dots"], parts["slashes"], _DEPTHS):
        yield f"{(dots + slash) * depth}{secret.name}".encode()
    for line in parts["specials"]:
        yield (
            line.replace("{name}", secret.name)
            .replace("{path}", str(secret))
            .replace("{up}", _UP)
            .encode()
        )
    for length in _LENGTHS:
        yield b"x" * length + b"/../../" + secret.name.encode()
        yield b"../" * (length // 3) + str(secret).encode()
        yield b"./" * (length // 2) + b"../" + secret.name.encode()


def paths(secret: Path) -> Iterator[bytes]:
    """The same for TFTP, as they stand and as HTTP would decode them."""
    for target in targets(secret):
        yield target
        yield unquote_to_bytes(target)


def netascii(path: bytes) -> bytes:
    """As a client writes it that takes the name for a text (RFC 764): CR LF, and CR NUL."""
    return path.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
