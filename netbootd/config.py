"""
The daemon's own settings as values: section ``netbootd`` of the configuration, every key optional.

How they are written and read is in ``settings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from netbootd import dhcpoptions, optionshapes, replies
from netbootd.addressing import LeaseTimes, Serving
from netbootd.loaders import NO_CHOICE, Choice


@dataclass(frozen=True, slots=True)
class Tftp:
    """
    ``tftp``: *windowsize* caps the blocks sent before an ACK (RFC 7440), *blksize* their bytes
    (RFC 2348), where a packet could hold as much; with *single_port* all of a transfer leaves
    from *port*.

    *script_for_ipxe* answers iPXE with its script under the loader's own name, for a site whose
    DHCP server names ``undionly.kpxe`` to everybody and cannot be changed.
    """

    enabled: bool = True
    port: int = 69
    windowsize: int = 64
    blksize: int = 65464
    single_port: bool = False
    script_for_ipxe: bool = False


class Mode(Enum):
    """How UDP 67 is heard: by a socket of our own, by a packet socket beside another's, or auto."""

    AUTO = "auto"
    SOCKET = "socket"
    SNOOP = "snoop"


@dataclass(frozen=True, slots=True)
class ProxyDhcp:
    """
    ``proxydhcp``: answers on UDP 67 and 4011 beside the site's own DHCP server.

    *style* is how all firmware is told of its boot file, ``auto`` to leave that to the table;
    *learn* tries another where that was not followed.  *unicast*: a client that does not ask for
    broadcasts gets its offer alone.
    """

    enabled: bool = True
    mode: Mode = Mode.AUTO
    unicast: bool = False
    style: str = replies.AUTO
    learn: bool = True


@dataclass(frozen=True, slots=True)
class Dhcp:
    """
    ``dhcp``: what DHCP does where a subnet does not say it, *mode*, or an interface of its own
    word, *interfaces*.

    The rest counts in every subnet in server mode that says nothing else: lease times in seconds,
    and *options*, encoded, by their codes, beside those that have a word of their own.  *hosts* is
    a file that the names of leases are written to, as in hosts(5); None for none.
    """

    mode: Serving = Serving.PROXY
    interfaces: Mapping[str, Serving] = field(default_factory=dict)
    lease_time: int | None = None
    min_lease_time: int | None = None
    max_lease_time: int | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: Mapping[int, bytes] = field(default_factory=dict)
    hosts: Path | None = None

    @property
    def times(self) -> LeaseTimes:
        """The lease times; what is not said gives way to what is."""
        return LeaseTimes.of(self.lease_time, self.min_lease_time, self.max_lease_time)

    def encoded(self) -> dict[int, bytes]:
        """All options that it says; those under ``options`` over those with a word."""
        found: dict[int, bytes] = {}
        for code, servers in (
            (dhcpoptions.DOMAIN_NAME_SERVERS, self.dns),
            (dhcpoptions.NTP_SERVERS, self.ntp),
        ):
            if servers:
                found[code] = b"".join(one.packed for one in servers)
        if self.domain:
            found[dhcpoptions.DOMAIN_NAME] = self.domain.encode()
        if self.search:
            found[dhcpoptions.DOMAIN_SEARCH] = optionshapes.domains(list(self.search))
        return {**found, **self.options}


@dataclass(frozen=True, slots=True)
class Ddns:
    """
    ``ddns``: the DNS *server* (the primary one, on *port*) that is told the names of leases
    (RFC 2136); None for none.

    *zones* are those that may be changed, forward and reverse ones; *key* is a file with a TSIG key
    as ``tsig-keygen(8)`` writes it, None for none; *ttl* in seconds.
    """

    server: IPv4Address | IPv6Address | None = None
    port: int = 53
    zones: tuple[str, ...] = ()
    key: Path | None = None
    ttl: int = 300


@dataclass(frozen=True, slots=True)
class Guard:
    """
    ``guard``: when a machine is held because it goes in a circle; 0 never holds.

    *loaders*: fetches of one loader within *loaders_within* seconds; *installs*: boots in a row of
    a once-target that never report an end, within *installs_within* seconds.
    """

    enabled: bool = True
    loaders: int = 3
    loaders_within: float = 120.0
    installs: int = 3
    installs_within: float = 7200.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    ``hooks``: what is told that a node is *up*, that it *failed*, that a *lease* begins or ends, or
    that a secret had a second claimant (*alarm*).

    Each a command and its arguments, or one http or https URL; empty for nobody.  *timeout* in
    seconds is what each run has; *environment* the variables of root's that a daemon which root has
    started leaves to them.
    """

    up: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    lease: tuple[str, ...] = ()
    alarm: tuple[str, ...] = ()
    timeout: float = 30.0
    environment: tuple[str, ...] = ()

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """Those that are set."""
        return tuple(one for one in (self.up, self.failed, self.lease, self.alarm) if one)


@dataclass(frozen=True, slots=True)
class Syslog:
    """
    ``syslog``: what nodes send is received on UDP and TCP *port* (RFC 3164, 5424, 6587), what their
    kernels send (netconsole) on UDP *netconsole*, which 0 turns off.

    *senders* are the networks that may send, none for all; *rate* the lines a second that are taken
    of one sender.
    """

    enabled: bool = True
    port: int = 514
    netconsole: int = 6666
    senders: tuple[IPv4Network, ...] = ()
    rate: int = 2000


@dataclass(frozen=True, slots=True)
class Logs:
    """
    ``logs``: lines of JSON in *folder* (None: ``logs`` in the state folder), for at most *days*
    days and *size* MiB.  *original* keeps the raw text beside what was read in it.
    """

    folder: Path | None = None
    days: int = 30
    size: int = 1024
    original: bool = False


@dataclass(frozen=True, slots=True)
class Ship:
    """
    ``ship``: where the lines go as well: *elasticsearch*, one URL or several of one cluster, and
    *logstash*, ``HOST:PORT`` for its tcp input or the URL of its http input.

    *namespace* is that of the data streams (``logs-netbootd.syslog-NAMESPACE``); *credentials* a
    file with one line, ``ApiKey …`` or ``USER:PASSWORD``; *ca* a file with the authorities that
    certificates are checked against, None for the system's.
    """

    elasticsearch: tuple[str, ...] = ()
    logstash: str = ""
    namespace: str = "default"
    credentials: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Boots:
    """``boots``: the record of boots keeps at most *days* days, and *kept* of them."""

    days: int = 90
    kept: int = 100_000


@dataclass(frozen=True, slots=True)
class Pace:
    """
    ``pace``: in a boot storm machines load one after another.

    *at_once* of them, 0 for as many as fill the uplink, of which *uplink* bytes a second may be
    taken (0: all there is); *groups*: and no more than so many of the members of one.
    """

    enabled: bool = False
    at_once: int = 0
    uplink: float = 0.0
    groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tls:
    """
    ``tls``: HTTPS on *port* with the PEM files *certificate* (with whatever signed it behind it;
    None for no HTTPS) and *key* (None: in the same file).

    *old_clients* lets those in that know no forward secrecy, as iPXE before 2024; with *only* the
    page and the API are by HTTPS alone, but for this host itself.
    """

    certificate: Path | None = None
    key: Path | None = None
    port: tuple[int, ...] = (443,)
    old_clients: bool = False
    only: bool = False

    @property
    def ports(self) -> tuple[int, ...]:
        """Where HTTPS is, none where there is no certificate."""
        return self.port if self.certificate else ()

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read for it."""
        return tuple(one for one in (self.certificate, self.key) if one)


@dataclass(frozen=True, slots=True)
class Limits:
    """
    ``limits``: how much there may be at once, in all and of one address: HTTP *connections*, TFTP
    *transfers*, and among these *half_open* ones, to clients that never answered.
    """

    connections: int = 16_384
    connections_of_one: int = 4096
    transfers: int = 10_000
    transfers_of_one: int = 64
    half_open: int = 4096


@dataclass(frozen=True, slots=True)
class Secrets:
    """
    ``secrets``: what is marked ``secret`` is given within *window* seconds of the boot script, and
    only in boots that were *armed*.
    """

    window: float = 900.0
    armed: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """
    All settings; *grace* in seconds, folders absolute or as the tests give them.

    *user* is whom a daemon that root has started becomes; empty for who suits (``privilege``).
    """

    interfaces: tuple[str, ...] = ()
    http_port: tuple[int, ...] = (3000,)
    tls: Tls = field(default_factory=Tls)
    tftp: Tftp = field(default_factory=Tftp)
    proxydhcp: ProxyDhcp = field(default_factory=ProxyDhcp)
    dhcp: Dhcp = field(default_factory=Dhcp)
    ddns: Ddns = field(default_factory=Ddns)
    guard: Guard = field(default_factory=Guard)
    hooks: Hooks = field(default_factory=Hooks)
    syslog: Syslog = field(default_factory=Syslog)
    logs: Logs = field(default_factory=Logs)
    ship: Ship = field(default_factory=Ship)
    boots: Boots = field(default_factory=Boots)
    pace: Pace = field(default_factory=Pace)
    limits: Limits = field(default_factory=Limits)
    secrets: Secrets = field(default_factory=Secrets)
    known_only: bool = False
    files: Path = Path("/srv/netbootd")
    firmware: tuple[Path, ...] = (
        Path("/usr/local/lib/netbootd/firmware"),
        *(Path("/usr/lib", name) for name in ("ipxe", "shim", "grub")),
        *(Path("/usr/lib", name) for name in ("PXELINUX", "SYSLINUX.EFI", "syslinux")),
    )
    state: Path = Path("/var/lib/netbootd")
    loader: Choice = NO_CHOICE
    api_token: Path | None = None
    api_socket: Path | None = None
    api_group: str = ""
    admin_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    web: bool = True
    web_names: tuple[str, ...] = ()
    private: bool = False
    user: str = ""
    grace: float = 30.0

    @property
    def log_folder(self) -> Path:
        """Where the files of the log are."""
        return self.logs.folder or self.state / "logs"


def with_interfaces(config: Config, interfaces: tuple[str, ...]) -> Config:
    """*config* serving other interfaces, as the command line asks."""
    return replace(config, interfaces=interfaces)
