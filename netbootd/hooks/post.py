"""
A URL as a hook: told by POST, of which any status from 200 to 299 is a yes.

That is Python's own http.client: Twisted's would bring three more libraries for https.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from netbootd import __version__
from netbootd.hooks.hook import Hook

_KEPT = 4096  # bytes of an answer that says no


def send(hook: Hook) -> str | None:
    """Why it failed, None where it did not."""
    parts = urlsplit(hook.what[0])
    host, port, timeout = parts.hostname or "", parts.port, hook.timeout
    connection: http.client.HTTPConnection
    if parts.scheme.lower() == "https":
        trusted = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    expired = threading.Event()
    alarm = threading.Timer(timeout, _hang_up, (connection, expired))
    alarm.daemon = True
    alarm.start()
    try:
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request("POST", path, hook.body, _headers(parts.username, parts.password))
        answer = connection.getresponse()
        if expired.is_set():  # its headers ended where we hung up
            return f"no answer in {timeout:g} s"
        if 200 <= answer.status < 300:
            return None
        said = answer.read(_KEPT).decode("utf-8", "replace").strip().splitlines()
        return f"{answer.status} {answer.reason}{': ' + said[-1] if said else ''}"
    except (OSError, http.client.HTTPException) as problem:
        if expired.is_set() or isinstance(problem, TimeoutError):
            return f"no answer in {timeout:g} s"
        return str(problem) or type(problem).__name__
    finally:
        alarm.cancel()
        connection.close()


def _headers(user: str | None, password: str | None) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"netbootd/{__version__}",
        "Connection": "close",
    }
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _hang_up(connection: http.client.HTTPConnection, expired: threading.Event) -> None:
    """The time is up, however busily the other side sends: its thread wakes with an error."""
    expired.set()
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
