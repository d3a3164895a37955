"""
The files of the log: one that is written to, and those that are closed, in one folder.

``netbootd-20261121T181032.123Z.jsonl`` has the documents since that moment, a line each; closed, it
becomes ``….jsonl.gz``.  The moment is the file's identity and stays the same; identities only grow,
even where the clock is set back.  A place in the log is a file and an offset in what it holds
uncompressed.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple, cast

_PLAIN = ".jsonl"
_CLOSED = ".jsonl.gz"
_PART = ".part"  # being compressed; of no worth after a crash
_NAME = re.compile(r"netbootd-(\d{8}T\d{6}\.\d{3}Z)\.jsonl(?:\.gz)?")
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class Place(NamedTuple):
    """A place in the log; *offset* in bytes of what *file*, an identity, holds uncompressed."""

    file: str
    offset: int


def identities(folder: Path) -> list[str]:
    """The files of *folder*, the oldest first; none where there is no such folder."""
    try:
        return sorted(
            {match[1] for one in folder.iterdir() if (match := _NAME.fullmatch(one.name))}
        )
    except OSError:
        return []


def plain(folder: Path, identity: str) -> Path:
    """Where the documents of *identity* are written."""
    return folder / f"netbootd-{identity}{_PLAIN}"


def closed(folder: Path, identity: str) -> Path:
    """Where they are when it is closed and compressed."""
    return folder / f"netbootd-{identity}{_CLOSED}"


def part(folder: Path, identity: str) -> Path:
    """Where they are while that is done."""
    return folder / f"netbootd-{identity}{_CLOSED}{_PART}"


def parts(folder: Path) -> Iterator[Path]:
    """What a crash has left of those."""
    yield from folder.glob(f"netbootd-*{_CLOSED}{_PART}")


def new_identity(now: float, after: str = "") -> str:
    """The identity of a file begun *now*, Unix seconds; later than *after* in any case."""
    found = _stamped(datetime.fromtimestamp(now, UTC))
    if found > after:
        return found
    return _stamped(_moment(after) + timedelta(milliseconds=1))


def _stamped(moment: datetime) -> str:
    return moment.strftime(_STAMP)[:-4] + "Z"  # milliseconds


def _moment(identity: str) -> datetime:
    return datetime.strptime(identity, _STAMP).replace(tzinfo=UTC)


def opened(folder: Path, identity: str) -> IO[bytes]:
    """The documents of *identity* from the first on.  Raises FileNotFoundError where it is gone."""
    try:
        return plain(folder, identity).open("rb")
    except FileNotFoundError:
        return cast(IO[bytes], gzip.open(closed(folder, identity), "rb"))


def size(folder: Path, identity: str) -> int:
    """Bytes on disk, compressed or not; 0 where it is gone."""
    total = 0
    for path in (plain(folder, identity), closed(folder, identity)):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def modified(folder: Path, identity: str) -> float | None:
    """When its last line was written, Unix seconds; None where it is gone."""
    for path in (plain(folder, identity), closed(folder, identity)):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return None


def remove(folder: Path, identity: str) -> None:
    """Away with it.  Raises OSError where the disk refuses."""
    for path in (closed(folder, identity), plain(folder, identity)):
        path.unlink(missing_ok=True)
