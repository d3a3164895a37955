"""
What listens, kept in step with the configuration and the interfaces: what should be listening minus
what is listening is started, the rest stopped, and a socket that did not change never closes.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from netbootd import banner, neighbours, ports
from netbootd import interfaces as networks
from netbootd.addressing import Serving
from netbootd.banner import Socket
from netbootd.config import Config
from netbootd.dhcp.destination import Port
from netbootd.dhcp.service import DhcpService
from netbootd.dhcp6 import service as dhcp6
from netbootd.dhcp6.service import Dhcp6Service
from netbootd.errors import PortError
from netbootd.events.progress import Progress
from netbootd.http.guests import Most
from netbootd.http.local import SOCKET
from netbootd.http.service import HttpService
from netbootd.interfaces import Interface, Network
from netbootd.leasing import Leasing
from netbootd.nodelogs import NodeLogs
from netbootd.opener.client import NotOpened
from netbootd.registry.snapshot import Registry
from netbootd.tftp.limits import Limits
from netbootd.tftp.port import Listener
from netbootd.tftp.service import TftpService


@dataclass(slots=True)
class Served:
    """
    The *addresses* of ours where connections are welcome, *networks* around them by the names of
    their interfaces, *names* of these, and *own*, all addresses of this host.
    """

    addresses: frozenset[str] = frozenset()
    networks: tuple[tuple[str, IPv4Network | IPv6Network], ...] = ()
    names: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def link(self, address: str) -> str:
        """
        The interface on whose cable *address* is; empty for none.

        A network may be on a cable by a route alone: the kernel is asked for that.
        """
        there = ip_address(address)
        if name := next((name for name, network in self.networks if there in network), ""):
            return name
        name = "" if there.is_link_local else neighbours.interface_to(address)
        return name if name in self.names else ""

    def is_ours(self, address: str) -> bool:
        """Whether *address* is this host's."""
        return address in self.own

    def take(self, interfaces: Sequence[Interface], everywhere: Sequence[Interface]) -> None:
        """Only *interfaces* are served, of those *everywhere* on this host."""
        self.addresses = frozenset(
            str(address) for interface in interfaces for address in _addresses_of(interface)
        )
        self.networks = tuple(
            (interface.name, network)
            for interface in interfaces
            if not interface.loopback
            for network in _networks_of(interface)
        )
        self.names = frozenset(one.name for one in interfaces if not one.loopback)
        self.own = frozenset(
            str(address) for interface in everywhere for address in _addresses_of(interface)
        )

    def __contains__(self, address: str) -> bool:
        """Whether a connection to this address of ours came by an interface that is served."""
        plain = address.partition("%")[0]  # a link-local one may have a scope
        return plain in self.addresses or ip_address(plain).is_loopback


@dataclass(slots=True)
class Listening:
    """The services that have sockets; *served* is kept for those who are asked by strangers."""

    dhcp: DhcpService
    tftp: TftpService
    http: HttpService
    logs: NodeLogs
    served: Served
    leasing: Leasing
    dhcp6: Dhcp6Service
    #: What there is to be of DHCP, as the banner calls it.
    dhcp_services: tuple[str, ...] = ()
    _servers: frozenset[str] = frozenset()
    _servers6: frozenset[str] = frozenset()
    _holders: dict[str, str] = field(default_factory=dict)

    def reconcile(
        self, registry: Registry, network: Network
    ) -> tuple[tuple[Interface, ...], list[str]]:
        """Listen as *registry* wants it on *network*: the interfaces, and what cannot be had."""
        ours = _addresses(registry)
        found, missing = networks.served(
            network.interfaces, registry.config.interfaces, ours, network.default_route
        )
        interfaces = tuple(
            _with_listed_ipv6(_boot_server_first(interface, ours), registry) for interface in found
        )
        self.served.take(interfaces, network.interfaces)
        troubles = [f"{name}: {reason}" for name, reason in missing]
        troubles += self._serve_dhcp(registry, interfaces)
        troubles += self._serve_dhcp6(registry, interfaces)
        troubles += self._serve_tftp(registry.config, interfaces)
        troubles += self._serve_http(registry.config, interfaces)
        troubles += self._serve_socket(registry.config)
        troubles += self._serve_logs(interfaces)
        return interfaces, troubles

    def sockets(self) -> list[Socket]:
        """What is listened on."""
        sockets = [self._dhcp_socket(interface.name) for interface in self.dhcp.interfaces]
        sockets += [
            banner.dhcpv6(interface.name, serves=interface.name in self._servers6)
            for interface in self.dhcp6.interfaces
        ]
        sockets += [
            Socket("TFTP", f"UDP {port} on {address}")
            for address, port in self.tftp.addresses.items()
        ]
        sockets += [Socket("HTTP", f"TCP {port}") for port in self.http.ports]
        sockets += [Socket("HTTPS", f"TCP {port}") for port in self.http.secure_ports]
        return sockets + self.logs.sockets()

    def transfers(self) -> list[Progress]:
        """What is being fetched."""
        return [*self.tftp.transfers(), *self.http.transfers()]

    def _dhcp_socket(self, name: str) -> Socket:
        if name in self._servers:
            return banner.dhcp_server(name)
        return banner.proxydhcp(name, self._holders.get(name))

    def _serve_dhcp(self, registry: Registry, interfaces: tuple[Interface, ...]) -> list[str]:
        config = registry.config
        servers, wanted = _roles(registry, interfaces)
        self._servers = servers
        proxying = config.proxydhcp.enabled and len(servers) < max(len(wanted), 1)
        self.dhcp_services = (
            *((banner.DHCP_SERVER,) if servers else ()),
            *((banner.PROXY,) if proxying else ()),
        )
        self.leasing.serve(servers, self.served.addresses)
        failed = self.dhcp.serve(wanted, config.proxydhcp.mode, servers)
        # Looked up once: who had the port when we began to share it.
        self._holders = {
            name: self._holders.get(name) or ports.holder_of("udp", Port.DHCP)
            for name in self.dhcp.snooped
        }
        return [
            _dhcp_trouble(interface.name, problem, interface.name in servers)
            for interface, problem in failed
        ]

    def _serve_dhcp6(self, registry: Registry, interfaces: tuple[Interface, ...]) -> list[str]:
        """
        A port that another program has is a trouble only where we give addresses: beside a server
        of this host there is nothing for us to do.
        """
        wanted = [one for one in interfaces if dhcp6.takes_part(registry, one, interfaces)]
        servers = frozenset(one.name for one in wanted if dhcp6.gives(registry, one, interfaces))
        self._servers6 = servers
        self.leasing.serve6(servers)
        return [
            _trouble(f"DHCPv6 on {interface.name}", problem, "udp", problem.port, "dhcp")
            for interface, problem in self.dhcp6.serve(wanted)
            if interface.name in servers
        ]

    def _serve_tftp(self, config: Config, interfaces: tuple[Interface, ...]) -> list[str]:
        self.tftp.limits = tftp_limits(config)
        self.tftp.grace_s = config.grace
        listeners = [
            Listener(address, interface.name, interface.mtu, config.tftp.port)
            for interface in (interfaces if config.tftp.enabled else ())
            for address in _addresses_of(interface)
        ]
        return [
            _trouble(f"TFTP on {listener.address}", problem, "udp", listener.port, "tftp")
            for listener, problem in self.tftp.listen_on(listeners)
        ]

    def _serve_http(self, config: Config, interfaces: tuple[Interface, ...]) -> list[str]:
        self.http.limit(Most(config.limits.connections, config.limits.connections_of_one))
        failed = self.http.listen(config.http_port)
        by_ipv6 = any(interface.reaches6 for interface in interfaces)
        failed += self.http.listen6(config.http_port if by_ipv6 else ())
        refused = self.http.listen_securely(config.tls.ports, by_ipv6=by_ipv6)
        return [
            *(
                _trouble(f"HTTP on port {port}", problem, "tcp", port, "http_port")
                for port, problem in failed
            ),
            *(
                _trouble(f"HTTPS on port {port}", problem, "tcp", port, "tls.port")
                for port, problem in refused
            ),
            *([self.http.secure.trouble] if self.http.secure.trouble else []),
        ]

    def _serve_socket(self, config: Config) -> list[str]:
        file = config.api_socket or config.state / SOCKET
        problem = self.http.listen_locally(file, config.api_group)
        why = problem and (problem.strerror or str(problem))
        return [f"the API's socket {file}: {why}"] if problem else []

    def _serve_logs(self, interfaces: tuple[Interface, ...]) -> list[str]:
        return [
            _trouble(
                f"{one.service} on {one.address}",
                problem,
                one.protocol,
                one.port,
                "syslog.port" if one.service == "syslog" else "syslog.netconsole",
            )
            for one, problem in self.logs.serve(interfaces)
        ]


def tftp_limits(config: Config) -> Limits:
    """What the settings say of transfers."""
    tftp, limits = config.tftp, config.limits
    return Limits(
        windowsize=tftp.windowsize,
        blksize=tftp.blksize,
        single_port=tftp.single_port,
        transfers=limits.transfers,
        per_client=limits.transfers_of_one,
        half_open=limits.half_open,
    )


def _roles(
    registry: Registry, interfaces: tuple[Interface, ...]
) -> tuple[frozenset[str], list[Interface]]:
    """Where we are the DHCP server, and where anything of DHCP is to be heard."""
    everywhere = [address for interface in interfaces for address in interface.addresses]
    servers = frozenset(
        interface.name
        for interface in interfaces
        if registry.serves(interface.name, interface.addresses, everywhere)
    )
    off, proxying = registry.config.dhcp.interfaces, registry.config.proxydhcp.enabled
    wanted = [
        one
        for one in interfaces
        if one.name in servers or (proxying and off.get(one.name) is not Serving.OFF)
    ]
    return servers, wanted


def _dhcp_trouble(name: str, problem: PortError, serves: bool) -> str:
    what, setting = (f"DHCP server on {name}", "dhcp") if serves else ("", "")
    return _trouble(
        what or f"ProxyDHCP on {name}", problem, "udp", problem.port, setting or "proxydhcp"
    )


def _trouble(what: str, problem: OSError, protocol: ports.Protocol, port: int, setting: str) -> str:
    """A socket that cannot be had, in words for the operator."""
    if problem.errno == errno.EADDRINUSE:
        return ports.explain_taken(protocol, port, None, setting)
    for told in (problem, problem.__cause__):
        if isinstance(told, NotOpened):
            return f"{what}: {told.strerror}"
    if problem.errno in (errno.EACCES, errno.EPERM):
        return f"{what}: not allowed; it needs root, or CAP_NET_BIND_SERVICE and CAP_NET_RAW"
    return f"{what}: {problem.strerror or problem}"


def _addresses(registry: Registry) -> set[IPv4Address]:
    """The addresses that the configuration calls boot servers; names are not looked up."""
    found = set()
    for server in registry.servers.values():
        with contextlib.suppress(ValueError):
            found.add(IPv4Address(urlsplit(server).hostname or ""))
    return found


def _with_listed_ipv6(interface: Interface, registry: Registry) -> Interface:
    """
    With those addresses of IPv6 that are in a network of ``subnets``, and the link-local one then.

    A host may have some that the whole Internet reaches, of which its admin never thought when he
    wrote down who is served.
    """
    nets = {one: registry.subnets.of(str(one.ip)) for one in interface.addresses6}
    listed = {one for one, net in nets.items() if net.network and net.served}
    near = {one for one in nets if listed and one.is_link_local}
    return replace(interface, addresses6=tuple(one for one in nets if one in listed | near))


def _addresses_of(interface: Interface) -> tuple[IPv4Address | IPv6Address, ...]:
    """What is served."""
    of_ipv6 = (one.ip for one in interface.addresses6)
    return (*(one.ip for one in interface.addresses), *of_ipv6)


def _networks_of(interface: Interface) -> tuple[IPv4Network | IPv6Network, ...]:
    of_ipv6 = (one.network for one in interface.addresses6)
    return (*(one.network for one in interface.addresses), *of_ipv6)


def _boot_server_first(interface: Interface, addresses: set[IPv4Address]) -> Interface:
    """Of several addresses, the one that the configuration names is the one to answer from."""
    ordered = sorted(interface.addresses, key=lambda address: address.ip not in addresses)
    return replace(interface, addresses=tuple(ordered))
