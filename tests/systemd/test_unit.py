"""The unit as systemd itself judges it, and as it must agree with the daemon's defaults."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from netbootd.cli import _parser
from netbootd.config import Config
from netbootd.usual import DEFAULT_FILE

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "netbootd.service"
MOST_EXPOSED = 1.6  # of 10; systemd-analyze(1), "security".  Packet sockets are 0.1 of it.


def settings(unit=UNIT):
    """Every assignment of the unit: name → its values in order (systemd.syntax(7))."""
    found = defaultdict(list)
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#;[":
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def one(name):
    (value,) = settings()[name]
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
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("=/usr/local/bin/netbootd ", "=/bin/true "))
    verdict = systemd("systemd-analyze", "verify", "--man=no", unit)
    if "Failed to initialize manager" in verdict.stdout:
        pytest.skip(f"systemd-analyze cannot verify here: {verdict.stdout.strip()}")
    complaints = [line for line in verdict.stdout.splitlines() if UNIT.name in line]
    assert (verdict.returncode, complaints) == (0, [])


def test_exposure_is_low():
    verdict = systemd("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    if "unrecognized option" in verdict.stdout:
        pytest.skip("systemd-analyze is older than 250 and does not know --offline")
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict.stdout)
    assert level, verdict.stdout
    assert float(level[1]) <= MOST_EXPOSED, verdict.stdout


def test_the_user_can_be_made():
    verdict = systemd("systemd-sysusers", "--dry-run", FOLDER / "netbootd.sysusers.conf")
    assert verdict.returncode == 0, verdict.stdout


# --- what was decided ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CapabilityBoundingSet", "AmbientCapabilities"])
def test_two_capabilities_and_no_more(name):
    assert set(one(name).split()) == {"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}


def test_the_network_is_not_waited_for():
    order = [name for name in settings() if name in ("After", "Wants", "Requires", "BindsTo")]
    assert not any("network" in value for name in order for value in settings()[name])
    assert not any(name.startswith("ExecStartPre") for name in settings())


def test_packet_sockets_are_allowed():
    """Refused, snooping would look like a kernel without them (EAFNOSUPPORT)."""
    families = {"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"}
    assert set(one("RestrictAddressFamilies").split()) == families


def test_a_dhcp_server_of_this_host_takes_its_port_first():
    assert {"dnsmasq.service", "kea-dhcp4-server.service"} <= set(one("After").split())


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
