"""``netbootd status``: ask the running daemon over HTTP and say the answer in a few lines."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from netbootd import urls
from netbootd.errors import NetbootdError
from netbootd.registry.load import load

_PATIENCE_S = 5


class NoDaemon(NetbootdError):
    """Nobody answers there."""


def fetch_status(base: str | None, config: Path) -> str:
    """
    The running daemon's state, for a person.

    *base* defaults to this host and the configuration's first port.  Raises NoDaemon.
    """
    base = base or urls.base_url("127.0.0.1", load(config).config.http_port[0])
    url = f"{base.rstrip('/')}/{urls.STATUS}"
    if not url.startswith(("http://", "https://")):
        raise NoDaemon(f"{url} is no http:// address")
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310  checked above
            status = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError) as problem:
        raise NoDaemon(f"no answer from {url}: {problem}; is netbootd running?") from None
    return "\n".join(_lines(status))


def _lines(status: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in status.items():
        if isinstance(value, dict):
            lines += [f"{name}.{key:<24} {item}" for key, item in value.items()]
        elif isinstance(value, list):
            lines += [f"{name:<30} {item}" for item in value] or [f"{name:<30} none"]
        else:
            lines.append(f"{name:<30} {value}")
    return lines
