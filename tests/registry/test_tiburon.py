"""The user's own file: it loads unchanged, and each target says what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.script import boot_script, first_script
from netbootd.errors import Level
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.targets.base import Facts

SAMPLE = Path(__file__).parents[1] / "samples" / "tiburon.json"
SERVER = "http://192.168.1.250:3000"
OWN = "http://192.0.2.1:3000"
NODE = MAC.parse("00:25:90:27:db:b4")
STRANGER = MAC.parse("52:54:00:12:34:56")


def meaning(text: str) -> list[list[str]]:
    """The commands of a script in order; comments, echoes and the way out of a failure are free."""
    lines = [line.split() for line in text.splitlines()]
    return [
        line[: line.index("||")] if "||" in line else line
        for line in lines
        if line and line[0] in ("kernel", "initrd", "boot", "sanboot", "chain", "iseq")
    ]


def script(registry, mac):
    return boot_script(Client(stage=Stage.IPXE, mac=mac), registry, OWN)


@pytest.fixture(scope="module")
def registry():
    return load(SAMPLE)


@pytest.fixture
def edited(tmp_path):
    """The sample with some text replaced, loaded."""

    def edit(*changes):
        text = SAMPLE.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "netbootd.json"
        file.write_text(text)
        return load(file)

    return edit


def test_it_loads_with_nothing_worse_than_missing_files(registry):
    worse = {f.code for f in registry.findings if f.level >= Level.WARNING}
    assert worse == {"file-missing"}
    assert not [f for f in registry.findings if f.level > Level.WARNING]


def test_the_first_script_chains_to_the_boot_server(registry):
    [chain] = [words for words in meaning(first_script(registry, OWN).text) if "chain" in words]
    url, _, query = chain.pop().partition("?")
    assert chain == ["chain", "--replace"]
    assert url == f"{SERVER}/boot/${{netX/mac:hexhyp}}"
    smbios = "uuid=${uuid}&serial=${serial:uristring}&asset=${asset:uristring}"
    assert query == f"{smbios}&memsize=${{memsize}}"


def test_nfs(registry):
    images = f"{SERVER}/images/Centos6.2_x64"
    arguments = (
        "initrd=initrd ip=dhcp root=nfs:192.168.1.250:/data/nfs/Centos6.2_x64 rw debug verbose "
        "rdshell rd_NO_DM rd_NO_MD rd.ip=auto selinux=0"
    )
    assert meaning(script(registry, NODE).text) == [
        [
            "kernel",
            "--name",
            "kernel",
            f"{images}/vmlinuz-2.6.32-220.13.1.el6.x86_64",
            *arguments.split(),
        ],
        ["initrd", "--name", "initrd", f"{images}/initramfs-2.6.32-220.13.1.el6.x86_64.img"],
        ["boot"],
    ]


INSTALL = (
    "keeppxe text xfs nfsroot=192.168.1.250:/data/nfs/OS/Centos6.2_x64 "
    f"ks={SERVER}/install/Centos6.2_x64/{{}}-node-6.2.ks.cfg nomodeset ksdevice={{}}"
)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Centos6.2_x64", INSTALL.format("compute", "eth2")),
        ("Centos6.2_x64_sirouter", INSTALL.format("storage", "eth0") + " verbose debug"),
        ("Centos6.2_x64_storage", INSTALL.format("storage", "eth0")),
    ],
)
def test_the_three_installs_differ_in_arguments_alone(edited, name, arguments):
    registry = edited(('"name" : "Centos6.2_x64"\n#', f'"name" : "{name}"\n#'))
    kernel, initrd, boot = meaning(script(registry, STRANGER).text)
    assert kernel == [
        *["kernel", "--name", "kernel", f"{SERVER}/images/Centos6.2_x64/vmlinuz"],
        "initrd=initrd",
        *arguments.split(),
    ]
    assert initrd == ["initrd", "--name", "initrd", f"{SERVER}/images/Centos6.2_x64/initrd.img"]
    assert boot == ["boot"]


@pytest.fixture
def jr0(edited):
    return edited(
        (
            '"00:25:90:27:db:b4" : {\n         "type" : "nfs",\n         "name" : "Centos6.2_x64"',
            '"00:25:90:27:db:b4" : {\n "type" : "biosupdate",\n "name" : "jr0"',
        )
    )


def test_biosupdate_guards_against_uefi_and_uses_the_default_server(jr0):
    guard, kernel, initrd, boot = meaning(script(jr0, NODE).text)
    assert guard == ["iseq", "${platform}", "efi", "&&", "goto", "uefi"]
    assert kernel == [
        *["kernel", "--name", "memdisk", f"{SERVER}/memdisk"],
        *["keeppxe", "initrd=biosupdate/16MB-bios-update.img"],
    ]
    assert initrd == ["initrd", "--name", "image", f"{SERVER}/biosupdate/16MB-bios-update.img"]
    assert boot == ["boot"]


def test_only_jr0_follows_the_default_boot_server(edited):
    moved = edited(('"default" : "192.168.1.250:3000"', '"default" : "10.1.1.1"'))
    facts = Facts(mac=NODE, base=moved.boot_server, retry="")
    loaded = {
        title: [
            line[3]
            for line in meaning(target.script(facts))
            if len(line) > 3 and line[1] == "--name"
        ]
        for title, target in moved.targets.items()
    }
    assert all(url.startswith("http://10.1.1.1/") for url in loaded.pop("biosupdate/jr0"))
    assert all(url.startswith(SERVER + "/") for urls in loaded.values() for url in urls)


def test_no_script_has_doubled_blanks_or_blanks_at_a_lines_end(registry):
    for mac in (NODE, STRANGER):
        for line in script(registry, mac).text.splitlines():
            assert "  " not in line
            assert line == line.rstrip()


def test_every_script_begins_with_the_seven_bytes(registry, jr0):
    for text in (script(registry, NODE).text, script(jr0, NODE).text, first_script(jr0, OWN).text):
        assert text.startswith("#!ipxe\n")


def test_moving_the_comment_to_the_other_name_shows_the_missing_target(edited):
    registry = edited(
        (
            '        "name" : "Centos6.2_x64"\n#        "name"',
            '#        "name" : "Centos6.2_x64"\n        "name"',
        )
    )
    [finding] = [f for f in registry.findings if f.code == "target-unknown"]
    assert finding.level is Level.TARGET
    answer = script(registry, STRANGER)
    assert answer.status == 500
    assert "install/Ubuntu11.04 cannot boot: there is no such target" in answer.text
    assert script(registry, NODE).status == 200


def test_the_signature_line_changes_nothing_but_another_one_warns(edited):
    other = edited(("# config-file-type: JSON 1", "# config-file-type: YAML 1"))
    codes = {f.code for f in other.findings if f.level is Level.WARNING}
    assert codes > {"file-missing"}
    none = edited(("# config-file-type: JSON 1\n", "\n"))
    assert {f.code for f in none.findings if f.level is Level.WARNING} == {"file-missing"}


@pytest.mark.parametrize("year", ["2018", "2020"])
def test_later_files_of_its_kind_load_without_an_error(year):
    registry = load(SAMPLE.with_name(f"tiburon-{year}.json"))
    assert not [f for f in registry.findings if f.level > Level.WARNING]
