"""
What shipping keeps on disk: how far each destination is, and what none would take.

A place is written in whole or not at all, behind the answer that confirms it: after a crash
some lines are sent again, and none is left out.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from netbootd.logbook.files import Place
from netbootd.shipping.items import Aside

REJECTED = "rejected.jsonl"
_REJECTED_BEFORE = "rejected.1.jsonl"
_MOST_REJECTED = 8 << 20  # bytes of one file, of which there are two


class Reached(NamedTuple):
    """*place* is behind line *number* of its file, both of which have arrived."""

    place: Place
    number: int


START = Reached(Place("", 0), 0)


class Marker:
    """The file that says how far the destination *name* is."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.json"

    def read(self) -> Reached:
        """
        How far it was, START where nobody knows.

        Raises OSError where that may be written there and cannot be read.
        """
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return Reached(Place(str(kept["file"]), int(kept["offset"])), int(kept["line"]))
        except FileNotFoundError:
            return START
        except (ValueError, KeyError, TypeError):
            raise OSError(f"{self._file} is garbled: mend it, or remove it to send all") from None

    def write(self, reached: Reached) -> None:
        """It is there now.  Raises OSError."""
        kept = {
            "file": reached.place.file,
            "offset": reached.place.offset,
            "line": reached.number,
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f".new-{self._file.name}")
        with new.open("w", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._file)


def put_aside(folder: Path, destination: str, refused: Sequence[Aside]) -> None:
    """Keep what *destination* will never take, with its reasons.  Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REJECTED
    lines = [json.dumps(_rejection(destination, one), ensure_ascii=False) for one in refused]
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    with open(descriptor, "ab") as file:
        file.write("".join(line + "\n" for line in lines).encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    if size > _MOST_REJECTED:
        path.rename(folder / _REJECTED_BEFORE)


def _rejection(destination: str, refused: Aside) -> dict[str, object]:
    item = refused.item
    return {
        "at": time.time(),
        "destination": destination,
        "reason": refused.reason,
        "id": item.identity,
        "file": item.place.file,
        "line": item.number,
        "document": item.raw.decode("utf-8", "replace"),
    }
