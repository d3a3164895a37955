"""
The running daemon's API, for the commands: over its Unix socket, or over HTTP with the token.

Standard library only, and nothing of the daemon's own code: a command must start at once.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from netbootd import urls
from netbootd.apidoors import (
    Door,
    NoDaemon,
    NotAllowed,
    UnixSocket,
    Web,
    settings_of,
    socket_of,
    token_of,
)
from netbootd.errors import NetbootdError
from netbootd.printable import printable

_PATIENCE_S = 60.0  # a reload of a large configuration takes its time
#: Of an event stream, which says something every 15 s.
_SILENCE_S = 45.0
_MOST_EVENT = 4 << 20  # bytes of one event that are believed
_JSON = "application/json"


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


class Api:
    """What is asked of the daemon behind *door*."""

    def __init__(self, door: Door) -> None:
        self._door = door

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

    def __init__(self, door: Door, patience: float) -> None:
        self._connection = door.connection(patience)

    def __enter__(self) -> http.client.HTTPConnection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _whole(door: Door, answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except OSError as problem:
        raise door.trouble(problem) from None
    except http.client.HTTPException as problem:
        raise _stranger(door, problem) from None


def _value(door: Door, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise NoDaemon(f"{door.name} does not answer as netbootd does; what runs there?") from None


def _stranger(door: Door, problem: Exception) -> NoDaemon:
    told = printable(str(problem), 80)
    return NoDaemon(f"{door.name} does not answer as netbootd does ({told}); what runs there?")


def _refusal(door: Door, answer: http.client.HTTPResponse, text: bytes) -> NetbootdError:
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


def _old(door: Door, answer: http.client.HTTPResponse) -> NetbootdError:
    """An answer without our kind of error."""
    if answer.status in (http.client.NOT_FOUND, http.client.METHOD_NOT_ALLOWED):
        return NoDaemon(f"{door.name} knows nothing of this: the daemon is older, or another one")
    return NoDaemon(f"{door.name} says {answer.status} {printable(answer.reason, 60)}")


def _events(door: Door, answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
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
