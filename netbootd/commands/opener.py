"""``netbootd opener``: the process that opens ports for a daemon without rights."""

from __future__ import annotations

import argparse
import os

from netbootd.commands.words import Commands, command

_MORE = """\
This is for netbootd-opener.service, which systemd starts with a socket; by hand there is nothing
to be done with it.

examples:
  netbootd opener udp:67 udp:69 tcp:80

exit status: 1 where systemd did not start it.
"""


def add(commands: Commands) -> None:
    text = "Open ports below 1024, and packet sockets, for a daemon that may not."
    parser = command(commands, "opener", _serve, text, _MORE)
    parser.add_argument(
        "ports",
        nargs="*",
        type=_a_port,
        metavar="PORT",
        help="a port below 1024 that the daemon may have, as udp:67 or tcp:80",
    )


def _a_port(text: str) -> tuple[str, int]:
    kind, _, number = text.partition(":")
    if kind not in ("udp", "tcp") or not (number.isascii() and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no port, such as udp:67")
    return kind, int(number)


def _serve(arguments: argparse.Namespace) -> int:
    from netbootd.opener import server  # noqa: PLC0415

    server.run(frozenset(arguments.ports), os.environ)
