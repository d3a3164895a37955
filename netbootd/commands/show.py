"""``netbootd show``: what a machine gets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    a_mac_or_default,
    command,
    with_address,
    with_config,
)

if TYPE_CHECKING:
    pass


_SHOW_MORE = """\
examples:
  netbootd show 00:25:90:27:db:b4
  netbootd show --config etc/netbootd.json default    (what unknown machines get)
  netbootd show 00:25:90:27:db:b4 --as grub           (its grub.cfg)

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "What a machine would get, with the reasons and its script."
    parser = command(commands, "show", _show, text, _SHOW_MORE)
    with_config(parser)
    with_address(parser)
    parser.add_argument(
        "mac", type=a_mac_or_default, metavar="MAC", help="in any spelling, or the word default"
    )
    parser.add_argument(
        "--as",
        dest="reader",
        choices=("grub", "pxelinux", "pi"),
        help="only what this loader would read, which never runs iPXE",
    )


def _show(arguments: argparse.Namespace) -> int:
    from netbootd.boot.client import Client, Stage  # noqa: PLC0415  Jinja2
    from netbootd.configfiles import Reader  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415
    from netbootd.show import STRANGER, past_of, show, show_as  # noqa: PLC0415

    registry = load(arguments.config)
    mac = arguments.mac or STRANGER
    past = past_of(Client(stage=Stage.IPXE, mac=mac, address=arguments.address), registry)
    if arguments.reader:
        reader = Reader(arguments.reader)
        answer = show_as(registry, reader, mac, past, arguments.address)
    else:
        answer = show(registry, mac, past, arguments.address)
    print(answer.text, end="")
    return 0 if answer.boots else 1
