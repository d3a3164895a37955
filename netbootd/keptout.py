"""
Files of the configuration that the daemon's user may not read, told to root, who may read them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from netbootd import custody, privilege
from netbootd.errors import Finding, Level, Place
from netbootd.privilege import User
from netbootd.registry.snapshot import Registry
from netbootd.secretvalues import FILE, stand_in


def remarks(registry: Registry, file: Path) -> Iterator[Finding]:
    """
    Each of what *file* names, and of itself; nothing where nobody but root may come to *file*.

    A daemon that root starts keeps the right to read what is named then, and one in a folder that
    is closed, as a clone below ``/root``, can be no other.
    """
    user = custody.of_daemon(registry.config.user, file)
    if not privilege.is_root() or user.uid == 0:
        return
    above = set(file.resolve().parent.parents)
    told: set[Path] = set()
    for path, barrier in _barriers(registry, user).items():
        if barrier in above or barrier in told:
            continue
        told.add(barrier)
        level, code = _weight(path, registry) if user.name == privilege.SERVICE else _LEAST
        text = custody.kept_out(Path(path).resolve(), barrier, user)
        yield Finding(level, code, text, Place(path))


_LEAST = (Level.WARNING, "kept-out")


def _barriers(registry: Registry, user: User) -> dict[str, Path]:
    """What keeps *user* out, by what it keeps from being read."""
    config = registry.config
    others = (config.ddns.key, config.ship.credentials, config.ship.ca)
    named = (*registry.watched, *(str(one) for one in others if one))
    real = {one: Path(one).resolve() for one in named if not _was_told(one, registry)}
    with suppress(OSError), custody.acting_as(user):  # a container may know no other user
        return {one: found for one, path in real.items() if (found := custody.barrier(path))}
    return {}


def _was_told(path: str, registry: Registry) -> bool:
    """A secret that nobody takes."""
    return registry.secrets.get(stand_in(FILE, path), "") is None


def _weight(path: str, registry: Registry) -> tuple[Level, str]:
    """What the daemon itself says where it cannot read *path*."""
    config = registry.config
    if path in map(str, config.tls.files):
        return Level.TARGET, "tls-certificate"
    if stand_in(FILE, path) in registry.secrets:
        return Level.RELOAD, "secret-unreadable"
    if path in registry.documents:
        return Level.ERROR, "file-read"
    return _LEAST
