"""``netbootd leases``: who has which address, how full the pools are; and the end of a lease."""

from __future__ import annotations

import argparse
from ipaddress import ip_address
from typing import TYPE_CHECKING

from netbootd.commands.daemon import STATUSES, reach, with_daemon
from netbootd.commands.words import Commands, command, complain, print_json

if TYPE_CHECKING:
    from netbootd.apiclient import Api

_MORE = f"""\
Only where netbootd is the DHCP server ("dhcp": "server") does anybody have a lease of it.  TEXT is
looked for in addresses, MACs, names, machines and ports.

'leases release ADDRESS' ends a lease: for somebody who is gone and will not say so.  A host name
stands for the address where one lease alone has it.  One who still uses the address goes on doing
that until it asks again; before the address is given to anybody else, the network is asked who has
it.

examples:
  netbootd leases
  netbootd leases node7
  netbootd leases --subnet 10.1.0.0/24 --state declined
  netbootd leases --all --json
  netbootd leases release 10.1.0.117
  netbootd leases release node7

{STATUSES}"""

_STATES = ("offered", "leased", "declined", "free")
_RELEASE = "release"


def add(commands: Commands) -> None:
    text = "List who has which address, and how full the pools are."
    parser = command(commands, "leases", _leases, text, _MORE)
    with_daemon(parser)
    parser.add_argument(
        "lease",
        nargs="?",
        default="",
        metavar="TEXT",
        help="in address, name, MAC or port; or the word release, and whose lease it is",
    )
    parser.add_argument(
        "address", nargs="?", default="", metavar="ADDRESS", help="with release: it, or a host name"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--state", choices=_STATES, default="", help="only those")
    which.add_argument("--all", action="store_true", help="those that are over as well")
    parser.add_argument("--subnet", default="", metavar="NETWORK", help="only its addresses")
    parser.set_defaults(parser=parser)


def _leases(arguments: argparse.Namespace) -> int:
    if arguments.lease == _RELEASE:
        return _release(arguments)
    if arguments.address:
        arguments.parser.error(f"one TEXT, and {arguments.address!r:.60} is another")
    return _list(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from netbootd.terminal.leases import pools_within, show_leases  # noqa: PLC0415
    from netbootd.terminal.paper import Paper  # noqa: PLC0415

    state = "all" if arguments.all else arguments.state
    query = {"state": state, "subnet": arguments.subnet, "q": arguments.lease}
    found = reach(arguments).get("leases", **{key: word for key, word in query.items() if word})
    if arguments.subnet:
        found = {**found, "pools": pools_within(found.get("pools") or (), arguments.subnet)}
    if arguments.json:
        print_json(found)
    else:
        show_leases(Paper(), found)
    return 0


def _addresses(api: Api, whose: str) -> list[str]:
    """What *whose* stands for: an address is itself, a name that of each lease that has it."""
    try:
        return [str(ip_address(whose))]
    except ValueError:
        found = api.get("leases", q=whose)["leases"]
    wanted = whose.lower()
    return [one["address"] for one in found if wanted in (one["hostname"].lower(), one["machine"])]


def _which(whose: str, addresses: list[str]) -> str:
    if addresses:
        return f"several leases are of {whose!r:.60}: {', '.join(addresses)}; say which"
    return f"{whose!r:.60} is no address, and no lease has that name"


def _release(arguments: argparse.Namespace) -> int:
    from netbootd.printable import printable  # noqa: PLC0415
    from netbootd.terminal.leases import holder  # noqa: PLC0415

    if not arguments.address:
        arguments.parser.error("release: whose lease?  An ADDRESS is missing")
    api = reach(arguments)
    addresses = _addresses(api, arguments.address)
    if len(addresses) != 1:
        complain(_which(arguments.address, addresses))
        return 1
    ended = api.send("DELETE", "leases", addresses[0])
    if arguments.json:
        print_json(ended)
        return 0
    who = holder(ended)
    had = f"; {printable(who)} had it" if who else ""
    print(f"{ended['address']} is free{had}")
    return 0
