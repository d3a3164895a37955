"""
Who may change things over the network: whoever sends an API token (RFC 6750, 2.1; the challenge is
of 3), from where no machines boot.

A network on which machines boot is one where anybody's system runs, and where whoever listens hears
a token that is sent in clear.  So nothing is changed from there, whatever comes with the request,
unless ``admin_networks`` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address

from netbootd.api.no import No
from netbootd.http.audit import Audit
from netbootd.http.keyring import Keyring
from netbootd.http.resource import Asked
from netbootd.registry.live import LiveRegistry

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="netbootd"'}


def nowhere(_address: str) -> str:
    """No interface: what is known of networks where nobody looked."""
    return ""


class Authority:
    """
    *live* has the settings, and knows who boots where.

    ``link`` names the interface on whose network an address is, empty for none; ``is_ours`` tells
    whether it is this host's.  ``host_names`` are this host's own, in lower case.
    """

    def __init__(
        self,
        live: LiveRegistry,
        audit: Audit | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self.live = live
        self.audit = audit or Audit()
        self.keyring = keyring or Keyring()
        self.link: Callable[[str], str] = nowhere
        self.is_ours: Callable[[str], bool] = lambda _: False
        self.host_names: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """What browsers may call us, in lower case."""
        return self.host_names.union(self.live.snapshot.config.web_names)

    # -- tokens --------------------------------------------------------------------------------

    def holder(self, asked: Asked) -> str:
        """The name of the token that comes with the request; empty for none that counts."""
        given = given_by(asked)
        return self.keyring.tokens.name_of(given) if given else ""

    def must_have_token(self, asked: Asked) -> str:
        """
        The name of the token that comes with the request; raises No.

        A wrong one costs who sent it this try and nothing more, however many there were: the right
        one may come from the same address, a gateway's, and 256 random bits are found by nobody who
        tries.  The audit has the tries.
        """
        if name := self.holder(asked):
            return name
        if not self.keyring.tokens.digests:
            told = "netbootd has no API token: 'netbootd token new' on the boot server makes one"
            raise No(HTTPStatus.SERVICE_UNAVAILABLE, "no-token", told)
        if not given_by(asked):
            told = "needs an API token: Authorization: Bearer TOKEN"
            raise No(HTTPStatus.UNAUTHORIZED, "token-missing", told, headers=CHALLENGE)
        told = "not an API token; 'netbootd token new' on the boot server makes one"
        raise No(HTTPStatus.UNAUTHORIZED, "token-wrong", told, headers=CHALLENGE)

    # -- networks ------------------------------------------------------------------------------

    def must_be_elsewhere(self, asked: Asked) -> None:
        """Raise No to who would change something from a network where machines boot."""
        if asked.uid is not None or not (where := self._boots_at(asked)):
            return
        told = (
            f"{asked.peer} is {where}, and nothing is changed from where machines boot; ask from "
            "another network, by the commands on the boot server, or put into section netbootd of "
            f'the configuration: "admin_networks" : ["{_plain(asked.peer)}"]'
        )
        raise No(HTTPStatus.FORBIDDEN, "boot-network", told)

    def _boots_at(self, asked: Asked) -> str:
        """Where the peer is among machines that boot, in words; empty for elsewhere."""
        peer = _plain(asked.peer)
        registry = self.live.snapshot
        try:
            address = ip_address(peer)
        except ValueError:
            return "no address"
        if self._may(address) or peer == _plain(asked.here[0]) or self.is_ours(peer):
            return ""
        if name := self.link(peer):
            return f"on the network of {name}"
        if address.is_link_local:
            return "on a network of this host"
        subnet = registry.subnets.of(peer)
        if subnet.network is not None:
            return f"in subnet {subnet.name}"
        if registry.by_address(peer) is not None or self.live.record.at(peer)[0]:
            return "the address of a machine"
        return ""

    def _may(self, address: IPv4Address | IPv6Address) -> bool:
        networks = self.live.snapshot.config.admin_networks
        return address.is_loopback or any(address in network for network in networks)


def given_by(asked: Asked) -> str:
    """The token that comes with the request, whether it counts or not."""
    scheme, _, token = asked.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _plain(address: str) -> str:
    """Without the scope that a link-local one may have."""
    return address.partition("%")[0]
