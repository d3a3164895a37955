"""``netbootd show``: what a machine gets."""

from __future__ import annotations

import argparse
from dataclasses import replace

from netbootd.commands.words import (
    Commands,
    command,
    print_json,
    the_client,
    with_address,
    with_config,
    with_json,
    with_machine,
)

_SHOW_MORE = """\
examples:
  netbootd show 00:25:90:27:db:b4
  netbootd show --json 00:25:90:27:db:b4              {"boots", "target", "because", "script", ...}
  netbootd show --config etc/netbootd.json default    (what unknown machines get)
  netbootd show node7                                 (an entry by its name)
  netbootd show 00:25:90:27:db:b4 --as grub           (its grub.cfg)

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


_READERS = "grub (shim-grub too), pxelinux (syslinux.efi, U-Boot, petitboot too), pi (Raspberry Pi)"


def add(commands: Commands) -> None:
    text = "What a machine would get, with the reasons and its script."
    parser = command(commands, "show", _show, text, _SHOW_MORE)
    with_config(parser)
    with_address(parser)
    with_machine(parser, default=True)
    with_json(parser, "all of it as one JSON object, the script in it")
    parser.add_argument(
        "--as",
        dest="reader",
        type=_a_reader,
        metavar="LOADER",
        help=f"only what this loader would read, which never runs iPXE: {_READERS}",
    )


def _a_reader(text: str) -> str:
    if text not in ("grub", "pxelinux", "pi"):
        raise argparse.ArgumentTypeError(f"{text!r} is none; there are: {_READERS}")
    return text


def _show(arguments: argparse.Namespace) -> int:
    from netbootd.configfiles import Reader  # noqa: PLC0415  Jinja2
    from netbootd.registry.load import load  # noqa: PLC0415
    from netbootd.show import past_of, show, show_as  # noqa: PLC0415

    registry = load(arguments.config)
    client = replace(the_client(arguments, registry), address=arguments.address)
    past = past_of(client, registry)
    answer = (
        show_as(registry, Reader(arguments.reader), client, past)
        if arguments.reader
        else show(registry, client, past)
    )
    if arguments.json:
        print_json(answer.as_dict())
    else:
        print(answer.text, end="")
    return 0 if answer.boots else 1
