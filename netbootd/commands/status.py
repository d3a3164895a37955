"""``netbootd status``: the running daemon."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
    with_config,
)

if TYPE_CHECKING:
    pass


_STATUS_MORE = """\
Works with a broken configuration, too: only the port is read from it.

examples:
  netbootd status
  netbootd status --url http://192.168.1.250:3000

exit status: 0 the daemon answers, 1 it does not.
"""


def add(commands: Commands) -> None:
    parser = command(commands, "status", _status, "Ask the running daemon how it is.", _STATUS_MORE)
    with_config(parser)
    parser.add_argument("--url", help="the daemon's address, such as http://192.168.1.250:3000")


def _status(arguments: argparse.Namespace) -> int:
    from netbootd.status import fetch_status  # noqa: PLC0415

    print(fetch_status(arguments.url, arguments.config))
    return 0
