"""``netbootd logs``: what a machine logged, from the first line of iPXE on."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from netbootd.commands.daemon import STATUSES, reach, with_daemon, with_name
from netbootd.commands.words import Commands, command, complain

if TYPE_CHECKING:
    from netbootd.apiclient import Api

_MORE = f"""\
Lines that netbootd itself wrote of the boot stand between those of the node.  With -f it goes on
until Ctrl-C, over restarts of netbootd as well.  --json gives a document a line, in the names of
the Elastic Common Schema.

examples:
  netbootd logs 00:25:90:27:db:b4
  netbootd logs node7 -f
  netbootd logs node7 -n 1000 --boot 4711

{STATUSES}"""

_PAUSE_S = 1.0
_MOST = 5000  # lines, of the API as well
_MOST_SEEN = 20_000


def add(commands: Commands) -> None:
    text = "Show what a machine logged: firmware, iPXE, kernel, installer, system."
    parser = command(commands, "logs", _logs, text, _MORE)
    with_daemon(parser)
    with_name(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument(
        "-n", "--limit", type=_a_limit, default=200, metavar="N", help="lines (default: 200)"
    )
    parser.add_argument("--boot", type=int, metavar="N", help="of that boot alone")


def _a_limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4) or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST}")
    return int(text)


def _logs(arguments: argparse.Namespace) -> int:
    api, who = reach(arguments), arguments.machine
    query = {"limit": arguments.limit, **({"boot": arguments.boot} if arguments.boot else {})}
    writer = _Writer(as_json=arguments.json)
    if not arguments.follow:
        found = api.get("machines", who, "logs", **query)["lines"]
        for document in found:
            writer.write(document)
        if not found and not arguments.json:
            complain(f"there is no line of {who}")
        return 0
    try:
        for document in followed(api, who, query):
            writer.write(document)
    except KeyboardInterrupt:
        print()
    return 0


def followed(api: Api, who: str, query: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
    """
    The last lines and all that come, each once; over restarts of the daemon, whose first answer
    must come all the same.
    """
    from netbootd.apidoors import NoDaemon  # noqa: PLC0415
    from netbootd.terminal.logs import identity  # noqa: PLC0415

    seen: dict[str, None] = {}
    began = waiting = False
    while True:
        try:
            for document in _stream(api, who, query):
                if waiting:
                    complain("netbootd is back")
                began, waiting = True, False
                if document is None:
                    continue
                if (name := identity(document)) not in seen:
                    seen[name] = None
                    yield document
                if len(seen) > _MOST_SEEN:
                    del seen[next(iter(seen))]
        except NoDaemon:
            if not began:
                raise
        if not waiting:
            complain("netbootd is away; waiting for it")
        waiting = True
        time.sleep(_PAUSE_S)


def _stream(api: Api, who: str, query: Mapping[str, int]) -> Iterator[Mapping[str, Any] | None]:
    """
    One connection: what there was is asked for once we listen, so that nothing is lost between.
    """
    for name, value in api.events("logs", who):
        if name == "log":
            yield value
        elif name == "open":
            yield None
            yield from api.get("machines", who, "logs", **query)["lines"]


class _Writer:
    """Lines to standard output, at once."""

    def __init__(self, *, as_json: bool) -> None:
        from netbootd.terminal.paper import Paper  # noqa: PLC0415

        self._paper = Paper()
        self._as_json = as_json

    def write(self, document: Mapping[str, Any]) -> None:
        """One document."""
        from netbootd.terminal.logs import pieces  # noqa: PLC0415

        if self._as_json:
            print(json.dumps(document), flush=True)
        else:
            self._paper.line(*pieces(document, day=f"{datetime.now():%Y-%m-%d}"))
            self._paper.flush()
