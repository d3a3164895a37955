"""``netbootd explain``: every rule that was looked at."""

from __future__ import annotations

import argparse
from dataclasses import replace

from netbootd.commands.words import (
    Commands,
    an_arch,
    command,
    print_json,
    the_client,
    with_address,
    with_config,
    with_json,
    with_machine,
)

_EXPLAIN_MORE = """\
Names every rule that was looked at, in order, and where each value of the target comes from.

examples:
  netbootd explain 00:25:90:27:db:b4
  netbootd explain --json 00:25:90:27:db:b4      {"boots", "because", "rules": [...], "entry", ...}
  netbootd explain --config etc/netbootd.json --serial "SN 4711" 00:25:90:27:db:b4
  netbootd explain --from 10.1.0.7 00:25:90:27:db:b4

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Why a machine boots what it boots: every rule, and why it won or lost."
    parser = command(commands, "explain", _explain, text, _EXPLAIN_MORE)
    with_config(parser)
    with_machine(parser, default=True)
    with_json(parser, "all of it as one JSON object, each rule and each value with its place")
    for mark, told in (
        ("uuid", "its SMBIOS UUID, in either byte order"),
        ("serial", "its serial number"),
        ("asset", "its asset tag"),
        ("client-id", "its DHCP client identifier in hex, such as InfiniBand cards have"),
        ("circuit-id", "the port that it is plugged into, as a relay says it (option 82)"),
        ("remote-id", "the switch that it is plugged into, likewise"),
    ):
        parser.add_argument(f"--{mark}", default="", help=told)
    with_address(parser)
    parser.add_argument(
        "--firmware",
        choices=("bios", "efi", "http", "ipxe"),
        help="what the client is: a BIOS or UEFI PXE ROM, UEFI HTTP boot, or iPXE in the card "
        "(default: efi, or what --arch means, or a Raspberry Pi's own)",
    )
    parser.add_argument(
        "--arch", type=an_arch, metavar="N", help="option 93, instead of the firmware's own"
    )


def _explain(arguments: argparse.Namespace) -> int:
    from netbootd.explain import as_firmware, explain, remembered  # noqa: PLC0415  Jinja2
    from netbootd.registry.load import load_with_origins  # noqa: PLC0415
    from netbootd.registry.marks import MARKS  # noqa: PLC0415

    registry, origins = load_with_origins(arguments.config)
    client = the_client(arguments, registry)
    said = {mark: text for mark in MARKS if (text := getattr(arguments, mark))}
    client = replace(client, address=arguments.address, **said)
    client = as_firmware(client, registry, arguments.firmware, arguments.arch)
    case = remembered(client, registry, origins)
    if arguments.json:
        from netbootd.reasons import facts  # noqa: PLC0415

        told = facts(case)
        print_json(told)
        return 0 if told["boots"] else 1
    explained = explain(case)
    print(explained.text, end="")
    return 0 if explained.boots else 1
