"""
DhcpService alone in a process, for tests on the wire: ``python -m tests.dhcp.lone_service``.

Each argument is an interface with its addresses, ``eth0=192.0.2.1/24,192.0.2.2/24``, or a setting
of ProxyDHCP: ``mode=snoop``, ``unicast``.  Prints ``ready``, then every event.  With ``gives=ADDRESS``
its offers give that address, as those of a server that has addresses.
"""

import socket
import sys
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from twisted.internet import reactor

from netbootd.config import Mode, ProxyDhcp
from netbootd.dhcp import proxy
from netbootd.dhcp.service import DhcpService
from netbootd.events.stream import Stream
from netbootd.interfaces import Interface
from netbootd.registry.live import LiveRegistry

from .registries import registry


def interface(text: str) -> Interface:
    name, _, addresses = text.partition("=")
    parsed = tuple(IPv4Interface(address) for address in addresses.split(","))
    return Interface(name, socket.if_nametoindex(name), 1500, up=True, addresses=parsed)


def give(address: str) -> None:
    """Offers as they would be if addresses were ours to give."""
    answer = proxy.answer

    def giving(*arguments, **more):
        got = answer(*arguments, **more)
        if not isinstance(got, proxy.Answer):
            return got
        return replace(got, reply=got.reply._replace(yiaddr=IPv4Address(address)))

    proxy.answer = giving


def main() -> None:
    words = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    mode = Mode(words.pop("mode", "auto"))
    settings = ProxyDhcp(mode=mode, unicast=words.pop("unicast", None) is not None)
    if address := words.pop("gives", ""):
        give(address)
    stream = Stream(lambda problem: print(repr(problem), flush=True))
    stream.subscribe(lambda event: print(event, flush=True))
    live = LiveRegistry(registry(default=True, proxydhcp=settings))
    dhcp = DhcpService(reactor, live, stream)
    failed = dhcp.serve([interface(f"{name}={of}") for name, of in words.items()], mode)
    print("ready" if not failed else f"failed: {failed}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
