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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netbootd import settings, urls
from netbootd.dropins.reading import survey
from netbootd.errors import NetbootdError

_PATIENCE_S = 5


class NoDaemon(NetbootdError):
    """Nobody answers there."""


def fetch_status(base: str | None, config: Path) -> dict[str, Any]:
    """
    The running daemon's state, as every host may see it.

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
    return status


def shortened(status: Mapping[str, Any]) -> dict[str, Any]:
    """The API's status for people: of what is refused the texts, and of machines that are some."""
    told = {name: value for name, value in status.items() if name != "now"}
    told["refused"] = [_finding(one) for one in status.get("refused", ())]
    told["counts"] = {name: n for name, n in status.get("counts", {}).items() if n}
    return told


def _finding(one: Mapping[str, Any]) -> str:
    where = ":".join(str(part) for part in (one.get("file"), one.get("line")) if part)
    return f"{where}: {one.get('text', '')}" if where else str(one.get("text", ""))


def _port(config: Path) -> int:
    """The first HTTP port that *config* names, the default where it cannot be read."""
    section = survey(config).merged("netbootd")
    return settings.parse(section, config.parent, []).http_port[0]


def facts(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """*status* as names and texts, a line each; what goes on from the line before has no name."""
    for name, value in status.items():
        yield from _facts(name, value)


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
