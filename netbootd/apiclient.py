"""
The running daemon's API, for the commands: over its Unix socket, or over HTTP with the token.

Standard library only, and nothing of the daemon's own code: a command must start at once.  Every
way in which nobody may answer has a text of its own, which says what to do.
"""

from __future__ import annotations

import errno
import grp
import http.client
import json
import os
import re
import socket
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from netbootd import apitoken, dropins, urls
from netbootd import config as configuration
from netbootd.errors import NetbootdError
from netbootd.printable import printable

SOCKET = "api.sock"
_PATIENCE_S = 60.0  # a reload of a large configuration takes its time
_CONNECT_S = 5.0
#: Of an event stream, which says something every 15 s.
_SILENCE_S = 45.0
_MOST_EVENT = 4 << 20  # bytes of one event that are believed
_JSON = "application/json"


class NoDaemon(NetbootdError):
    """Nobody answers there; the text says what to do."""


class NotAllowed(NetbootdError):
    """The daemon is there, but not for this user or this token; the text says what it takes."""


class Refused(NetbootdError):
    """
    The daemon said no: *status* of HTTP, its *code*, and *findings* of the configuration.
    """

    def __init__(
        self, status: int, code: str, text: str, findings: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.findings = findings


class _Door(Protocol):
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
    if not about.st_mode & wanted or about.st_gid == 0:
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


class Api:
    """What is asked of the daemon behind *door*."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    @property
    def where(self) -> str:
        """The socket or the address, for messages."""
        return self._door.name

    def get(self, *path: str, **query: str | int) -> Any:
        """
        What *path* says, a segment each; raises NoDaemon, NotAllowed and Refused, as all of these.
        """
        return self.ask("GET", path, query)

    def send(self, method: str, *path: str, body: Any = None, **query: str | int) -> Any:
        """Change something; what came of it, None where nothing is said."""
        encoded = b"" if body is None else json.dumps(body).encode()
        return self.ask(method, path, query, encoded, _JSON)

    def ask(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int],
        body: bytes = b"",
        kind: str = "",
    ) -> Any:
        """One request, and the JSON of its answer."""
        with _Open(self._door, _PATIENCE_S) as connection:
            answer = self._request(connection, method, path, query, body, kind)
            text = _whole(self._door, answer)
        if answer.status >= 300:
            raise _refusal(self._door, answer, text)
        return _value(self._door, text) if text else None

    def events(
        self, topics: str, machine: str = "", silence: float = _SILENCE_S
    ) -> Iterator[tuple[str, Any]]:
        """
        What happens from now on, as name and value; ends where the daemon ends.

        ``open`` comes first, once the daemon listens to us, and an empty name at each of its pings.
        """
        query = {"topics": topics, **({"machine": machine} if machine else {})}
        with _Open(self._door, silence) as connection:
            answer = self._request(connection, "GET", ("events",), query)
            if answer.status >= 300:
                raise _refusal(self._door, answer, _whole(self._door, answer))
            yield "open", None
            yield from _events(self._door, answer)

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int],
        body: bytes = b"",
        kind: str = "",
    ) -> http.client.HTTPResponse:
        address = "/" + "/".join((*urls.API, *(quote(part, safe="") for part in path)))
        if query:
            address = f"{address}?{urlencode(query)}"
        headers = {**self._door.headers(), **({"Content-Type": kind} if kind else {})}
        try:
            connection.request(method, address, body or None, headers)
            return connection.getresponse()
        except TimeoutError:
            raise NoDaemon(f"{self._door.name} does not answer in time") from None
        except OSError as problem:
            raise self._door.trouble(problem) from None
        except (http.client.HTTPException, ValueError) as problem:
            raise _stranger(self._door, problem) from None


class _Open:
    """A connection that is closed at the end."""

    def __init__(self, door: _Door, patience: float) -> None:
        self._connection = door.connection(patience)

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _whole(door: _Door, answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except OSError as problem:
        raise door.trouble(problem) from None
    except http.client.HTTPException as problem:
        raise _stranger(door, problem) from None


def _value(door: _Door, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise NoDaemon(f"{door.name} does not answer as netbootd does; what runs there?") from None


def _stranger(door: _Door, problem: Exception) -> NoDaemon:
    told = printable(str(problem), 80)
    return NoDaemon(f"{door.name} does not answer as netbootd does ({told}); what runs there?")


def _refusal(door: _Door, answer: http.client.HTTPResponse, text: bytes) -> NetbootdError:
    """What a status that is no success means."""
    try:
        error = json.loads(text)["error"]
        code, told = str(error["code"]), str(error["message"])
        findings = tuple(one for one in error.get("findings", ()) if isinstance(one, dict))
    except (ValueError, LookupError, TypeError):
        return _old(door, answer)
    if answer.status == http.client.UNAUTHORIZED:
        return NotAllowed(f"{door.name}: {told}; --token-file names the file with the token")
    return Refused(answer.status, code, told, findings)


def _old(door: _Door, answer: http.client.HTTPResponse) -> NetbootdError:
    """An answer without our kind of error."""
    if answer.status in (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED):
        return NoDaemon(f"{door.name} knows nothing of this: the daemon is older, or another one")
    return NoDaemon(f"{door.name} says {answer.status} {printable(answer.reason, 60)}")


def _events(door: _Door, answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Server-sent events (HTML Standard, 9.2), as far as ours use them."""
    name, data = "message", b""
    while True:
        try:
            line = answer.readline(_MOST_EVENT)
        except TimeoutError:
            raise NoDaemon(f"{door.name} has fallen silent") from None
        except (OSError, http.client.HTTPException, ValueError):
            return
        if not line.endswith(b"\n") or len(data) > _MOST_EVENT:
            return
        field, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data = data + b"\n" + value if data else value
        elif not line.strip():
            if data:
                yield name, _value(door, data)
            name, data = "message", b""
        elif not field:
            yield "", None


# -- which daemon ----------------------------------------------------------------------------------


def connect(config: Path, url: str | None = None, token_file: Path | None = None) -> Api:
    """
    The daemon of *config*, by its socket; with *url* the one there, by the token in *token_file*,
    or in the file that *config* names.  Raises NoDaemon and NotAllowed.
    """
    settings = settings_of(config)
    if url is None and token_file is None:
        return Api(UnixSocket(socket_of(settings)))
    base = (url or urls.base_url("127.0.0.1", settings.http_port[0])).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise NoDaemon(f"{printable(base)} is no http:// address")
    return Api(Web(base, token_of(settings, token_file)))


def settings_of(config: Path) -> configuration.Config:
    """The daemon's settings in *config*, the usual ones where it cannot be read."""
    section = dropins.survey(config).merged("netbootd")
    settings = configuration.parse(section, config.parent, [])
    return settings if section is not None else replace(settings, **_guessed(config))


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


def socket_of(settings: configuration.Config) -> Path:
    """Where the daemon's socket is."""
    return settings.api_socket or settings.state / SOCKET


def token_of(settings: configuration.Config, file: Path | None = None) -> str:
    """The token, from *file* or where the daemon has it; raises NotAllowed."""
    chosen = file or settings.api_token or settings.state / apitoken.NAME
    try:
        return apitoken.read(chosen)
    except PermissionError:
        raise NotAllowed(f"you may not read {chosen}, which has the token: try sudo") from None
    except FileNotFoundError:
        told = "netbootd makes it at its first start; --token-file names another"
        raise NotAllowed(f"there is no {chosen} with the token: {told}") from None
    except OSError as problem:
        raise NotAllowed(str(problem)) from None
