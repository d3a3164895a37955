"""
What of netbootd's own may lie below the file root, and is not for everybody who asks: its state,
its configuration, and the files with values, keys and passwords that this names.

Where something is ``secret``, the fragments and folders that node scripts and overlays are made of,
too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from netbootd.config import Config
from netbootd.content import Closed
from netbootd.registry import overlays, scripts

#: How names begin in the state folder, for one that is the file root itself.
_STATE = (
    *("record.", "boots.sqlite", "leases.sqlite", "duid", ".new-", "logs/", "vms/", "shipping/"),
    *("api.token", "pace.", ".cache/", ".config/"),
)


def closed(config: Config, read: Iterable[str]) -> Closed:
    """What is not served; *read* are the files of the configuration and of values."""
    tls, state, root = config.tls, os.path.realpath(config.state), os.path.realpath(config.files)
    keys = (tls.key or tls.certificate, config.ddns.key, config.ship.credentials, config.api_token)
    files = frozenset(os.path.realpath(one) for one in (*read, *keys) if one)
    if root == state:
        return Closed(files, tuple(f"{state}/{name}" for name in _STATE))
    return Closed(files, () if root.startswith(f"{state}/") else (f"{state}/",))


def with_sources(known: Closed, folder: Path) -> Closed:
    """*known*, and what is beside the configuration in *folder* for machines that are secret."""
    sources = (folder / scripts.FOLDER, folder / overlays.FOLDER)
    return Closed(known.files, (*known.begins, *(f"{os.path.realpath(one)}/" for one in sources)))
