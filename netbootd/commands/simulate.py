"""``netbootd simulate``: a boot without a machine."""

from __future__ import annotations

import argparse

from netbootd import replies
from netbootd.commands.words import (
    Commands,
    an_arch,
    command,
    print_json,
    with_config,
    with_json,
    with_machine,
)

_SIMULATE_MORE = """\
examples:
  netbootd simulate 00:25:90:27:db:b4
  netbootd simulate --json 00:25:90:27:db:b4     {"boots", "ending", "how", "steps": [...], ...}
  netbootd simulate --style menu 00:25:90:27:db:b4
  netbootd simulate --firmware bios --interface eth1 00:25:90:27:db:b4

With --interface the running daemon is asked, to which it is a boot of that machine like any other:
an armed boot is used up, and often repeated it holds the machine.

exit status: 0 it boots, 1 it does not, or that could not be checked from here,
2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Walk through a network boot as a client would, fetching and checking every file."
    parser = command(commands, "simulate", _simulate, text, _SIMULATE_MORE)
    with_config(parser)
    with_machine(parser)
    parser.add_argument(
        "--firmware",
        choices=("bios", "efi", "ipxe", "http"),
        help="what the client is: a BIOS or UEFI PXE ROM, an iPXE in the card, or UEFI HTTP boot "
        "(default: efi, or what --arch means, or a Raspberry Pi's own)",
    )
    parser.add_argument(
        "--arch",
        type=an_arch,
        metavar="N",
        help="option 93, instead of the firmware's own: 22 and 21 are U-Boot, 41 a Raspberry Pi",
    )
    with_json(parser, "the whole walk as one JSON object, when it is over")
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument(
        "--style",
        choices=tuple(replies.CHOOSABLE),
        help="how it is told of its boot file, where its entry does not say (proxydhcp.style)",
    )
    whom.add_argument(
        "--interface",
        metavar="NAME",
        help="ask a running daemon through this interface (as root), not the configuration",
    )


def _simulate(arguments: argparse.Namespace) -> int:
    from netbootd.simulate import simulate  # noqa: PLC0415  scapy

    walked = simulate(
        arguments.config,
        arguments.machine,
        arguments.firmware,
        arguments.arch,
        arguments.interface,
        arguments.style,
        (lambda _: None) if arguments.json else print,
    )
    if arguments.json:
        print_json(walked.as_dict())
    return 0 if walked.boots else 1
