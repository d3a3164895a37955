"""
DhcpService alone in a process, for tests on the wire: ``python -m tests.dhcp.lone_service``.

Each argument is an interface with its addresses, ``eth0=192.0.2.1/24,192.0.2.2/24``.  Prints
``ready``, then every event.
"""

import socket
import sys
from ipaddress import IPv4Interface

from twisted.internet import reactor

from netbootd.dhcp.service import DhcpService
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry

from .registries import registry


def interface(text: str) -> Interface:
    name, _, addresses = text.partition("=")
    parsed = tuple(IPv4Interface(address) for address in addresses.split(","))
    return Interface(name, socket.if_nametoindex(name), 1500, up=True, addresses=parsed)


def main() -> None:
    stream = Stream(lambda problem: print(repr(problem), flush=True))
    stream.subscribe(lambda event: print(event, flush=True))
    dhcp = DhcpService(reactor, LiveRegistry(registry(default=True)), stream)
    failed = dhcp.serve([interface(argument) for argument in sys.argv[1:]])
    print("ready" if not failed else f"failed: {failed}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
