"""The unit as systemd itself judges it, and as it must agree with the daemon's defaults."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from netbootd.cli import _parser
from netbootd.config import Config
from netbootd.dhcp.destination import Port
from netbootd.dhcp6.sockets import SERVER
from netbootd.opener.client import VARIABLE
from netbootd.tftp import port as tftp
from netbootd.usual import DEFAULT_FILE

from .unit import FOLDER, OPENER, SOCKET, UNIT, settings

#: Of 10; systemd-analyze(1), "security".  The opener has the capabilities that the daemon has not.
MOST_EXPOSED = {UNIT: 1.1, OPENER: 1.6}


def one(name, unit=UNIT):
    (value,) = settings(unit)[name]
    return value


def systemd(program, *arguments):
    """Run one of systemd's tools; both outputs together."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: systemd)")
    return subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


# --- as systemd judges it ------------------------------------------------------------------------


def test_systemd_finds_nothing_wrong(tmp_path):
    """With a program that exists, since ours need not be installed where the tests run."""
    units = [tmp_path / unit.name for unit in (UNIT, OPENER, SOCKET)]
    for unit in units:
        text = (FOLDER / unit.name).read_text()
        unit.write_text(text.replace("=/usr/local/bin/netbootd ", "=/bin/true "))
    verdict = systemd("systemd-analyze", "verify", "--man=no", *units)
    if "Failed to initialize manager" in verdict.stdout:
        pytest.skip(f"systemd-analyze cannot verify here: {verdict.stdout.strip()}")
    names = [unit.name for unit in units]
    complaints = [
        line for line in verdict.stdout.splitlines() if any(name in line for name in names)
    ]
    assert (verdict.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", MOST_EXPOSED, ids=lambda unit: unit.name)
def test_exposure_is_low(unit):
    verdict = systemd("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    if "unrecognized option" in verdict.stdout:
        pytest.skip("systemd-analyze is older than 250 and does not know --offline")
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict.stdout)
    assert level, verdict.stdout
    assert float(level[1]) <= MOST_EXPOSED[unit], verdict.stdout


def test_the_user_can_be_made():
    verdict = systemd("systemd-sysusers", "--dry-run", FOLDER / "netbootd.sysusers.conf")
    assert verdict.returncode == 0, verdict.stdout


# --- what was decided ----------------------------------------------------------------------------


def test_the_daemon_has_no_capability():
    assert one("CapabilityBoundingSet") == ""
    assert "AmbientCapabilities" not in settings()
    assert one("PrivateUsers") == "yes"


@pytest.mark.parametrize("name", ["CapabilityBoundingSet", "AmbientCapabilities"])
def test_the_opener_has_two_and_no_more(name):
    assert set(one(name, OPENER).split()) == {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}


def test_the_daemon_asks_where_the_opener_is_asked():
    path = one("ListenSequentialPacket", SOCKET)
    assert f"{VARIABLE}={path}" in settings()["Environment"]
    assert one("SocketUser", SOCKET) == one("User")
    assert one("SocketMode", SOCKET) == "0600"
    for name in ("Wants", "After"):
        words = " ".join(settings()[name]).split()
        assert {SOCKET.name, OPENER.name} <= set(words)
    assert one("Requires", OPENER) == SOCKET.name


def test_the_opener_opens_what_is_served_by_default():
    program, command, *ports = shlex.split(one("ExecStart", OPENER))
    assert (program, command, ports[-1]) == ("/usr/local/bin/netbootd", "opener", "$PORTS")
    usual = {f"udp:{port}" for port in (Port.DHCP, tftp.PORT, SERVER)}
    logs = {f"{kind}:{socket.getservbyname('syslog', 'udp')}" for kind in ("udp", "tcp")}
    web = {f"tcp:{socket.getservbyname(name, 'tcp')}" for name in ("http", "https")}
    assert set(ports[:-1]) == usual | logs | web
    assert one("Environment", OPENER) == "PORTS="
    assert _parser().parse_args([command, *ports[:-1]]).ports[0] == ("udp", 67)


def test_the_way_back_is_written_in_the_unit():
    """The lines of the drop-in have nothing wrong, and give back what there was."""
    lines = UNIT.read_text().splitlines()
    at = lines.index("#[Service]")
    drop_in = [line.removeprefix("#") for line in lines[at + 1 : at + 5]]
    given = dict(line.split("=", 1) for line in drop_in)
    rights = "CAP_NET_BIND_SERVICE CAP_NET_RAW"
    assert given == {
        **{"AmbientCapabilities": rights, "CapabilityBoundingSet": rights},
        **{"RestrictAddressFamilies": "AF_PACKET", "PrivateUsers": "no"},
    }


def test_every_unit_is_installed():
    text = (FOLDER.parent / "tools" / "install").read_text()
    for unit in FOLDER.iterdir():
        assert re.search(rf"\b{re.escape(unit.name)}\b", text), unit.name


def test_the_installer_finds_the_program_whatever_the_path_is():
    """That of a chroot, or of cron, has no /usr/local/bin."""
    text = (FOLDER.parent / "tools" / "install").read_text()
    assert not re.search(r"^netbootd ", text, re.MULTILINE)
    assert '"$home/bin/netbootd" check' in text


def test_the_network_is_not_waited_for():
    order = [name for name in settings() if name in ("After", "Wants", "Requires", "BindsTo")]
    assert not any("network" in value for name in order for value in settings()[name])
    assert not any(name.startswith("ExecStartPre") for name in settings())


def test_packet_sockets_are_the_opener_s():
    families = {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"}
    assert set(one("RestrictAddressFamilies").split()) == families
    assert set(one("RestrictAddressFamilies", OPENER).split()) == {
        "AF_UNIX",
        "AF_PACKET",
        "AF_INET",
    }


def test_a_dhcp_server_of_this_host_takes_its_port_first():
    assert {"dnsmasq.service", "kea-dhcp4-server.service"} <= set(settings()["After"][0].split())


def test_the_type_is_known_to_systemd_252():
    assert one("Type") == "notify"
    assert one("ExecReload") == "/bin/kill -HUP $MAINPID"


def test_the_watchdog_waits():
    assert int(one("WatchdogSec")) > 0


# --- as the daemon has it ------------------------------------------------------------------------


def test_the_daemon_takes_the_command():
    program, *arguments = shlex.split(one("ExecStart"))
    assert program == "/usr/local/bin/netbootd"
    assert _parser().parse_args(arguments).config == DEFAULT_FILE


def test_running_transfers_get_their_grace():
    assert int(one("TimeoutStopSec")) > Config().grace


def test_the_folders_are_the_default_ones():
    assert Path("/etc", one("ConfigurationDirectory")) == DEFAULT_FILE.parent
    assert Path("/var/lib", one("StateDirectory")) == Config().state
    assert f"d {Config().files} " in (FOLDER / "netbootd.tmpfiles.conf").read_text()


def test_the_user_is_the_one_that_is_made():
    assert one("User") == one("Group") == "netbootd"
    assert "\nu netbootd " in (FOLDER / "netbootd.sysusers.conf").read_text()
