"""
Requests to the servers that logs are sent to: the door of urllib3.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import urllib3

from netbootd import __version__
from netbootd.errors import NetbootdError
from netbootd.printable import printable

_TIMEOUT = urllib3.Timeout(connect=10.0, read=90.0)  # a busy cluster may take a minute for a bulk
_MOST_ANSWER = 64 << 20


class NoAnswer(NetbootdError):
    """Nobody answered; the text says why, without what is secret."""


class BadSetting(NetbootdError):
    """A file that is needed cannot be used."""


class Reply(NamedTuple):
    """An answer; *headers* by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """*url* without user and password, and the header that has these."""

    url: str
    authorization: str = ""

    @classmethod
    def parse(cls, url: str) -> Address:
        """``https://USER:PASSWORD@HOST:PORT/PATH``, where user and password may be missing."""
        parts = urlsplit(url)
        if parts.username is None:
            return cls(url)
        host = parts.netloc.rpartition("@")[2]
        user, password = unquote(parts.username), unquote(parts.password or "")
        return cls(parts._replace(netloc=host).geturl(), _basic(f"{user}:{password}"))


def _basic(user_and_password: str) -> str:
    encoded = base64.b64encode(user_and_password.encode()).decode("ascii")
    return f"Basic {encoded}"


def authorization(credentials: Path | None) -> str:
    """
    The header for what *credentials* holds, ``ApiKey …`` or ``USER:PASSWORD``; empty for None.

    Raises BadSetting.
    """
    if credentials is None:
        return ""
    try:
        line = credentials.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        raise BadSetting(f"{credentials} cannot be read: {problem}") from None
    if not line.isprintable():
        raise BadSetting(f"{credentials} does not hold one line")
    scheme, _, rest = line.partition(" ")
    if scheme.lower() in ("apikey", "bearer") and rest:
        return f"{scheme} {rest.strip()}"
    if ":" in line:
        return _basic(line)
    raise BadSetting(f'{credentials} holds neither "ApiKey BASE64" nor "USER:PASSWORD"')


class Web:
    """
    Posts, over connections that it keeps; certificates are checked against *ca*, or the system's.

    Raises BadSetting where *ca* cannot be used.
    """

    def __init__(self, ca: Path | None) -> None:
        try:
            context = ssl.create_default_context(cafile=str(ca) if ca else None)
        except (OSError, ssl.SSLError) as problem:
            raise BadSetting(f"{ca}: no certificates can be read: {problem}") from None
        self._pool = urllib3.PoolManager(ssl_context=context, timeout=_TIMEOUT, retries=False)

    def post(self, address: Address, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer to *body*; a redirect is one.  Raises NoAnswer."""
        sent = {**headers, "User-Agent": f"netbootd/{__version__}"}
        if address.authorization:
            sent.setdefault("Authorization", address.authorization)
        try:
            answer = self._pool.request(
                "POST",
                address.url + path,
                body=body,
                headers=sent,
                redirect=False,
                preload_content=False,
            )
            data = answer.read(_MOST_ANSWER)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as problem:
            raise NoAnswer(_words(problem)) from None
        named = {name.lower(): value for name, value in answer.headers.items()}
        answer.release_conn()
        return Reply(answer.status, named, data)

    def close(self) -> None:
        """End all connections."""
        self._pool.clear()


def _words(problem: Exception) -> str:
    """Why, without the names of urllib3's objects."""
    text = str(problem)
    if isinstance(problem, urllib3.exceptions.NewConnectionError):
        text = text.rpartition("] ")[2].rpartition(": ")[2].rstrip(")")
    elif isinstance(problem, urllib3.exceptions.ConnectTimeoutError):
        text = "it does not answer"
    elif isinstance(problem, urllib3.exceptions.ReadTimeoutError):
        text = "it takes too long to answer"
    elif isinstance(problem, urllib3.exceptions.ProtocolError):
        text = "the connection broke"
    return printable(text, 300)
