"""
What a machine mounts: variable ``mounts`` as lines of fstab(5), whatever its form.

An array; each is such a line, or an object, whose blanks are written as fstab wants them::

    "mounts" : [ "nas:/homes /home nfs soft", { "what" : "nas:/big data", "where" : "/srv/data" } ]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from netbootd.forms import line

_KEYS = {"what": None, "where": None, "type": "nfs", "options": "defaults"}
#: What fstab(5) has for characters that would end a field; for bytes of a path it is octal.
_ESCAPES = str.maketrans({"\\": r"\134", " ": r"\040", "\t": r"\011"})


class Mount(NamedTuple):
    """
    *line* is for /etc/fstab; *where* is its folder, spelt as there: a blank is ``\\040``.

    *now*: it is to be mounted; not so are swap, what has no folder, and what is ``noauto``.
    """

    line: str
    where: str
    now: bool


def mounts(written: Any) -> list[Mount]:
    """Every mount there is, in order; raises ValueError for what is none."""
    if isinstance(written, (str, Mapping)) or not isinstance(written, Iterable):
        raise ValueError("mounts: must be an array of lines or objects")
    return [_mount(one) for one in written]


def _mount(written: Any) -> Mount:
    fields = _fields(written) if isinstance(written, Mapping) else line(written).split()
    if len(fields) < 3:
        raise ValueError(f"mounts: {written!r:.60} is no line of fstab(5): WHAT WHERE TYPE OPTIONS")
    # The kernel has no slash at the end of a folder, by which the mount is found.
    where = fields[1].rstrip("/") or "/" if fields[1].startswith("/") else fields[1]
    options = fields[3].split(",") if len(fields) > 3 else []
    now = where.startswith("/") and fields[2] != "swap" and "noauto" not in options
    return Mount(" ".join((fields[0], where, *fields[2:])), where, now)


def _fields(written: Mapping[str, Any]) -> list[str]:
    values = {**_KEYS, **written}
    if missing := [key for key in _KEYS if not values[key]]:
        raise ValueError(f'mounts: {dict(written)!r:.60} lacks "{missing[0]}"')
    return [*(line(values[key]).translate(_ESCAPES) for key in _KEYS), "0", "0"]
