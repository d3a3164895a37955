"""``netbootd doctor``: what a booting machine would meet in this network."""

from __future__ import annotations

import argparse

from netbootd.commands.words import Commands, command, with_config

_DOCTOR_MORE = """\
Asks by broadcast as a legacy and as a UEFI machine do, takes no address, and says who answers what
and what firmware makes of it.  Needs root, or CAP_NET_RAW.  No running daemon is needed, nor a
configuration.

examples:
  netbootd doctor
  netbootd doctor eth1
  netbootd doctor --json eth1

exit status: 0 nothing is wrong, 1 something is, or nothing could be asked.
"""


def add(commands: Commands) -> None:
    text = "Ask this network as boot firmware would, and say what is wrong with it."
    parser = command(commands, "doctor", _doctor, text, _DOCTOR_MORE)
    with_config(parser)
    parser.add_argument(
        "interface",
        nargs="?",
        metavar="INTERFACE",
        help="where to ask (default: what the daemon would serve)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _doctor(arguments: argparse.Namespace) -> int:
    from netbootd import doctor  # noqa: PLC0415  scapy, pyroute2
    from netbootd.doctor.verdict import is_wrong  # noqa: PLC0415

    results = doctor.examine(arguments.interface, arguments.config)
    print(doctor.as_json(results) if arguments.json else doctor.text(results))
    return 1 if any(is_wrong(remark) for _, remarks in results for remark in remarks) else 0
