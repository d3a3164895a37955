"""A view of the host with a user ``netbootd``, or surely without one: its own files are not touched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

#: User and group, by number.
SERVICE = (64999, 64999)
NOBODY = (65534, 65534)
_LINES = {
    "passwd": "netbootd:x:{}:{}::/:/bin/sh".format(*SERVICE),
    "group": "netbootd:x:{1}:".format(*SERVICE),
}


def with_users(
    folder: Path, argv: Iterable[str], *, service: bool, before: Iterable[str] = ()
) -> list[str]:
    """
    *argv* in that view, whose files are made in *folder*; the commands *before* are run there first.
    """
    mounts = []
    for name, line in _LINES.items():
        lines = Path("/etc", name).read_text().splitlines()
        kept = [one for one in lines if not one.startswith("netbootd:")]
        file = folder / name
        file.write_text("\n".join([*kept, *([line] if service else [])]) + "\n")
        file.chmod(0o644)
        mounts.append(f"mount --bind {file} /etc/{name}")
    script = "; ".join([*mounts, *before, 'exec "$@"'])
    return ["unshare", "-m", "sh", "-ec", script, "sh", *argv]
