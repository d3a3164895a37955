"""What a client says it is called never looks like a listed machine, nor like another client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netbootd.dhcp.message import MessageType, Option
from netbootd.events.lease import Leased

from .servers import CARD, OTHER, Server, machine, message, registry

THIRD = "52:54:00:00:00:77"


def lease_of(server: Server, mac: str, name: str, option: int = Option.HOST_NAME):
    data = name.encode() if option == Option.HOST_NAME else b"\0\0\0" + name.encode()
    said = {int(option): data}
    offer = server.discover(mac, said)
    return server.select(mac, str(offer.reply.yiaddr), options=said)


def names(given) -> set[str]:
    """What all are told of its name."""
    told = {one.hostname for one in given.events if isinstance(one, Leased)}
    return {given.lease.hostname, given.write[0].hostname, *told}


@pytest.mark.parametrize("option", [Option.HOST_NAME, Option.CLIENT_NAME])
@pytest.mark.parametrize("said", ["node1", "NODE1", "node1.example.org"])
def test_a_listed_name_is_its_machines_alone(said, option):
    server = Server(registry(machines=[machine(OTHER, hostname="node1")], default=True))
    assert names(lease_of(server, CARD, said, option)) == {""}
    assert names(lease_of(server, OTHER, "something")) == {"node1"}


def test_the_name_of_an_entry_is_its_machines_alone():
    listed = replace(machine(OTHER), named="node1")
    server = Server(registry(machines=[listed], default=True))
    assert names(lease_of(server, CARD, "node1")) == {""}
    assert names(lease_of(server, OTHER, "node1")) == {"node1"}


def test_of_two_that_are_called_alike_the_first_is():
    server = Server()
    assert names(lease_of(server, CARD, "laptop")) == {"laptop"}
    assert names(lease_of(server, OTHER, "laptop")) == {""}
    assert names(lease_of(server, CARD, "laptop")) == {"laptop"}
    server.ask(_release(server, CARD))
    assert names(lease_of(server, THIRD, "laptop")) == {"laptop"}


def test_nobody_is_what_all_ask_for():
    assert names(lease_of(Server(), CARD, "wpad")) == {""}


def _release(server: Server, mac: str):
    at = next(one.address for one in server.leases if one.hostname == "laptop")
    return message(MessageType.RELEASE, mac, ciaddr=at)
