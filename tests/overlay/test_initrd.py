"""The extra initrd of a machine, as the real cpio unpacks it."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.errors import RenderError
from netbootd.mac import MAC
from netbootd.overlay import tree
from netbootd.overlay.initrd import initrd, machine_id
from netbootd.pieces import Pieces
from netbootd.targets.base import Facts

A = MAC.parse("52:54:00:12:34:56")
B = MAC.parse("52:54:00:12:34:57")


def facts(mac: MAC = A, token: str = "", **variables: Any) -> Facts:
    return Facts(
        mac=mac,
        base="http://192.0.2.10:3000",
        retry="",
        target="nfs/node",
        variables=variables,
        token=token,
    )


def unpacked(archive: Pieces, folder: Path) -> Path:
    done = subprocess.run(
        ["cpio", "-id", "--quiet"], input=bytes(archive), cwd=folder, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return folder


def environment(archive: Pieces, folder: Path) -> dict[str, str]:
    """What a shell makes of the file of names."""
    file = unpacked(archive, folder) / "etc/netbootd/env"
    done = subprocess.run(
        ["env", "-i", "sh", "-c", f"set -a; . {shlex.quote(str(file))}; exec env -0"],
        capture_output=True,
        check=True,
    )
    pairs = (pair.partition("=") for pair in done.stdout.decode().split("\0") if pair)
    return {name: value for name, _, value in pairs if name.startswith("NETBOOTD_")}


def overlay(folder: Path, **files: str) -> tree.Tree:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    faults: list[tree.Fault] = []
    found = tree.read(folder, faults)
    assert not faults
    return found


def test_the_same_facts_give_the_same_bytes(tmp_path):
    base = overlay(tmp_path / "base", motd="x")

    made = bytes(initrd(facts(hostname="n1"), [base]))
    assert made == bytes(initrd(facts(hostname="n1"), [base]))
    assert made != bytes(initrd(facts(B, hostname="n1"), [base]))


def test_hooks_are_where_dracut_and_initramfs_tools_look(tmp_path):
    root = unpacked(initrd(facts()), tmp_path)

    for folder in ("usr/lib", "var/lib"):
        hook = root / folder / "dracut/hooks/pre-pivot/90-netbootd.sh"
        assert hook.stat().st_mode & 0o111
    assert (root / "scripts/init-bottom/netbootd").stat().st_mode & 0o111
    assert (root / "conf/conf.d/netbootd").exists()
    assert (root / "etc/netbootd/layer.sh").exists()
    assert not {"bin", "sbin", "lib", "lib64"} & {path.name for path in root.iterdir()}


def test_the_machine_is_described(tmp_path):
    root = unpacked(initrd(facts(hostname="n1", gateway=None, disks=["a"])), tmp_path)

    assert json.loads((root / "etc/netbootd/machine.json").read_text()) == {
        "mac": str(A),
        "target": "nfs/node",
        "hostname": "n1",
        "gateway": None,
        "disks": ["a"],
    }
    assert (root / "etc/netbootd/machine.json").stat().st_mode & 0o077 == 0


def test_the_shell_finds_names_urls_and_token(tmp_path):
    found = environment(initrd(facts(token="t0k", hostname="n1.lab.example"), size="2g"), tmp_path)

    assert found == {
        "NETBOOTD_MAC": "52:54:00:12:34:56",
        "NETBOOTD_TARGET": "nfs/node",
        "NETBOOTD_BASE": "http://192.0.2.10:3000",
        "NETBOOTD_TOKEN": "t0k",
        "NETBOOTD_SCRIPT_URL": "http://192.0.2.10:3000/scripts/52-54-00-12-34-56?token=t0k",
        "NETBOOTD_DONE_URL": "http://192.0.2.10:3000/done/52-54-00-12-34-56?token=t0k",
        "NETBOOTD_FAILED_URL": "http://192.0.2.10:3000/failed/52-54-00-12-34-56?token=t0k",
        "NETBOOTD_HOSTNAME": "n1",
        "NETBOOTD_DOMAIN": "lab.example",
        "NETBOOTD_SIZE": "2g",
        "NETBOOTD_PERSIST": "",
        "NETBOOTD_PERSIST_FROM": "",
    }


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_no_value_becomes_a_command(tmp_path_factory, text):
    found = environment(initrd(facts(domain=text)), tmp_path_factory.mktemp("env"))

    assert found["NETBOOTD_DOMAIN"] == text


def test_a_machine_without_any_keys_gets_an_identity_of_its_own(tmp_path):
    root = unpacked(initrd(facts()), tmp_path) / "etc/netbootd/root"

    assert (root / "etc/machine-id").read_text() == f"{machine_id(A)}\n"
    assert not (root / "etc/hostname").exists()
    assert machine_id(A) != machine_id(B)
    assert machine_id(A) == "b6928491d5855e249794ea3d8550d341", "it must stay what it was"


def test_host_name_and_machine_id_are_the_admins_where_given(tmp_path):
    given_id = "0123456789ABCDEF-0123456789abcdef"
    root = unpacked(initrd(facts(hostname="n1", machine_id=given_id)), tmp_path)

    assert (root / "etc/netbootd/root/etc/hostname").read_text() == "n1\n"
    assert (root / "etc/netbootd/root/etc/machine-id").read_text() == "0123456789abcdef" * 2 + "\n"


def test_the_script_is_run_by_systemd(tmp_path):
    root = unpacked(initrd(facts()), tmp_path) / "etc/netbootd/root"

    wants = root / "etc/systemd/system/multi-user.target.wants/netbootd-script.service"
    unit = root / str(wants.readlink()).lstrip("/")
    (runs,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    assert (root / runs.split()[-1].lstrip("/")).exists()
    assert "TimeoutStartSec=" in unit.read_text()


def test_the_card_that_carries_the_root_is_left_alone(tmp_path):
    root = unpacked(initrd(facts()), tmp_path) / "etc/netbootd/root"

    networkd = (root / "etc/systemd/network/00-netbootd-boot.network").read_text()
    assert f"MACAddress={A}\nType=ether\n" in networkd
    assert "Unmanaged=yes" in networkd
    manager = (root / "etc/NetworkManager/conf.d/00-netbootd-boot.conf").read_text()
    assert f"unmanaged-devices+=mac:{A}" in manager


def test_later_overlays_lie_over_earlier_ones_and_over_ours(tmp_path):
    one = overlay(tmp_path / "one", a="1", b="1")
    two = overlay(tmp_path / "two", b="2", c_j2="{{ hostname }}")
    (tmp_path / "out").mkdir()

    root = (
        unpacked(initrd(facts(hostname="n1"), [one, two]), tmp_path / "out") / "etc/netbootd/root"
    )

    assert [(root / name).read_text() for name in "abc"] == ["1", "2", "n1"]


def test_an_overlay_may_replace_what_is_ours(tmp_path):
    (tmp_path / "one" / "etc").mkdir(parents=True)
    (tmp_path / "one" / "etc" / "hostname").write_text("other\n")
    own = tree.read(tmp_path / "one", [])
    (tmp_path / "out").mkdir()

    root = unpacked(initrd(facts(hostname="n1"), [own]), tmp_path / "out")

    assert (root / "etc/netbootd/root/etc/hostname").read_text() == "other\n"


def test_an_undefined_name_is_an_error_with_its_place(tmp_path):
    broken = overlay(tmp_path / "one", x_j2="one\n{{ rack }}\n")

    with pytest.raises(RenderError, match=rf"{tmp_path}/one/x.j2:2: 'rack' is undefined"):
        initrd(facts(), [broken])


def test_a_file_over_a_folder_is_an_error_that_names_the_overlays(tmp_path):
    one = overlay(tmp_path / "one", etc="a file")

    with pytest.raises(RenderError, match=r"overlays one: .*etc"):
        initrd(facts(), [one])


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"hostname": "a b"}, "no host name"),
        ({"hostname": "a\nb"}, "no host name"),
        ({"hostname": "-a"}, "no host name"),
        ({"machine_id": "xyz"}, "32 hexadecimal"),
        ({"persist": "var"}, "list of absolute paths"),
        ({"persist": ["/var/../etc"], "persist_from": "nas:/x"}, "list of absolute paths"),
        ({"persist": [1], "persist_from": "nas:/x"}, "list of absolute paths"),
        ({"persist": {"a": 1}}, "list of absolute paths"),
        ({"persist": ["/var/lib/x"]}, "persist_from"),
        ({"persist": ["/var/lib/x"], "persist_from": "nas"}, "persist_from"),
    ],
)
def test_a_value_that_makes_no_sense_is_an_error(variables, told):
    with pytest.raises(RenderError, match=told):
        initrd(facts(**variables))


@pytest.mark.parametrize("store", ["nas:/pool/keep", "[2001:db8::1]:/keep", "/dev/sda1"])
def test_paths_that_are_kept_are_told_one_a_line(tmp_path, store):
    keys = {"persist": ["/var/lib/one", "/etc/ssh keys"], "persist_from": store}

    found = environment(initrd(facts(**keys)), tmp_path)

    assert found["NETBOOTD_PERSIST"].splitlines() == ["/var/lib/one", "/etc/ssh keys"]
    assert found["NETBOOTD_PERSIST_FROM"] == store
