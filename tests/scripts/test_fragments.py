"""
The built-in fragments, run: on a machine of namespaces with this host's programs, twice each, since
what is right already is to be left alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from netbootd.errors import RenderError
from netbootd.registry.scripts import built_in as fragments_of
from netbootd.scripts import network
from netbootd.scripts.script import names, node_script

from .machines import NODE, built_in, facts
from .sandbox import USABLE, Sandbox

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not USABLE, reason="namespaces need root"),
]
TWICE = "sh /script; echo status $?; echo again; sh /script; echo status $?"
STATUS = re.compile(r"status (\d+)")


@pytest.fixture
def box(tmp_path):
    return Sandbox(tmp_path)


def run(box, names, *, before="", after="", target="nfs/a", **variables):
    """Run the fragments *names* twice; the second time nothing may be written."""
    text = node_script(built_in(*names.split()), facts(target, **variables))
    box.put("/script", text)
    done = box.run("\n".join((before, TWICE, after)))
    assert STATUS.findall(done.output) == ["0", "0"], done.output
    second = done.output.partition("again\n")[2]
    assert "wrote" not in second, second
    return done


@pytest.mark.parametrize("manager", ["hostname", "none"])
def test_the_machine_has_its_name(box, manager):
    before = "" if manager == "hostname" else "rm -f $(command -v hostname)"
    done = run(
        box, "hostname hosts", before=before, after="uname -n", hostname="node7", domain="lab"
    )
    assert done.output.endswith("node7\n")
    assert done.files["/etc/hostname"] == "node7\n"
    assert "127.0.1.1 node7.lab node7\n" in done.files["/etc/hosts"]


def test_lines_of_others_stay_in_a_shared_file(box):
    box.put("/etc/hosts", "127.0.0.1 localhost\n# netbootd: begin\n9.9.9.9 old\n# netbootd: end\n")
    done = run(box, "hosts", ip="10.0.0.7", hostname="node7", hosts={"nas": "10.0.0.9"})
    assert done.files["/etc/hosts"] == (
        "127.0.0.1 localhost\n# netbootd: begin\n10.0.0.7 node7\n10.0.0.9 nas\n# netbootd: end\n"
    )


def test_a_block_that_lost_its_end_takes_nothing_with_it(box):
    box.put("/etc/hosts", "# netbootd: begin\n9.9.9.9 old\n10.0.0.8 mine\n")
    done = run(box, "hosts", ip="10.0.0.7", hostname="node7")
    assert done.files["/etc/hosts"] == (
        "9.9.9.9 old\n10.0.0.8 mine\n# netbootd: begin\n10.0.0.7 node7\n# netbootd: end\n"
    )


def test_name_servers(box):
    box.put("/etc/resolv.conf", "nameserver 9.9.9.9\n")
    done = run(box, "dns", dns=["10.0.0.1", "10.0.0.2"], domain="lab")
    assert done.files["/etc/resolv.conf"] == (
        "search lab\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n"
    )


def test_name_servers_of_systemd_resolved(box):
    link = "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf"
    done = run(box, "dns", before=link, dns="10.0.0.1")
    path = "/etc/systemd/resolved.conf.d/netbootd.conf"
    assert done.files[path] == "[Resolve]\nDNS=10.0.0.1\n"


@pytest.mark.parametrize("path", ["/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf"])
def test_all_machines_ask_the_same_time_server_and_no_other(box, path):
    box.put(path, "pool 2.debian.pool.ntp.org iburst\nserver 9.9.9.9\ndriftfile /var/lib/d\n")
    done = run(box, "ntp", ntp="10.0.0.1")
    lines = done.files[path].splitlines()
    asked = [line for line in lines if line.startswith(("server", "pool", "peer"))]
    assert asked == ["server 10.0.0.1 iburst"]
    assert "driftfile /var/lib/d" in lines


def test_servers_that_chrony_is_told_of_elsewhere_are_not_asked(box):
    """Debian's has two folders of them: what DHCP says, and what packages and admins put there."""
    folders = "sourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d\n"
    box.put("/etc/chrony/chrony.conf", f"confdir /etc/chrony/conf.d\n{folders}")
    done = run(box, "ntp", ntp="10.0.0.1")
    lines = done.files["/etc/chrony/chrony.conf"].splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "confdir /etc/chrony/conf.d",
        "server 10.0.0.1 iburst",
    ]


def test_the_time_server_of_timesyncd(box):
    box.put("/usr/lib/systemd/systemd-timesyncd", "")
    done = run(box, "ntp", ntp=["10.0.0.1", "10.0.0.2"])
    path = "/etc/systemd/timesyncd.conf.d/netbootd.conf"
    assert done.files[path] == "[Time]\nNTP=10.0.0.1 10.0.0.2\nFallbackNTP=\n"


def test_keys_of_several_users(box):
    box.put("/etc/passwd", "root:x:0:0::/root:/bin/sh\none:x:990:991::/var/lib/one:/bin/sh\n")
    box.put("/root/.ssh/authorized_keys", "ssh-rsa OLD mine\n")
    after = "stat -c '%u:%g %a' /var/lib/one/.ssh /var/lib/one/.ssh/authorized_keys"
    keys = {"root": "ssh-ed25519 AAA a", "one": ["ssh-ed25519 BBB b", "ssh-rsa CCC 'c'"]}
    done = run(box, "ssh_keys", after=after, ssh_keys=keys)
    path = "/var/lib/one/.ssh/authorized_keys"
    assert "ssh-ed25519 BBB b\nssh-rsa CCC 'c'\n" in done.files[path]
    assert done.output.endswith("990:991 700\n990:991 600\n")
    assert "ssh-rsa OLD mine\n" in done.files["/root/.ssh/authorized_keys"]


def test_where_there_are_no_keys_others_stay(box):
    box.put("/root/.ssh/authorized_keys", "ssh-rsa OLD mine\n")
    done = run(box, "ssh_keys", ssh_keys=[])
    assert done.files["/root/.ssh/authorized_keys"].startswith("ssh-rsa OLD mine\n")


def test_a_user_that_is_not_there_is_a_failure(box):
    text = node_script(built_in("ssh_keys"), facts(ssh_keys={"nobody-here": "ssh-rsa A"}))
    box.put("/script", text)
    done = box.run("sh /script")
    assert done.status != 0
    assert "there is no user nobody-here" in done.output


_BOB = "root:x:0:0::/root:/bin/sh\nbob:x:990:991::/home/bob:/bin/sh\n"
_HOME = "mkdir -p /root/.ssh /home/bob\nchmod 700 /root /root/.ssh\nchown 990:991 /home/bob\n"


@pytest.mark.parametrize(
    "link",
    [
        "mkdir /home/bob/.ssh; ln -s /etc/shadow /home/bob/.ssh/authorized_keys",
        "mkdir /home/bob/.ssh; ln -s /etc/shadow /home/bob/.ssh/authorized_keys.netbootd-new",
        "ln -s /root/.ssh /home/bob/.ssh",
        "ln -s /root/no-such-folder /home/bob/.ssh",
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_a_link_in_a_home_leads_to_no_file_that_its_user_may_not_write(box, link, shell):
    box.put("/etc/passwd", _BOB)
    box.put("/etc/shadow", "root:secret\n", 0o600)
    box.put("/root/.ssh/authorized_keys", "ssh-rsa ROOT\n", 0o600)
    box.put("/script", node_script(built_in("ssh_keys"), facts(ssh_keys={"bob": "ssh-rsa BOB"})))
    owned = "chown -hR 990:991 /home/bob"
    seen = "stat -c '%U %a %F' /etc/shadow /root/.ssh/authorized_keys /root/.ssh; ls -A /root/.ssh"
    done = box.run(f"{_HOME}{link}\n{owned}\n{shell} /script\n{seen}; ls -d /root/no-such-folder")
    assert done.files["/etc/shadow"] == "root:secret\n"
    assert done.files["/root/.ssh/authorized_keys"] == "ssh-rsa ROOT\n"
    file, folder = "root 600 regular file\n", "root 700 directory\n"
    assert f"{file}{file}{folder}authorized_keys\nls: " in done.output


@pytest.mark.parametrize("without", ["true", "rm $(command -v setpriv)"])
def test_one_users_keys_are_not_kept_from_them_by_anothers_home(box, without):
    box.put("/etc/passwd", _BOB + "eve:x:992:991::/home/eve:/bin/false\n")
    box.put("/etc/shadow", "".join(f"{name}:*:1::::::\n" for name in ("root", "bob", "eve")))
    keys = {"bob": "ssh-rsa BOB", "eve": "ssh-rsa EVE"}
    box.put("/script", node_script(built_in("ssh_keys"), facts(ssh_keys=keys)))
    done = box.run(f"{_HOME}{without}\nln -s /root/.ssh /home/bob/.ssh\nsh /script; echo status $?")
    assert "status 1\n" in done.output
    assert "wrote /home/eve/.ssh/authorized_keys" in done.output


_OUT = "x\nLINES\ntouch /root/out\ncat <<'LINES'\nx"
_INSIDE = ["LINES", "touch /root/out", "x'; touch /root/out; '", "$(touch /root/out)"]


@pytest.mark.parametrize(
    ("fragment", "variables"),
    [
        ("ssh_keys", {"ssh_keys": _OUT}),
        ("ssh_keys", {"ssh_keys": {"root": [_OUT]}}),
        ("dns", {"dns": _OUT}),
        ("dns", {"dns": "10.0.0.1", "domain": _OUT}),
        ("ntp", {"ntp": [_OUT]}),
        ("syslog", {"syslog": _OUT}),
        ("hosts", {"hostname": _OUT}),
        ("hosts", {"hosts": {"a": _OUT}}),
        ("hosts", {"hosts": {_OUT: "10.0.0.1"}}),
        ("hosts", {"hostname": "a", "ip": _OUT}),
        ("hostname", {"hostname": _OUT}),
        ("timezone", {"timezone": _OUT}),
        ("modules", {"modules": [_OUT]}),
        ("modules", {"modules": {_OUT: "a=1"}}),
    ],
)
def test_data_with_a_line_end_are_refused(fragment, variables):
    with pytest.raises(RenderError, match="line end"):
        node_script(built_in(fragment), facts(**variables))


@pytest.mark.parametrize("data", _INSIDE)
@pytest.mark.parametrize(
    ("fragment", "variable"),
    [
        (name, name)
        for name in ("ssh_keys", "syslog", "dns", "ntp", "hostname", "timezone", "modules")
    ],
)
def test_data_are_no_program(box, fragment, variable, data):
    box.program("modprobe", "#!/bin/sh\n")
    box.put("/etc/chrony.conf", "")
    box.put("/script", node_script(built_in(fragment), facts(**{variable: data})))
    assert "/root/out" not in box.run("sh /script").files


def test_a_backslash_stays_one(box):
    box.put("/script", node_script(built_in("hostname"), facts(hostname="a\\nb")))
    assert box.run("dash /script").files["/etc/hostname"] == "a\\nb\n"


_PARAMETERS = """
mkdir -p /sys/module/kvm_intel/parameters /sys/module/kvm/parameters
echo Y >/sys/module/kvm_intel/parameters/nested
echo N >/sys/module/kvm/parameters/ignore_msrs
"""


def test_options_of_kernel_modules_now_and_at_the_next_load(box):
    modules = {
        "kvm-intel": {"nested": 0, "emulate_invalid_guest_state": False},
        "kvm": "ignore_msrs=1",
    }
    after = "cat /sys/module/kvm_intel/parameters/nested /sys/module/kvm/parameters/ignore_msrs"
    done = run(box, "modules", before=_PARAMETERS, after=after, modules=modules)
    assert done.output.endswith("0\n1\n")
    assert done.files["/etc/modprobe.d/netbootd.conf"] == (
        "options kvm-intel nested=0\n"
        "options kvm-intel emulate_invalid_guest_state=0\n"
        "options kvm ignore_msrs=1\n"
    )
    assert done.output.count("nested=0") == 1, "not set again"


def test_modules_to_load(box):
    box.program("modprobe", '#!/bin/sh\necho "modprobe $*"\n')
    done = run(box, "modules", modules=["bonding", "8021q"])
    assert done.output.startswith(
        "netbootd: wrote /etc/modules-load.d/netbootd.conf\nmodprobe bonding\nmodprobe 8021q\n"
    )
    assert done.files["/etc/modules-load.d/netbootd.conf"] == "bonding\n8021q\n"


def test_mounts_as_lines_and_as_objects(box):
    mounts = ["tmpfs /srv/a tmpfs size=1m", {"what": "tmpfs", "where": "/srv/b", "type": "tmpfs"}]
    done = run(box, "mounts", after="grep -c ' /srv/[ab] tmpfs ' /proc/mounts", mounts=mounts)
    assert done.output.endswith("\n2\n"), "each once, though it ran twice"
    assert "tmpfs /srv/b tmpfs defaults 0 0\n" in done.files["/etc/fstab"]


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_mounts_as_fstab_has_them(box, shell):
    mounts = [
        "tmpfs /srv/m/slash/ tmpfs size=1m",
        r"tmpfs /srv/m/a\040blank tmpfs size=1m",
        {"what": "tmpfs", "where": "/srv/m/b c", "type": "tmpfs"},
        "/dev/none none swap sw",
        "tmpfs /srv/m/later tmpfs noauto",
    ]
    box.put("/script", node_script(built_in("mounts"), facts(mounts=mounts)))
    seen = "grep -c ' /srv/m/' /proc/mounts; ls /srv/m /root; ls -d /none none"
    done = box.run(f"cd /root\n{shell} /script\n{shell} /script; echo status $?\n{seen}")
    assert "status 0\n3\n" in done.output, "each once, though it ran twice"
    assert "/srv/m:\na blank\nb c\nslash\n" in done.output
    assert done.output.count("cannot access") == 2, "no folder of a swap"


def test_data_of_a_mount_are_no_program(box):
    mounts = [
        "tmpfs $(touch${IFS}/root/out) tmpfs",
        "LINES LINES LINES",
        "';touch /root/out;' /x t",
    ]
    box.put("/script", node_script(built_in("mounts"), facts(mounts=mounts)))
    assert "/root/out" not in box.run("sh /script").files


def test_a_mount_that_fails_keeps_no_other_from_it(box):
    mounts = ["/dev/no-such-disk /srv/a ext4 defaults", "tmpfs /srv/b tmpfs defaults"]
    box.put("/script", node_script(built_in("mounts"), facts(mounts=mounts)))
    done = box.run("sh /script; echo status $?; grep -c /srv/b /proc/mounts")
    assert "status 1\n1\n" in done.output


@pytest.mark.parametrize(
    ("syslog", "line"),
    [
        ("10.0.0.3", "*.* @10.0.0.3"),
        ("10.0.0.3:514", "*.* @10.0.0.3:514"),
        ("tcp://10.0.0.3:601", "*.* @@10.0.0.3:601"),
    ],
)
def test_the_log_goes_to_the_log_server(box, syslog, line):
    box.put("/etc/rsyslog.d/empty", "")
    done = run(box, "syslog", syslog=syslog)
    assert done.files["/etc/rsyslog.d/90-netbootd.conf"] == line + "\n"


def test_the_log_of_a_smartos_node_goes_to_the_log_server_once(box):
    box.program("uname", _SUNOS)
    box.program("svcadm", "#!/bin/sh\necho svcadm $*\n")
    box.put("/etc/syslog.conf", "*.err\t/dev/sysmsg\n*.debug\t@old # netbootd\n")
    done = run(box, "syslog", syslog="tcp://10.0.0.3:514")
    assert done.files["/etc/syslog.conf"] == "*.err\t/dev/sysmsg\n*.debug\t@10.0.0.3 # netbootd\n"
    assert "svcadm restart system-log" in done.output


def test_the_time_zone(box):
    box.put("/usr/share/zoneinfo/Europe/Berlin", "")
    box.put("/etc/timezone", "Etc/UTC\n")
    done = run(box, "timezone", timezone="Europe/Berlin")
    assert done.links["/etc/localtime"] == "/usr/share/zoneinfo/Europe/Berlin"
    assert done.files["/etc/timezone"] == "Europe/Berlin\n"


# -- network ---------------------------------------------------------------------------------------

_CARDS = f"""
ip link add eth0 address {NODE} type veth peer name eth1
ip link set eth0 up
ip address add 10.0.0.7/24 dev eth0
"""
_BRIDGE = {
    "eth0": {"mac": str(NODE)},
    "br0": {"bridge": ["eth1"], "address": "10.9.0.1/24", "mtu": 1400},
    "eth1": {},
}


#: ifup(8) and ifdown(8) of what interfaces(5) says, as far as our stanzas go; ``ip`` does the work.
_IFUP = """#!/usr/bin/env python3
import pathlib, subprocess, sys
up, (name,) = sys.argv[0].endswith("ifup"), sys.argv[1:]
main = pathlib.Path("/etc/network/interfaces").read_text()
assert "source-directory /etc/network/interfaces.d" in main
state = pathlib.Path("/run/network", name)
state.parent.mkdir(exist_ok=True)
if up == state.exists():
    sys.exit(0)
stanza = options = None
for line in pathlib.Path("/etc/network/interfaces.d/netbootd").read_text().splitlines():
    match line.split():
        case ["iface", device, "inet" | "inet6", method]:
            options = [] if device == name else None
            if device == name:
                stanza = options
        case ["auto", _] | []:
            options = None
        case [word, *rest] if options is not None and not word.startswith("#"):
            # Only what is run may come twice (interfaces(5)).
            told = dict(options).get(word)
            assert told is None or word.startswith(("pre-", "post-", "up", "down")), f"two {word}"
            options.append((word, " ".join(rest)))
assert stanza is not None, f"unknown interface {name}"
def do(*words):
    for command in (rest for word, rest in stanza if word in words):
        subprocess.run(command, shell=True, check=True)
if up:
    do("pre-up")
    for address in (rest for word, rest in stanza if word == "address"):
        subprocess.run(["ip", "address", "add", address, "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    do("up", "post-up")
    state.touch()
else:
    do("pre-down", "down")
    do("post-down")
    state.unlink()
"""


def test_a_bridge_comes_up_and_the_booting_card_keeps_its_address(box):
    for name in ("ifup", "ifdown"):
        if not shutil.which(name):
            box.program(name, _IFUP)
    box.put("/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    after = "echo; ip -oneline address show; cat /sys/class/net/br0/brif/eth1/port_no"
    before = _CARDS + "mkdir -p /run/network"
    done = run(box, "network", before=before, after=after, network="ifupdown", interfaces=_BRIDGE)
    assert re.search(r"br0 +inet 10\.9\.0\.1/24", done.output)
    assert re.search(r"eth0 +inet 10\.0\.0\.7/24", done.output)
    assert done.output.endswith("0x1\n"), "eth1 is a port of br0"
    assert done.files["/etc/network/interfaces"].startswith("auto lo\n")


@pytest.mark.parametrize("form", ["networkd", "ifupdown", "netplan", "networkmanager"])
def test_the_booting_card_is_refused_by_whatever_name(box, form):
    interfaces = {"eth0": {}, "eth1": {}, "bond0": {"bond": ["eth0", "eth1"]}}
    given = facts(network=form, interfaces=interfaces)
    box.put("/script", node_script(built_in("network"), given))
    done = box.run(f"{_CARDS}sh /script; echo status $?")
    assert f"eth0 is {NODE}, the card this machine boots from" in done.output
    assert "wrote" not in done.output
    assert "status 1\n" in done.output


def test_files_of_devices_that_are_no_more_go(box):
    box.put("/etc/systemd/network/10-netbootd-gone.network", "[Match]\nName=gone\n")
    box.put("/etc/systemd/network/50-mine.network", "[Match]\nName=mine\n")
    after = "ls /etc/systemd/network"
    done = run(box, "network", before=_CARDS, after=after, interfaces=_BRIDGE)
    assert done.output.endswith(
        "10-netbootd-br0.netdev\n10-netbootd-br0.network\n10-netbootd-eth1.network\n50-mine.network\n"
    )


@pytest.mark.parametrize("interfaces", [{}, {"eno1": {"mac": str(NODE)}}], ids=["none", "its own"])
@pytest.mark.parametrize("form", network.FORMS)
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_where_there_is_only_the_booting_card_nothing_is_to_do(box, shell, form, interfaces):
    for path in ("systemd/network/10-netbootd-gone.network", "systemd/network/50-mine.network"):
        box.put(f"/etc/{path}", "")
    variables = {"network": form, "interfaces": interfaces}
    box.put("/script", node_script(built_in("network"), facts(**variables)))
    done = box.run(f"{shell} /script; echo status $?; ls /etc/systemd/network")
    left = "" if form == "networkd" else "10-netbootd-gone.network\n"
    assert f"status 0\n{left}50-mine.network\n" in done.output


#: Which subcommands there are, and that a reload is asked for only when something changed.
_SYSTEMD = """#!/bin/sh
case "$*" in
"--quiet is-active systemd-networkd") exit 0 ;;
*) echo "systemctl: bad arguments: $*" >&2; exit 2 ;;
esac
"""
_NETWORKCTL = '#!/bin/sh\n[ "$*" = reload ] || exit 2\necho reloaded\n'


def test_networkd_is_told_when_something_changed(box):
    box.program("systemctl", _SYSTEMD)
    box.program("networkctl", _NETWORKCTL)
    before = _CARDS + "mkdir -p /run/systemd/system"
    done = run(box, "network", before=before, interfaces=_BRIDGE)
    assert done.output.count("reloaded") == 1


_IP = """#!/bin/sh
case "$*" in
"link add link eth0 name vlan30 type vlan id 30") exec /usr/sbin/ip link add vlan30 type bridge ;;
"link set vlan30 up") exec /usr/sbin/ip "$@" ;;
*) exit 2 ;;
esac
"""


def test_a_vlan_on_the_booting_card_leaves_the_card_alone(box):
    """``ip`` is watched for its words: not every kernel that runs this has VLANs."""
    interfaces = {
        "boot": {"mac": str(NODE)},
        "vlan30": {"link": "boot", "vlan": 30, "address": "10.3.0.7/24"},
    }
    cards = _CARDS + f"ip link add br9 address {NODE} type bridge\nip link set eth1 master br9\n"
    before = cards + "mv /usr/local/sbin/watched /usr/local/sbin/ip"
    box.program("watched", _IP)
    done = run(box, "network", before=before, interfaces=interfaces)
    assert "VLAN 30 on eth0 is vlan30" in done.output
    assert "Address=10.3.0.7/24" in done.files["/etc/systemd/network/10-netbootd-vlan30.network"]


# -- SmartOS ---------------------------------------------------------------------------------------

_SUNOS = '#!/bin/sh\ncase "$1" in -s) echo SunOS ;; *) exec /usr/bin/uname "$@" ;; esac\n'
_NICTAGADM = """#!/bin/sh
# nictagadm(8): exists and add, with their words checked.
case "$1" in
exists) [ $# = 2 ] && grep -qx "$2" /usbkey/tags ;;
add)
    [ $# = 3 ] && echo "$3" | grep -Eqx '([0-9a-f]{2}:){5}[0-9a-f]{2}' || exit 2
    ! grep -qx "$2" /usbkey/tags || exit 1
    echo "$2" >>/usbkey/tags
    echo "added $2"
    ;;
*) exit 2 ;;
esac
"""


def test_name_and_network_of_a_smartos_node(box):
    box.program("uname", _SUNOS)
    box.program("nictagadm", _NICTAGADM)
    box.put("/usbkey/tags", "admin\n")
    box.put("/usbkey/config", "admin_nic=52:54:00:12:34:56\nhostname=old\nextern0_ip=9.9.9.9\n")
    interfaces = {
        "admin": {"mac": str(NODE)},
        "extern": {"mac": "52:54:00:00:00:03", "address": "10.9.0.7/16"},
    }
    done = run(
        box,
        "hostname network",
        target="smartos/a",
        after="uname -n",
        hostname="node7",
        interfaces=interfaces,
    )
    assert done.output.count("added extern") == 1
    assert done.output.endswith("node7\n")
    assert done.files["/etc/nodename"] == "node7\n"
    assert done.files["/usbkey/config"] == (
        "admin_nic=52:54:00:12:34:56\nhostname=node7\nextern0_ip=10.9.0.7\n"
        "extern_nic=52:54:00:00:00:03\nextern0_netmask=255.255.0.0\n"
    )


def test_without_a_pool_there_is_nothing_to_keep(box):
    box.program("uname", _SUNOS)
    done = run(box, "hostname", target="smartos/a", hostname="node7")
    assert "/usbkey/config" not in done.files


#: trentm/json as SmartOS has it: ``json -f FILE KEY``; what is not there prints as nothing.
_JSON = """#!/usr/bin/env python3
import json, sys
assert sys.argv[1] == "-f" and len(sys.argv) == 4, sys.argv
value = json.load(open(sys.argv[2]))
for step in sys.argv[3].split("."):
    if step == "length" and isinstance(value, list):
        value = len(value)
    elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
        value = value[int(step)]
    else:
        value = value.get(step) if isinstance(value, dict) else None
if value is not None:
    print(json.dumps(value, indent=2) if isinstance(value, (dict, list)) else value)
"""
#: vmadm(8): lookup, validate create and create; knows what it has in a folder.
_VMADM = """#!/usr/bin/env python3
import json, pathlib, sys
have = pathlib.Path("/usbkey/vms")
have.mkdir(exist_ok=True)
match sys.argv[1:]:
    case ["lookup", wanted]:
        key, _, value = wanted.partition("=")
        assert key in ("uuid", "alias") and value, wanted
        for file in have.iterdir():
            if json.loads(file.read_text()).get(key) == value:
                print(file.name)
    case ["validate", "create", "-f", file]:
        vm = json.load(open(file))
        if "brand" not in vm:
            print('{ "missing_properties": ["brand"] }')
            sys.exit(1)
        print("VALID 'create' payload for", vm["brand"], "brand VMs.", file=sys.stderr)
    case ["create", "-f", file]:
        vm = json.load(open(file))
        images = [vm.get("image_uuid"), *(d.get("image_uuid") for d in vm.get("disks", []))]
        for image in filter(None, images):
            assert pathlib.Path("/usbkey/images", image).exists(), f"no image {image}"
        uuid = vm.get("uuid") or "made-" + vm["alias"]
        file = have / uuid
        assert not file.exists(), "created twice"
        file.write_text(json.dumps(vm))
        print("Successfully created VM", uuid, file=sys.stderr)
    case _:
        sys.exit(f"vmadm: bad arguments {sys.argv}")
"""
#: imgadm(8): get and import of a UUID.
_IMGADM = """#!/bin/sh
[ $# = 2 ] || exit 2
case "$1" in
get) [ -e "/usbkey/images/$2" ] ;;
import)
    case "$2" in bad*) exit 1 ;; esac
    [ ! -e "/usbkey/images/$2" ] || { echo "imported twice" >&2; exit 1; }
    : >"/usbkey/images/$2"
    echo "imported $2"
    ;;
*) exit 2 ;;
esac
"""
_WEB = '{"alias": "web 01", "brand": "joyent", "image_uuid": "image-a"}'
_KVM = """{"uuid": "u-1", "alias": "db", "brand": "kvm", "disks":
    [{"image_uuid": "image-b", "model": "virtio"}, {"size": 1024}, {"image_uuid": "image-a"}]}"""


def served(box, descriptions):
    """What the node gets of its VMs, by a real curl from a real server on the loopback."""
    box.put(f"/www/machines/{NODE.dashed}/vms", f"[{', '.join(descriptions)}]")
    for name, text in (("json", _JSON), ("vmadm", _VMADM), ("imgadm", _IMGADM)):
        box.program(name, text)
    box.put("/usbkey/images/installed", "")
    return (
        "python3 -m http.server -b 192.0.2.1 -d /www 3000 >/dev/null 2>&1 &\n"
        "until curl -s http://192.0.2.1:3000/ >/dev/null; do sleep 0.1; done\n"
    )


_ADDRESS = "ip address add 192.0.2.1/32 dev lo\n"


def test_what_vms_are_missing_is_created_with_their_images(box):
    server = served(box, [_WEB, _KVM])
    done = run(box, "smartos-vms", before=_ADDRESS + server, target="smartos/a")
    first, _, second = done.output.partition("again\n")
    assert first.count("imported") == 2, "image-a is needed twice"
    assert "created VM web 01" in first
    assert "created VM db" in first
    assert "created" not in second
    assert set(done.files) >= {"/usbkey/vms/u-1", "/usbkey/vms/made-web 01"}


def test_a_node_without_vms_does_nothing(box):
    done = run(box, "smartos-vms", before=_ADDRESS + served(box, []), target="smartos/a")
    assert "created" not in done.output


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ('{"alias": "x"}', "missing_properties"),
        ('{"brand": "joyent"}', "neither uuid nor alias"),
        ('{"alias": "x", "brand": "joyent", "image_uuid": "bad-image"}', ""),
    ],
)
def test_one_vm_that_cannot_be_created_keeps_no_other_from_it(box, bad, told):
    before = _ADDRESS + served(box, [bad, _WEB])
    box.put("/script", node_script(built_in("smartos-vms"), facts("smartos/a")))
    done = box.run(f"{before}sh /script; echo status $?")
    assert "status 1\n" in done.output
    assert told in done.output
    assert [path for path in done.files if "/vms/" in path] == ["/usbkey/vms/made-web 01"]


def test_a_boot_server_that_does_not_know_the_node_is_a_failure(box):
    before = _ADDRESS + served(box, [])
    box.put("/script", node_script(built_in("smartos-vms"), facts("smartos/a")))
    done = box.run(f"{before}rm -r /www/machines\nsh /script; echo status $?")
    assert "404" in done.output
    assert "status 22\n" in done.output, "curl's own"


# -- all of them -----------------------------------------------------------------------------------

EVERYTHING = {
    "hostname": "node7",
    "domain": "lab",
    "ip": "10.0.0.7",
    "dns": "10.0.0.1",
    "ntp": "10.0.0.1",
    "ssh_keys": "ssh-rsa A",
    "modules": {"kvm": {"ignore_msrs": True}},
    "mounts": ["tmpfs /a tmpfs ro"],
    "syslog": "10.0.0.1",
    "timezone": "Europe/Berlin",
}


_WRITTEN = {
    *("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/modprobe.d/netbootd.conf"),
    *("/etc/fstab", "/root/.ssh/authorized_keys", "/etc/rsyslog.d/90-netbootd.conf"),
    "/etc/systemd/network/10-netbootd-br0.network",
}


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
def test_all_of_them_under_each_shell(box, shell):
    everything = [name for name in fragments_of() if name != "smartos-vms"]
    box.put("/usr/share/zoneinfo/Europe/Berlin", "")
    box.put("/etc/rsyslog.d/empty", "")
    variables = {**EVERYTHING, "interfaces": _BRIDGE}
    box.put("/script", node_script(built_in(*everything), facts(**variables)))
    done = box.run(f"{_CARDS}{_PARAMETERS}{TWICE.replace('sh /', f'{shell} /')}; uname -n")
    first, _, second = done.output.partition("again\n")
    assert STATUS.findall(done.output) == ["0", "0"], done.output
    assert first.count("wrote") >= len(_WRITTEN)
    assert "wrote" not in second
    assert done.output.endswith("node7\n")
    assert done.files.keys() >= _WRITTEN


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
@pytest.mark.parametrize(
    ("name", "form"),
    [*((name, "") for name in fragments_of()), *(("network", form) for form in network.FORMS)],
)
def test_shellcheck_finds_nothing(name, form):
    interfaces = {"eth0": {"mac": str(NODE)}, "v": {"vlan": 2, "link": "eth0", "address": "dhcp"}}
    variables = {**EVERYTHING, "interfaces": interfaces, "network": form or "networkd"}
    given = facts(**variables)
    (piece,) = built_in(name)
    text = piece.fragment.render(names(given))
    prologue = '#!/bin/sh\nset -eu\nwork=/tmp changed=no\nput() { echo "$@" $changed; cat; }\n'
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2016,SC2317,SC2043", "-"],
        input=f'{prologue}put "$work"\n{text}',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
