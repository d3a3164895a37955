"""
Files of the settings that hold a key or password: who else may read them is to know.

They are read when they are needed, and not with the configuration.  A file that is open to others
worked before it was looked at, so it goes on working, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from netbootd import custody
from netbootd.config import Config
from netbootd.dropins.layers import Layers
from netbootd.errors import Finding, Level
from netbootd.privilege import User
from netbootd.relaxedjson import Object, path_of


def remarks(layers: Layers, config: Config) -> Iterator[Finding]:
    """What is to be said of the key of ``ddns`` and the credentials of ``ship``."""
    named = (("ddns", "key", config.ddns.key), ("ship", "credentials", config.ship.credentials))
    section = layers.merged("netbootd")
    for group, key, file in named:
        settings = section.get(group) if section else None
        if file is None or not isinstance(settings, Object):
            continue
        if told := _open_to_others(file, custody.of_daemon(config.user, layers.main)):
            place = settings.place_of(key)
            yield Finding(Level.WARNING, "key-open", told, place, path_of("netbootd", group, key))


def _open_to_others(file: Path, user: User) -> str:
    """Empty for a file that others may not use; whoever needs it tells of one that is not there."""
    try:
        return custody.wrong(file, file.stat(), user)
    except OSError:
        return ""
