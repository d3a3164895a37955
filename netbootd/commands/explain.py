"""``netbootd explain``: every rule that was looked at."""

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


_EXPLAIN_MORE = """\
Names every rule that was looked at, in order, and where each value of the target comes from.

examples:
  netbootd explain 00:25:90:27:db:b4
  netbootd explain --config etc/netbootd.json --serial "SN 4711" 00:25:90:27:db:b4
  netbootd explain --from 10.1.0.7 00:25:90:27:db:b4

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Why a machine boots what it boots: every rule, and why it won or lost."
    parser = command(commands, "explain", _explain, text, _EXPLAIN_MORE)
    with_config(parser)
    parser.add_argument(
        "mac", type=a_mac_or_default, metavar="MAC", help="in any spelling, or the word default"
    )
    for mark, told in (
        ("uuid", "its SMBIOS UUID, in either byte order"),
        ("serial", "its serial number"),
        ("asset", "its asset tag"),
        ("client-id", "its DHCP client identifier in hex, such as InfiniBand cards have"),
    ):
        parser.add_argument(f"--{mark}", default="", help=told)
    with_address(parser)
    parser.add_argument(
        "--firmware",
        choices=("bios", "efi", "http", "ipxe"),
        default="efi",
        help="what the client is: a BIOS or UEFI PXE ROM, UEFI HTTP boot, or iPXE in the card",
    )


def _explain(arguments: argparse.Namespace) -> int:
    from netbootd.boot.client import Client  # noqa: PLC0415  Jinja2
    from netbootd.explain import FIRMWARE, explain, remembered  # noqa: PLC0415
    from netbootd.registry.load import load_with_origins  # noqa: PLC0415
    from netbootd.show import STRANGER  # noqa: PLC0415

    stage, arch = FIRMWARE[arguments.firmware]
    client = Client(
        stage=stage,
        mac=arguments.mac or STRANGER,
        arch=arch,
        uuid=arguments.uuid,
        serial=arguments.serial,
        asset=arguments.asset,
        client_id=arguments.client_id,
        address=arguments.address,
    )
    explained = explain(remembered(client, *load_with_origins(arguments.config)))
    print(explained.text, end="")
    return 0 if explained.boots else 1
