"""
The folders of a daemon that root has started and that becomes a plain user (``privilege``): those
that it writes are handed to that user, of those that it reads it is found out what keeps it out.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path

from netbootd.config import Config
from netbootd.dropins import FOLDER
from netbootd.errors import NetbootdError
from netbootd.privilege import User, acting_as

_FOLDER_MODE, _READ_BY_ALL = 0o750, 0o755
#: Folders that are everybody's: none of them is handed to a user.
_SHARED = {
    "/",
    *(f"/{name}" for name in ("bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt")),
    *(f"/{name}" for name in ("proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var")),
    *(f"/var/{name}" for name in ("cache", "lib", "local", "log", "opt", "spool", "tmp")),
}
_SHARE = {"/boot", "/etc", "/home", "/usr", "/usr/local"}  # all that lies directly in them
#: Files of the file root and the like that are looked at: where these may be read, more are, too.
_LOOKED_AT = 1000
#: What Python, its libraries and hooks read of the system where reading is confined: nothing of
#: /etc with secrets, and no home.
_SYSTEM = (
    *(Path("/", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "opt", "usr")),
    *(Path("/", name) for name in ("dev", "proc", "run", "sys")),
    *(
        Path("/etc", name)
        for name in (
            *("alternatives", "ca-certificates", "gai.conf", "group", "host.conf", "hosts"),
            *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "machine-id"),
            *("nsswitch.conf", "os-release", "passwd", "pki/tls", "protocols", "resolv.conf"),
            *("services", "ssl/certs", "ssl/openssl.cnf", "timezone"),
        )
    ),
)


class NotOurs(NetbootdError):
    """A folder cannot be handed over; the text says why, and what would be right."""


# -- written ---------------------------------------------------------------------------------------


def hand_over(config: Config, file: Path, user: User) -> tuple[list[Path], list[str]]:
    """
    Give *user* what the daemon writes: the paths that were root's, and what is wrong with others.

    *file* is the configuration, with its machines.d.
    """
    changed: list[Path] = []
    troubles: list[str] = []
    for give, folder in _written(config, file):
        try:
            if give(folder, user):
                changed.append(folder)
        except NotOurs as problem:
            troubles.append(str(problem))
        except OSError as problem:
            troubles.append(f"{folder} cannot be handed to {user.name}: {problem.strerror}")
    return changed, troubles


def _written(config: Config, file: Path) -> Iterator[tuple[Callable[[Path, User], bool], Path]]:
    yield _give_all, config.state
    yield _give_all, config.log_folder
    drop_ins = file.parent / FOLDER
    if drop_ins.exists() or os.access(file.parent, os.W_OK):  # a medium is read-only for root, too
        yield partial(_give_all, mode=_READ_BY_ALL), drop_ins
    for one in (config.dhcp.hosts, config.api_socket):
        if one is not None and one.parent not in (config.state, config.log_folder):
            yield partial(_give_place, one.name), one.parent


def _give_all(folder: Path, user: User, mode: int = _FOLDER_MODE) -> bool:
    """
    *folder*, made where it is missing, and what is root's in it; whether anything was.

    No link is followed but root's own on the way there, and a file with a second name stays whose
    it is: either may lead anywhere.
    """
    _must_be_its_own(folder)
    if not folder.exists():
        folder.mkdir(parents=True, mode=mode)
    given = 0
    for _, _, names, descriptor in os.fwalk(folder.resolve(), follow_symlinks=False):
        given += _give(descriptor, user)
        given += sum(_give_file(name, descriptor, user) for name in names)
    return given > 0


def _give_place(name: str, folder: Path, user: User) -> bool:
    """*folder*, for the file *name* alone; one with other things in it stays whose it is."""
    if folder.exists() and set(os.listdir(folder)) - {name}:
        with acting_as(user.uid, user.gid):
            if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                return False
        raise NotOurs(
            f"{folder / name} cannot be written by {user.name}: name a folder of its own for it, or"
            f" let {user.name} write to {folder}"
        )
    return _give_all(folder, user, _READ_BY_ALL)


def _must_be_its_own(folder: Path) -> None:
    real = folder.resolve()
    shared = str(real) in _SHARED or (str(real.parent) in _SHARE and real.name != FOLDER)
    if shared or (real.exists() and real.stat().st_mode & stat.S_ISVTX):
        raise NotOurs(f"{folder} is not netbootd's alone, and stays root's: name one below it")
    if link := _foreign_link(folder.absolute()):
        raise NotOurs(
            f"{link} is a link that root has not made, and what is root's in {real} stays so:"
            f" name that folder itself instead of {folder}, or remove the link"
        )


def _foreign_link(path: Path) -> Path | None:
    """The first link on the way to *path* that is not root's: its owner may lead it anywhere."""
    for one in (*reversed(path.parents), path):
        if one.is_symlink():
            if one.lstat().st_uid != 0:
                return one
            return _foreign_link(one.parent / one.readlink() / path.relative_to(one))
    return None


def _give_file(name: str, folder: int, user: User) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.suppress(OSError):  # a link, a socket, or one that has just gone
        descriptor = os.open(name, flags, dir_fd=folder)
        try:
            return _give(descriptor, user)
        finally:
            os.close(descriptor)
    return False


def _give(descriptor: int, user: User) -> bool:
    status = os.fstat(descriptor)
    alone = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
    if status.st_uid != 0 or not alone:
        return False
    os.fchown(descriptor, user.uid, user.gid)
    return True


# -- read ------------------------------------------------------------------------------------------


def read(config: Config, file: Path, watched: Iterable[str]) -> set[Path]:
    """
    What the daemon reads, as it is really called: files, and folders with all below them.

    *watched* is what the configuration *file* is made of.
    """
    named: set[Path | None] = {file.parent, *map(Path, watched), *_paths(config), *_hooks(config)}
    named -= {config.api_socket}  # is written, and may be an old one
    return {one.resolve() for one in named if one} | _program()


def system() -> set[Path]:
    """What else has to be readable for a program in Python."""
    return {path for path in _SYSTEM if path.exists()}


def beside(config: Config) -> set[Path]:
    """
    What a reload finds in the place of what is read now, where files are allowed and not names: the
    folder of a certificate, which is renewed by renaming, and what links among loaders lead to.
    """
    folders = {one.resolve().parent for one in config.tls.files}
    loaders = (one for folder in config.firmware if folder.is_dir() for one in folder.iterdir())
    linked = {one.resolve() for one in loaders if one.is_symlink()}
    return {one for one in folders | linked if str(one) not in _SHARED}


def kept_out(paths: Iterable[Path], file: Path, user: User) -> dict[Path, Path]:
    """Of *paths* those that *user* may not read, by what is in the way: itself, or a folder."""
    shallow = {*_program(), file.parent.resolve()}  # not all that lies there is read
    found: dict[Path, Path] = {}
    os.setgroups([])  # of root's groups nothing is needed any more
    with acting_as(user.uid, user.gid):
        for path in sorted(paths):
            if barrier := _barrier(path) or (None if path in shallow else _closed_below(path)):
                found.setdefault(barrier, path)
    return found


def _paths(config: object) -> Iterator[Path]:
    """The paths among all settings."""
    if isinstance(config, Path):
        yield config
    elif isinstance(config, tuple):
        for one in config:
            yield from _paths(one)
    elif is_dataclass(config):
        for field in fields(config):
            yield from _paths(getattr(config, field.name))


def _hooks(config: Config) -> Iterator[Path]:
    commands = config.hooks.commands
    return (Path(words[0]).parent for words in commands if words[0].startswith("/"))


def _program() -> set[Path]:
    """Ourselves: modules that are imported later."""
    places = (*sys.path, sys.prefix, sys.base_prefix, sys.executable)
    return {Path(one).resolve() for one in places if one} | {Path(__file__).resolve().parent}


def _barrier(path: Path) -> Path | None:
    """What keeps us out of *path*, of it and the folders above; None too where it is not there."""
    for one in (*reversed(path.parents), path):
        try:
            status = one.stat()
        except OSError:
            return None
        wanted = os.X_OK if stat.S_ISDIR(status.st_mode) else 0
        wanted |= os.R_OK if one == path else 0
        if not os.access(one, wanted, effective_ids=True):
            return one
    return None


def _closed_below(folder: Path) -> Path | None:
    looked_at = 0
    for place, folders, names in os.walk(folder):
        for wanted, below in ((os.R_OK | os.X_OK, folders), (os.R_OK, names)):
            for one in (Path(place, name) for name in below):
                if os.path.exists(one) and not os.access(one, wanted, effective_ids=True):
                    return one
        looked_at += len(names) + len(folders)
        if looked_at > _LOOKED_AT:
            return None
    return None
