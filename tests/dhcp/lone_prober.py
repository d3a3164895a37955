"""
A Prober alone in its process: ``python -m tests.dhcp.lone_prober eth0 ADDRESS...`` prints what it
finds out about each.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address

from twisted.internet import reactor

from netbootd.dhcp.prober import Prober, open_prober
from netbootd.interfaces import read_interfaces


def main() -> None:
    name, *addresses = sys.argv[1:]
    interface = next(one for one in read_interfaces() if one.name == name)
    prober = Prober(open_prober(name), interface, reactor)
    reactor.addReader(prober)
    left = set(addresses)

    def found(address: str) -> None:
        card = prober.holder(IPv4Address(address))
        print(address, card.hex(":") if card else "silent")
        assert prober.silent(IPv4Address(address)) == (card is None)
        left.discard(address)
        if not left:
            reactor.stop()

    for address in addresses:
        assert prober.ask(IPv4Address(address), lambda address=address: found(address))
    reactor.run()


if __name__ == "__main__":
    main()
