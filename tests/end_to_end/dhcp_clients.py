"""
Other people's DHCP clients in the lab: dhclient, udhcpc, dhcpcd and systemd-networkd.

Each runs as on a computer of its own: its card is in a namespace, and so are the files that it and
its scripts write, which stay in a folder of the lab to be read.  What a client was given is asked
of the kernel and of those files, not of what it says.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import neighbours
from tests.end_to_end.lab import Lab
from tests.end_to_end.packets import Packets
from tests.end_to_end.process import Process

NETWORKD = Path("/lib/systemd/systemd-networkd")

#: What of /etc programs and scripts look into.
ETC = ("group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "passwd", "protocols")

#: $1: a folder with "etc", "lib" and "run"; $2: the name of the computer; then the command.
#: networkd waits for udev to name the card, unless /sys cannot be written: as in a container.
OWN_FILES = """
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
mount --bind "$1/run" /run
mount -t sysfs -o ro sysfs /sys
hostname "$2"
shift 2
exec "$@"
"""

#: The script of a client that keeps what it was told before the client's own script ($REAL) runs.
KEEPING = """#!/bin/sh
[ -z "${ip:-$new_ip_address}" ] || { env > "$FOLDER/told.new"; mv "$FOLDER/told.new" "$FOLDER/told"; }
exec "$REAL" "$@"
"""


class Host:
    """
    A computer *place* that calls itself *name*, with the card *mac* on *segment* and no address.
    """

    def __init__(
        self, lab: Lab, place: str, mac: str, *, segment: str = "lan", name: str = "node"
    ) -> None:
        self.lab, self.place, self.mac, self.name = lab, place, mac, name
        self.folder = lab.folder / place
        self.folder.mkdir()
        # networkd gives up root's rights before it writes there.
        for folder in ("etc", "lib", "lib/dhcp", "lib/dhcpcd", "run"):
            (self.folder / folder).mkdir()
        for file in ETC:
            source = Path("/etc") / file
            if source.is_dir():
                shutil.copytree(source, self.etc / file)
            elif source.exists():
                shutil.copy(source, self.etc)
        for file in ("fstab", "resolv.conf"):
            (self.etc / file).touch()
        lab.plug(place, "192.0.2.254")
        lab.ip(place, "addr flush dev eth0")
        lab.ip(place, f"link set eth0 address {mac}")
        if segment != "lan":
            self.move(segment)

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    def move(self, segment: str) -> None:
        """Pull the cable, and put it into another network."""
        port = f"eth0-{self.place}"
        self.lab.ip("switch", f"link set {port} down")
        self.lab.ip("switch", f"link set {port} master {segment} up")

    def spawn(self, *argv: str) -> Process:
        """Run *argv* here, with files of its own."""
        own = ("unshare", "--mount", "--uts", "sh", "-ec", OWN_FILES, "sh")
        return self.lab.spawn(self.place, *own, str(self.folder), self.name, *argv)

    def capture(self) -> Cable:
        """All that passes on its cable from now on."""
        return Cable(self.lab, f"eth0-{self.place}")

    def script(self, real: Path) -> str:
        """A script for a client that keeps what it is told, and then does what *real* does."""
        script = self.folder / "script"
        script.write_text(KEEPING.replace("$REAL", str(real)).replace("$FOLDER", str(self.folder)))
        script.chmod(0o755)
        return str(script)

    def address(self) -> str:
        """Its address and the length of the network's prefix, as the kernel has them; or empty."""
        cards = self._json("address show dev eth0")
        found = [
            f"{one['local']}/{one['prefixlen']}" for card in cards for one in card["addr_info"]
        ]
        return found[0] if found else ""

    def mtu(self) -> int:
        """Bytes of a packet, as the kernel has it for the card, or for the routes by it."""
        by_route = [
            metrics["mtu"]
            for route in self._json("route show")
            for metrics in route.get("metrics", ())
            if "mtu" in metrics
        ]
        (card,) = json.loads(self.lab.run(self.place, "ip", "-j", "link", "show", "dev", "eth0"))
        return min([card["mtu"], *by_route])

    def routes(self) -> dict[str, str]:
        """Network to gateway, of those that have one."""
        routes = self._json("route show")
        return {route["dst"]: route["gateway"] for route in routes if "gateway" in route}

    def resolver(self) -> dict[str, list[str]]:
        """The words of its resolv.conf behind each first one."""
        found: dict[str, list[str]] = {}
        for line in (self.etc / "resolv.conf").read_text().splitlines():
            word, *rest = line.split() or [""]
            found.setdefault(word, []).extend(rest)
        return found

    def _json(self, words: str) -> Any:
        return json.loads(self.lab.run(self.place, "ip", "-j", "-4", *words.split()) or "[]")


class Cable:
    """What passes on *port* of the switch, while the lab is there."""

    def __init__(self, lab: Lab, port: str) -> None:
        self._file = lab.folder / f"{port}.pcap"
        capture = lab.spawn(
            *("switch", "tcpdump", "-i", port, "--immediate-mode", "-U", "-Z", "root"),
            *("-w", str(self._file), "udp port 67 or udp port 68"),
        )
        capture.wait_for("listening on", 10)

    def packets(self) -> Packets:
        return Packets(self._file.read_bytes())


@dataclass(frozen=True, eq=False)
class Client:
    """
    A program that *start* runs on a host; its text matches *bound* when it has an address.

    It keeps what it was told in *file*, a pattern below the host's folder, one ``NAME=value`` a
    line; *names* are its words for those of DHCP.
    """

    name: str
    start: Callable[..., Process]
    bound: str
    file: str
    names: Mapping[str, str]

    def told(self, host: Host) -> dict[str, list[str]]:
        """What it knows from DHCP, by the keys of *names*; each a list of words."""
        (file,) = host.folder.glob(self.file)
        lines = (line.partition("=") for line in file.read_text().splitlines())
        said = {name: value for name, _, value in lines}
        found = {word: said.get(name, "").replace(",", " ") for word, name in self.names.items()}
        return {word: [one.rstrip(".") for one in value.split()] for word, value in found.items()}


def _dhclient(host: Host, *options: str) -> Process:
    """
    It asks again every second or two: by itself it doubles the pause, and so may pass over the
    whole time in which a short lease is to be bound again.
    """
    shutil.copytree(neighbours.file("etc/dhcp"), host.etc / "dhcp", dirs_exist_ok=True)
    with (host.etc / "dhcp" / "dhclient.conf").open("a") as settings:
        settings.write("initial-interval 1;\nbackoff-cutoff 2;\n")
    return host.spawn(
        *(str(neighbours.file("sbin/dhclient")), "-4", "-d", "-v", "eth0"),
        *("-sf", host.script(neighbours.file("sbin/dhclient-script"))),
        *("-lf", "/var/lib/dhcp/leases", "-pf", "/run/dhclient.pid", *options),
    )


def _udhcpc(host: Host, *options: str) -> Process:
    script = host.script(neighbours.file("etc/udhcpc/default.script"))
    more = [word for name in ("mtu", "search", "staticroutes", "ntpsrv") for word in ("-O", name)]
    return host.spawn("busybox", "udhcpc", "-f", "-i", "eth0", "-s", script, *more, *options)


def _dhcpcd(host: Host, *options: str) -> Process:
    """Without its five seconds of asking who else has the address, unless *options* say more."""
    hooks = neighbours.file("lib/dhcpcd/dhcpcd-run-hooks")
    own = host.folder / "dhcpcd-run-hooks"
    own.write_text(hooks.read_text().replace("/usr/lib/dhcpcd", str(hooks.parent)))
    own.chmod(0o755)
    settings = neighbours.file("etc/dhcpcd.conf").read_text()
    (host.etc / "dhcpcd.conf").write_text(f"{settings}\noption ntp_servers\n")
    program = str(neighbours.file("sbin/dhcpcd"))
    always = ("-4", "-B", "-d", "--nodelay", "-c", host.script(own))
    return host.spawn(program, *always, *(options or ("--noarp",)), "eth0")


def _networkd(host: Host, *settings: str) -> Process:
    if not NETWORKD.exists():
        pytest.skip("systemd-networkd is not installed")
    (host.etc / "machine-id").write_text(f"{host.mac.replace(':', ''):0>32}\n")
    network = host.etc / "systemd" / "network" / "eth0.network"
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text("\n".join((*NETWORK, *settings, "")))
    for folder in ("links", "leases", "lldp"):
        (host.folder / "run/systemd/netif" / folder).mkdir(parents=True, exist_ok=True)
    for path in (host.folder / "run/systemd").rglob("*"):
        shutil.chown(path, "systemd-network")
    return host.spawn(
        *("env", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console", str(NETWORKD))
    )


NETWORK = (
    *("[Match]", "Name=eth0"),
    *("[Network]", "DHCP=ipv4", "IPv6AcceptRA=no", "LinkLocalAddressing=no"),
    *("[DHCPv4]", "UseDomains=yes", "UseMTU=yes"),
)

_NEW = {
    "address": "new_ip_address",
    "server": "new_dhcp_server_identifier",
    "seconds": "new_dhcp_lease_time",
    "router": "new_routers",
    "dns": "new_domain_name_servers",
    "domain": "new_domain_name",
    "search": "new_domain_search",
    "ntp": "new_ntp_servers",
    "hostname": "new_host_name",
    "mtu": "new_interface_mtu",
}

DHCLIENT = Client("dhclient", _dhclient, r"bound to (\S+) --", "told", _NEW)
DHCPCD = Client("dhcpcd", _dhcpcd, r"leased (\S+) for", "told", _NEW)
UDHCPC = Client(
    "udhcpc",
    _udhcpc,
    r"lease of (\S+) obtained",
    "told",
    {
        "address": "ip",
        "server": "serverid",
        "seconds": "lease",
        "router": "router",
        "dns": "dns",
        "domain": "domain",
        "search": "search",
        "ntp": "ntpsrv",
        "hostname": "hostname",
        "mtu": "mtu",
    },
)
SYSTEMD = Client(
    "networkd",
    _networkd,
    r"DHCPv4 address (\S+)/\d+(?:, gateway \S+)? acquired from",
    "run/systemd/netif/leases/*",
    {
        "address": "ADDRESS",
        "server": "SERVER_ADDRESS",
        "seconds": "LIFETIME",
        "router": "ROUTER",
        "dns": "DNS",
        "domain": "DOMAINNAME",
        "search": "DOMAIN_SEARCH_LIST",
        "ntp": "NTP",
        "hostname": "HOSTNAME",
        "mtu": "MTU",
    },
)
CLIENTS = (DHCLIENT, UDHCPC, DHCPCD, SYSTEMD)
