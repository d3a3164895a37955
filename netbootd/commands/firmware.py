"""``netbootd firmware``: the boot programs that are there."""

from __future__ import annotations

import argparse

from netbootd.commands.words import Commands, command, with_config

_FIRMWARE_MORE = """\
A star marks what a machine may get as the configuration stands.  Signatures are shown, not
verified: the machine's firmware does that.

examples:
  netbootd firmware
  netbootd firmware --json

exit status: 0 all that is chosen is there, 1 something is not, or is for another machine than its
name says, 2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "List the boot programs by architecture: origin, version, checksum, signature."
    parser = command(commands, "firmware", _firmware, text, _FIRMWARE_MORE)
    with_config(parser)
    parser.add_argument("--json", action="store_true", help="all of it as one JSON object")


def _firmware(arguments: argparse.Namespace) -> int:
    from netbootd import firmware  # noqa: PLC0415  Jinja2
    from netbootd.registry.load import load  # noqa: PLC0415

    inventory = firmware.take(load(arguments.config))
    text = firmware.as_json(inventory) if arguments.json else firmware.as_text(inventory)
    print(text, end="")
    return 0 if inventory.well else 1
