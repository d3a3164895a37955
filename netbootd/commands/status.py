"""``netbootd status``: the running daemon."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from netbootd.commands.daemon import reach, with_daemon
from netbootd.commands.words import Commands, command, print_json

_MORE = """\
Works with a broken configuration, too: only where the daemon is to be found is read from it.
Whoever may not use its socket, and is given no token, gets what everybody may see.

examples:
  netbootd status
  netbootd status --url http://192.168.1.250:3000
  netbootd status --json

exit status: 0 the daemon answers, 1 it does not, 2 the command line is wrong.
"""


def add(commands: Commands) -> None:
    parser = command(commands, "status", _status, "Ask the running daemon how it is.", _MORE)
    with_daemon(parser)


def _status(arguments: argparse.Namespace) -> int:
    from netbootd.status import facts  # noqa: PLC0415
    from netbootd.terminal.paper import Bit, Look, Paper  # noqa: PLC0415

    status = _fetch(arguments)
    if arguments.json:
        print_json(status)
        return 0
    paper = Paper()
    told = list(facts(status))
    width = max((len(name) for name, _ in told), default=0)
    bad = ""
    for name, text in told:
        bad = name if name else bad
        look = Look.BAD if _is_bad(bad, text) else Look.PLAIN
        paper.line(Bit(f"{name:<{width}}  ", Look.FAINT), Bit(text, look))
    return 0


def _is_bad(name: str, text: str) -> bool:
    if name in ("troubles", "refused") or name.startswith("held"):
        return text != "none"
    return name == "last_reload" and text.startswith("refused")


def _fetch(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """By the API where we may, else what every host on the network may see."""
    from netbootd.apiclient import Refused  # noqa: PLC0415
    from netbootd.apidoors import NoDaemon, NotAllowed  # noqa: PLC0415
    from netbootd.status import fetch_status, shortened  # noqa: PLC0415

    if arguments.url is None or arguments.token_file is not None:
        try:
            return shortened(reach(arguments).get("status"))
        except (NoDaemon, NotAllowed, Refused):
            if arguments.token_file is not None:
                raise
    return fetch_status(arguments.url, arguments.config)
