"""``netbootd run``: serve."""

from __future__ import annotations

import argparse
import gc

from netbootd.commands.words import (
    Commands,
    command,
    with_config,
)

_RUN_MORE = """\
examples:
  netbootd run
  netbootd run --config etc/netbootd.json --interface eth1 --verbose

exit status: 0 after SIGTERM or SIGINT, 1 where another daemon has the state folder, 2 where the
configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Serve the configuration, in the foreground."
    parser = command(commands, "run", _run, text, _RUN_MORE)
    with_config(parser)
    parser.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help="serve this interface, whatever the configuration says; may be repeated",
    )
    parser.add_argument("--verbose", action="store_true", help="log every packet")


def _run(arguments: argparse.Namespace) -> int:
    # What is imported stays for ever: the collector would walk it 280 times, a fifth of the start.
    # The daemon turns it on again when it is ready.
    gc.disable()
    from netbootd import serving  # noqa: PLC0415  Twisted and scapy: only for the daemon

    return serving.main(arguments.config, tuple(arguments.interface), verbose=arguments.verbose)
