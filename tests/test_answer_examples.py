"""The answer files in ``etc/answers``: each one rendered, and read by the tools of its installer."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

from netbootd import nocloud
from netbootd.check import check
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.registry.facts import facts_of
from netbootd.registry.load import load

EXAMPLES = Path(__file__).parents[1] / "etc" / "answers"
FILES = sorted(str(path.relative_to(EXAMPLES).with_suffix("")) for path in EXAMPLES.rglob("*.j2"))
MINIMAL, FULL = MAC.parse("52:54:00:00:00:01"), MAC.parse("52:54:00:00:00:02")
ONE_KEY, USERS = MAC.parse("52:54:00:00:00:03"), MAC.parse("52:54:00:00:00:04")
KEYS = ["ssh-ed25519 AAAAC3 o'hara & sons <x@y>", "ssh-rsa AAAAB3 root@admin"]
#: What root gets of the keys of each machine.
ROOTS = {MINIMAL: [], FULL: KEYS, ONE_KEY: KEYS[:1], USERS: KEYS}
HASH = "$6$salt$hash/with.signs"
BASE = "http://192.0.2.1:3000"
DONE = f"{BASE}/done/%s?token=0123"
TARGETS = {
    "debian": {"os": "debian", "answer": "install/debian.preseed"},
    "rhel": {"os": "rhel", "answer": "install/rhel.ks"},
    "suse": {"os": "suse", "answer": "install/autoyast.xml"},
    "ubuntu": {"os": "ubuntu", "answer": "install/ubuntu", "tree": "k"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES, folder / "files" / "install")
    (folder / "files" / "k").write_bytes(b"kernel")
    machines = {}
    for number, name in enumerate(TARGETS):
        machines[f"52:54:00:00:{number:02x}:01"] = {"type": "install", "name": name}
    machines[str(MINIMAL)] = {"type": "install", "name": "debian"}
    machines[str(FULL)] = {
        "type": "install", "name": "debian", "hostname": "node2", "domain": "example.net",
        "disk": "nvme0n1", "ssh_keys": KEYS, "timezone": "Europe/Berlin", "packages": ["vim", "tmux"],
        "ntp": ["192.0.2.5", "192.0.2.6"], "mirror": "deb.example.net",
    }  # fmt: skip
    for mac, keys in ((ONE_KEY, KEYS[0]), (USERS, {"root": KEYS, "bob": "ssh-rsa BOB"})):
        machines[str(mac)] = {"type": "install", "name": "debian", "ssh_keys": keys}
    config = {
        "vars": {"root_password_hash": HASH},
        "targets": {
            "install": {name: {"kernel": "k", **keys} for name, keys in TARGETS.items()},
            "localboot": {"disk": {}},
        },
        "machines": {"default": {"type": "localboot", "name": "disk"}, **machines},
        "netbootd": {"files": "files"},
    }
    (folder / "c.json").write_text(json.dumps(config))
    worse = [f for f in check(folder / "c.json").findings if f.level >= Level.WARNING]
    assert worse == [], "the examples load, and suit a machine that says nothing but its target"
    return load(folder / "c.json")


@pytest.fixture(params=ROOTS, ids=["minimal", "full", "one key", "users"])
def mac(request):
    return request.param


@pytest.fixture
def render(registry, mac):
    facts = facts_of(mac, registry.machine(mac), registry, BASE, "192.0.2.9", "0123")
    return lambda path: registry.answers[f"install/{path}"].render(facts.names())


def says_done(text, mac):
    assert shlex.quote(DONE % mac.dashed) in text
    assert f"{BASE}/scripts/{mac.dashed}" in text


def test_each_example_is_tried_here():
    assert FILES == [
        "autoyast.xml",
        "debian.preseed",
        "rhel.ks",
        "ubuntu/meta-data",
        "ubuntu/user-data",
    ]


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="debconf is not installed")
def test_debconf_understands_the_preseed(render, mac):
    text = render("debian.preseed")
    done = subprocess.run(
        ["debconf-set-selections", "-c"], input=text, text=True, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_preseed_says_what_the_machine_is(render, mac):
    text = render("debian.preseed")
    assert text.startswith("#_preseed_V1\n")
    lines = text.replace("\\\n", "").splitlines()
    answers = {}
    for line in lines:
        if line and not line.startswith("#"):
            _, question, kind, *value = line.split(None, 3)
            assert kind in ("string", "boolean", "select", "multiselect", "password", "note"), line
            answers[question] = value[0] if value else ""
    assert answers["passwd/root-password-crypted"] == HASH
    command = answers["preseed/late_command"]
    says_done(command, mac)
    assert subprocess.run(["sh", "-n"], input=command, text=True).returncode == 0
    if mac == FULL:
        assert answers["netcfg/get_hostname"] == "node2"
        assert answers["partman-auto/disk"] == "/dev/nvme0n1"
        assert answers["mirror/http/hostname"] == "deb.example.net"
        assert answers["clock-setup/ntp-server"] == "192.0.2.5"
        assert answers["pkgsel/include"] == "openssh-server vim tmux"
        assert command.count("authorized_keys") == 2
    else:
        assert answers["netcfg/get_hostname"] == f"node-{mac.raw}"
        assert "partman-auto/disk" not in answers


def test_the_keys_reach_the_file_as_they_are(render, mac, tmp_path):
    command = (
        render("debian.preseed").partition("preseed/late_command string")[2].replace("\\\n", "")
    )
    keys = [part for part in command.splitlines()[0].split("; ") if "authorized_keys" in part]
    here = "; ".join(keys).replace("/target/root/.ssh/authorized_keys", str(tmp_path / "keys"))
    subprocess.run(["sh", "-c", here or "true"], check=True)
    written = (tmp_path / "keys").read_text().splitlines() if keys else []
    assert written == ROOTS[mac]


@pytest.mark.filterwarnings("ignore:An ssh user")  # of two keys, which anaconda appends both
@pytest.mark.parametrize("version", ["RHEL9", "RHEL10", "F40"])
def test_pykickstart_understands_the_kickstart(render, mac, version):
    handler = makeVersion(version)
    KickstartParser(handler).readKickstartFromString(render("rhel.ks"))
    (network,) = handler.network.network
    assert network.device == str(mac)
    assert handler.rootpw.password == HASH
    post, onerror = handler.scripts
    says_done(post.script, mac)
    assert f"{BASE}/failed/{mac.dashed}" in onerror.script
    for script in (post, onerror):
        assert subprocess.run(["sh", "-n"], input=script.script, text=True).returncode == 0
    assert [key.key for key in handler.sshkey.sshUserList] == ROOTS[mac]
    if mac == FULL:
        assert handler.ignoredisk.onlyuse == ["nvme0n1"]
        assert {"vim", "tmux"} <= set(handler.packages.packageList)
        assert network.hostname == "node2"


def test_the_user_data_is_what_subiquity_takes(render, mac):
    text = render("ubuntu/user-data")
    assert list(nocloud.doubts(text)) == []
    told = yaml.safe_load(text)["autoinstall"]
    assert told["version"] == 1
    assert set(told) <= nocloud.AUTOINSTALL_KEYS
    (root,) = told["user-data"]["users"]
    assert root["hashed_passwd"] == HASH
    assert root["ssh_authorized_keys"] == ROOTS[mac]
    says_done("\n".join(told["late-commands"]), mac)
    for command in (*told["late-commands"], *told["error-commands"]):
        assert subprocess.run(["sh", "-n"], input=command, text=True).returncode == 0
    full = mac == FULL
    assert told["storage"]["layout"].get("match") == ({"path": "/dev/nvme0n1"} if full else None)
    assert told["user-data"].get("ntp") == (
        {"servers": ["192.0.2.5", "192.0.2.6"]} if full else None
    )
    meta = yaml.safe_load(render("ubuntu/meta-data"))
    assert meta["instance-id"] == f"netbootd-{mac.dashed}"


def test_the_autoyast_profile_is_well_formed(render, mac):
    profile = ElementTree.fromstring(render("autoyast.xml"))
    space = {"y": "http://www.suse.com/1.0/yast2ns"}
    assert profile.find(".//y:user_password", space).text == HASH
    keys = [one.text for one in profile.iterfind(".//y:listentry", space)]
    assert keys == ROOTS[mac]
    source = profile.find(".//y:chroot-scripts/y:script/y:source", space).text
    says_done(source, mac)
    assert subprocess.run(["sh", "-n"], input=source, text=True).returncode == 0
