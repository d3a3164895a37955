"""
Files of the settings that hold a key or password: who else may read them is to know.

They are read when they are needed, and not with the configuration.  A file that is open to others
worked before it was looked at, so it goes on working, with a warning.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from netbootd.config import Config
from netbootd.dropins import Layers
from netbootd.errors import Finding, Level
from netbootd.relaxedjson import Object, path_of

_SERVICE = "netbootd"  # the group of the unit


def remarks(layers: Layers, config: Config) -> Iterator[Finding]:
    """What is to be said of the key of ``ddns`` and the credentials of ``ship``."""
    named = (("ddns", "key", config.ddns.key), ("ship", "credentials", config.ship.credentials))
    section = layers.merged("netbootd")
    for group, key, file in named:
        settings = section.get(group) if section else None
        if file is not None and isinstance(settings, Object) and (told := _open_to_others(file)):
            place = settings.place_of(key)
            yield Finding(Level.WARNING, "key-open", told, place, path_of("netbootd", group, key))


def _open_to_others(file: Path) -> str:
    """Empty for a file that others may not use; whoever needs it tells of one that is not there."""
    try:
        status = file.stat()
    except OSError:
        return ""
    mode = stat.S_IMODE(status.st_mode)
    may = f"(its mode is {mode:04o})"
    if mode & 0o007:
        return f"everybody may use {file} {may}: chmod 0640 {file}"
    if mode & 0o030 or (mode & 0o040 and not _is_ours(status.st_gid)):
        return f"group {status.st_gid} may use {file} {may}: chgrp {_SERVICE} and chmod 0640 {file}"
    return ""


def _is_ours(group: int) -> bool:
    """Or the service's, where somebody else looks."""
    if group in (0, os.getegid(), *os.getgroups()):
        return True
    try:
        return grp.getgrgid(group).gr_name == _SERVICE
    except KeyError:
        return False
