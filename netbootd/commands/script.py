"""``netbootd script``: what a node runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
    the_client,
    with_config,
    with_machine,
)

if TYPE_CHECKING:
    pass


_SCRIPT_MORE = """\
The daemon serves it as /scripts/MAC.  Here the name "boot-server" stands for its own address.

examples:
  netbootd script 00:25:90:27:db:b4
  netbootd script --config etc/netbootd.json 00:25:90:27:db:b4 | sh -n

exit status: 0 this is it, 1 there is no such machine or its script has an error,
2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "What a machine runs when it is up, as the program that it fetches."
    parser = command(commands, "script", _script, text, _SCRIPT_MORE)
    with_config(parser)
    with_machine(parser)


def _script(arguments: argparse.Namespace) -> int:
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2
    from netbootd.show import node_script  # noqa: PLC0415

    registry = load(arguments.config)
    print(node_script(registry, the_client(arguments, registry, aside=True)), end="")
    return 0
