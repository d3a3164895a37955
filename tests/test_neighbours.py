"""What the kernel's neighbour table says of an address, in a network namespace with real entries."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from netbootd.mac import MAC
from netbootd.neighbours import card_of

_SET_UP = """
ip link set lo up
ip link add name v0 type veth peer name v1
ip address add 192.0.2.1/24 dev v0
ip address add 2001:db8::1/64 dev v0 nodad
ip link set v0 up
ip link set v1 up
ip neigh add 192.0.2.5 lladdr 52:54:00:00:00:05 dev v0 nud stale
ip neigh add 192.0.2.7 lladdr 52:54:00:00:00:07 dev v0 nud noarp
ip neigh add 192.0.2.6 dev v0 nud failed
ip neigh add 2001:db8::5 lladdr 52:54:00:00:00:15 dev v0 nud permanent
ip neigh add fe80::5 lladdr 52:54:00:00:00:25 dev v0 nud stale
ip route add default via 192.0.2.5
"""
_ASK = (
    "import json, sys; from netbootd.neighbours import card_at; from threading import Thread\n"
    "found = {}\n"  # in a thread, as the daemon asks
    "def ask(): found.update((one, card_at(one)) for one in sys.argv[1:])\n"
    "thread = Thread(target=ask); thread.start(); thread.join()\n"
    "print(json.dumps({one: [str(tie.card), tie.why] for one, tie in found.items()}))\n"
)
_WANTED = {
    "192.0.2.5": "52:54:00:00:00:05",
    "2001:db8::5": "52:54:00:00:00:15",
    "fe80::5%v0": "52:54:00:00:00:25",
    "192.0.2.6": "no card",
    "192.0.2.7": "no card",
    "192.0.2.8": "no card",
    "127.0.0.1": "no card",
    "10.1.1.1": "behind the router 192.0.2.5",
    "fe80::5%gone": "in vain",
    "2001:db8:1::9": "in vain",
    "nonsense": "in vain",
}


#: By which interface, without a router; there are addresses of ours in the first alone.
_REACHED = {
    "192.0.2.5": "v0",
    "2001:db8::99": "v0",
    "198.51.100.7": "v0",
    "198.51.101.7": "v1",
    "2001:db8:2::7": "v0",
    "203.0.113.7": "",
    "10.1.1.1": "",
    "192.0.2.1": "",
    "2001:db8:3::1": "",
}
_ROUTES = """
ip route add 198.51.100.0/24 dev v0
ip route add 198.51.101.0/24 dev v1
ip route add 203.0.113.0/24 via 192.0.2.5
ip -6 route add 2001:db8:2::/64 dev v0
"""
_REACH = (
    "import json, sys\n"
    "from netbootd.listening import Served\n"
    "from netbootd.neighbours import interface_to\n"
    'served = Served(names=frozenset(["v0"]))\n'
    "told = {one: [interface_to(one), served.link(one)] for one in sys.argv[1:]}\n"
    "print(json.dumps(told))\n"
)


def asked(code, addresses, routes=""):
    """What the program *code* prints of *addresses* in a network namespace of its own."""
    script = f"set -e; {_SET_UP} {routes} exec \"$0\" -c '{code}' {' '.join(addresses)}"
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_the_kernel_tells_what_is_reached_without_a_router():
    for address, (name, served) in asked(_REACH, _REACHED, _ROUTES).items():
        assert name == _REACHED[address], address
        assert served == ("v0" if name == "v0" else ""), address


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_the_kernel_tells_who_has_an_address():
    found = asked(_ASK, _WANTED)
    for address, wanted in _WANTED.items():
        card, why = found[address]
        assert wanted == card or (card == "None" and wanted in why), (address, card, why)


@pytest.mark.parametrize(
    ("link", "card"),
    [
        ("52:54:00:00:00:05", "52:54:00:00:00:05"),
        ("80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0e:8a:b1", "00:02:c9:0e:8a:b1"),
        ("ff:ff:ff:ff:ff:ff", None),
        ("00:00:00:00:00:00", None),
        ("7f:00:00:01", None),
    ],
)
def test_a_link_layer_address_is_a_card_or_nobodys(link, card):
    assert card_of(link) == (MAC.parse(card) if card else None)
