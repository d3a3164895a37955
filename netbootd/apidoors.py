"""
Ways to the running daemon: its Unix socket, or its HTTP port with the token; and where they are,
as far as the configuration says.

Every way in which nobody may answer has a text of its own, which says what to do.
"""

from __future__ import annotations

import errno
import grp
import http.client
import os
import re
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from netbootd import apitoken, privilege, settings
from netbootd.config import Config
from netbootd.dropins.reading import survey
from netbootd.errors import NetbootdError

SOCKET = "api.sock"
_CONNECT_S = 5.0


class NoDaemon(NetbootdError):
    """Nobody answers there; the text says what to do."""


class NotAllowed(NetbootdError):
    """The daemon is there, but not for this user or this token; the text says what it takes."""


class Door(Protocol):
    """A way to the daemon."""

    @property
    def name(self) -> str:
        """The path or the address."""

    def connection(self, patience: float) -> http.client.HTTPConnection:
        """Not yet connected."""

    def trouble(self, problem: OSError) -> NetbootdError:
        """What *problem* means here."""

    def headers(self) -> Mapping[str, str]:
        """What goes with each request."""


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """The daemon's socket; who may open the file may do everything."""

    path: Path

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def connection(self, patience: float) -> http.client.HTTPConnection:
        """A connection that goes there."""
        return _UnixConnection(self.path, patience)

    def headers(self) -> Mapping[str, str]:
        """Nothing: the kernel says who asks."""
        return {}

    def trouble(self, problem: OSError) -> NetbootdError:
        """What *problem* means, and who may."""
        if problem.errno in (errno.EACCES, errno.EPERM):
            return NotAllowed(_who_may(self.path))
        if problem.errno == errno.ENOENT:
            return NoDaemon(f"{self.path} is not there: is netbootd running, with this --config?")
        if problem.errno == errno.ECONNREFUSED:
            return NoDaemon(f"nobody listens at {self.path}: netbootd is not running")
        return NoDaemon(f"no answer from {self.path}: {problem.strerror or problem}")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("netbootd", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """To the file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(_CONNECT_S)
            self.sock.connect(os.fsencode(self._path))
            self.sock.settimeout(self.timeout)
        except OSError:
            self.sock.close()
            raise


def _who_may(path: Path) -> str:
    """Why the socket cannot be opened: the group that may, or the folder that is in the way."""
    try:
        about = path.stat()
    except OSError:
        return _in_the_way(path.parent)
    if not stat.S_ISSOCK(about.st_mode):
        return f"{path} is no socket"
    return f"you may not use {path}: {_of_group(about, stat.S_IWGRP)}"


def _in_the_way(folder: Path) -> str:
    try:
        about = folder.stat()
    except OSError:
        return f"you may not look for {folder}: try sudo"
    return f"you may not look into {folder}: {_of_group(about, stat.S_IXGRP)}"


def _of_group(about: os.stat_result, wanted: int) -> str:
    """Whom to belong to; *wanted* is the bit by which a group would be let in."""
    if not about.st_mode & wanted or about.st_gid == 0 or privilege.is_for_all(about.st_gid):
        return "try sudo"
    try:
        group = grp.getgrgid(about.st_gid).gr_name
    except KeyError:
        group = str(about.st_gid)
    return (
        f"it is for the group {group}; be in it ('sudo usermod -aG {group} NAME', then log in "
        "anew), or try sudo"
    )


@dataclass(frozen=True, slots=True)
class Web:
    """The daemon's HTTP port at *base*, with its API *token*."""

    base: str
    token: str

    @property
    def name(self) -> str:
        """For messages."""
        return self.base

    def connection(self, patience: float) -> http.client.HTTPConnection:
        """A connection that goes there."""
        try:
            parts = urlsplit(self.base)
            https = parts.scheme == "https"
            kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
            return kind(parts.hostname or "", parts.port, timeout=patience)
        except (ValueError, http.client.InvalidURL):
            raise NoDaemon(f"{self.base} is no address of HTTP") from None

    def headers(self) -> Mapping[str, str]:
        """The token (RFC 6750)."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def trouble(self, problem: OSError) -> NetbootdError:
        """What *problem* means."""
        told = problem.strerror or str(problem)
        return NoDaemon(f"no answer from {self.base}: {told}; is netbootd running?")


# -- where they are --------------------------------------------------------------------------------


def settings_of(config: Path) -> Config:
    """The daemon's settings in *config*, the usual ones where it cannot be read."""
    section = survey(config).merged("netbootd")
    found = settings.parse(section, config.parent, [])
    return found if section is not None else replace(found, **_guessed(config))


#: Where the daemon is to be found.
_PLACES = ("state", "api_socket", "api_token")


def _guessed(config: Path) -> dict[str, Any]:
    """
    What a file says of these that is no JSON any more: that is when people ask why their edit does
    nothing, and the daemon still is where it was.
    """
    try:
        text = config.read_text(errors="replace")
    except OSError:
        return {}
    found = {name: re.search(rf'"{name}"\s*:\s*"([^"\\]+)"', text) for name in _PLACES}
    return {name: config.parent / match[1] for name, match in found.items() if match}


def socket_of(config: Config) -> Path:
    """Where the daemon's socket is."""
    return config.api_socket or config.state / SOCKET


def token_of(config: Config, file: Path | None = None) -> str:
    """The token, from *file* or one of the daemon's in plain text; raises NotAllowed."""
    chosen = file or config.api_token or config.state / apitoken.NAME
    try:
        return apitoken.read_plain(chosen)
    except PermissionError:
        raise NotAllowed(f"you may not read {chosen}, which has the token: try sudo") from None
    except FileNotFoundError:
        told = "'netbootd token new' on the boot server makes one; --token-file names its file"
        raise NotAllowed(f"there is no {chosen} with a token: {told}") from None
    except OSError as problem:
        hint = (
            "" if file else "; --token-file FILE names one with what 'netbootd token new' printed"
        )
        raise NotAllowed(f"{problem}{hint}") from None
