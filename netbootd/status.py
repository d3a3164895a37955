"""
``netbootd status``: ask the running daemon over HTTP and say the answer in a few lines.

Of the configuration only the port is needed, and a broken one is when people ask: so it is read as
far as that goes, whatever else is wrong with it.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netbootd import config as configuration
from netbootd import dropins, urls
from netbootd.errors import NetbootdError

_PATIENCE_S = 5


class NoDaemon(NetbootdError):
    """Nobody answers there."""


def fetch_status(base: str | None, config: Path) -> str:
    """
    The running daemon's state, for a person.

    *base* defaults to this host and the configuration's first port.  Raises NoDaemon.
    """
    base = base or urls.base_url("127.0.0.1", _port(config))
    url = f"{base.rstrip('/')}/{urls.STATUS}"
    if not url.startswith(("http://", "https://")):
        raise NoDaemon(f"{url} is no http:// address")
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310  checked above
            status = json.load(answer)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        reason = problem.reason if type(problem) is urllib.error.URLError else problem
        raise NoDaemon(f"no answer from {url}: {reason}; is netbootd running?") from None
    if not isinstance(status, dict):
        raise NoDaemon(f"{url} does not answer as netbootd does; what runs there?")
    return "\n".join(_lines(status))


def _port(config: Path) -> int:
    """The first HTTP port that *config* names, the default where it cannot be read."""
    section = dropins.survey(config).merged("netbootd")
    return configuration.parse(section, config.parent, []).http_port[0]


def _lines(status: dict[str, Any]) -> list[str]:
    """One fact a line, all values in one column."""
    facts = [(name, text) for name, value in status.items() for name, text in _facts(name, value)]
    width = max((len(name) for name, _ in facts), default=0)
    return [f"{name:<{width}}  {text}" for name, text in facts]


def _facts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """*value* as lines of text, of which the first has the *name* in front."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _facts(f"{name}.{key}", item)
        return
    items = value if isinstance(value, list) else [value]
    texts = [line for item in items for line in str(item).splitlines() or [""]]
    for number, text in enumerate(texts or ["none"]):
        yield "" if number else name, text
