"""``smartos``: the multiboot script, its properties, and how much room they take."""

from __future__ import annotations

import pytest

from netbootd.targets.smartos import ARCHIVE, UNIX

from .conftest import NODE, OWN

STAMP = "20260101T000000Z"
TREE = f"{OWN}/os/{STAMP}"
END = [":nokernel", "iseq ${platform} efi", ":failed", "exit 1"]
MODE = 'text-mode="115200,8,n,1,-"'


@pytest.fixture
def site(site):
    site.put(f"os/{STAMP}/{UNIX}", f"os/{STAMP}/{ARCHIVE}", f"os/{STAMP}/{ARCHIVE}.hash")
    return site


def properties(lines):
    kernel = lines[0].split()
    assert kernel[:2] == ["kernel", f"{TREE}/{UNIX}"]
    assert kernel[-2] == "-B"
    return kernel[-1]


def test_a_stamp_is_all_it_needs(site):
    assert site.one("smartos/a", {"platform": STAMP}) == [
        f"kernel {TREE}/{UNIX} -B smartos=true,console=text,{MODE}",
        f"module {TREE}/{ARCHIVE} type=rootfs name=ramdisk",
        f"module {TREE}/{ARCHIVE}.hash type=hash name=ramdisk",
        "boot",
        *END,
    ]
    assert site.codes() == set()
    assert site.told("file-missing") == []


def test_without_a_checksum_there_is_no_line_for_it(site):
    (site.root / f"os/{STAMP}/{ARCHIVE}.hash").unlink()
    assert not any("hash" in line for line in site.one("smartos/a", {"platform": STAMP}))


def test_latest_is_the_newest_stamp_that_is_there(site):
    newer = "20260801T000000Z"
    site.put(f"os/{newer}/{UNIX}", "os/notes/x", "os/99999999T999999Z")
    lines = site.one("smartos/a", {"platform": "latest"})
    assert lines[0].startswith(f"kernel {OWN}/os/{newer}/{UNIX} ")


def test_no_image_at_all_is_told(tmp_path, site):
    for folder in (site.root / "os").iterdir():
        folder.rename(tmp_path / folder.name)
    site.load({"smartos/a": {"platform": "latest"}})
    assert any("there is none below os/" in told for told in site.told("file-missing"))
    assert site.answer().status == 500


@pytest.mark.parametrize("platform", ["", "../x", "a b", "x/y"])
def test_a_platform_is_a_stamp(site, platform):
    site.load({"smartos/a": {"platform": platform}})
    assert site.told("target-empty")


def test_the_machines_own_data_become_properties(site):
    machine = {
        "hostname": "cn01",
        "console": "ttyb",
        "root_shadow": "$5$salt$hash",
        "nic_tags": {"admin": str(NODE)},
    }
    assert properties(site.one("smartos/a", {"platform": STAMP}, machine)) == (
        "smartos=true,hostname=cn01,root_shadow='$5$salt$hash',"
        f'admin_nic={NODE},console=ttyb,ttyb-mode="115200,8,n,1,-"'
    )


def test_bootparams_come_over_them(site):
    params = {"hostname": "x-__hostname__", "admin_aggr": "1:2,3:4", "n": 7, "console": "ttya"}
    lines = site.one("smartos/a", {"platform": STAMP, "bootparams": params}, {"hostname": "h"})
    assert properties(lines) == (
        'smartos=true,hostname=x-h,console=ttya,admin_aggr="1:2,3:4",n=7,ttya-mode="115200,8,n,1,-"'
    )


def test_a_rescue_system_is_not_smartos_and_has_no_checksum(site):
    lines = site.one("smartos/a", {"platform": STAMP, "bootparams": {"noimport": True}})
    assert properties(lines) == f"console=text,noimport=true,{MODE}"
    assert not any("hash" in line for line in lines)


def test_flags_stand_before_the_properties(site):
    keys = {"platform": STAMP, "boot_args": "-v -k"}
    lines = site.one("smartos/a", keys, {"extra_args": "-d"})
    assert lines[0].split()[2:6] == ["-v", "-k", "-d", "-B"]


def test_files_for_the_node(site):
    site.put("install/sdc/answers.json.j2", "extra/my.conf", "extra/my.conf.hash")
    keys = {
        "platform": STAMP,
        "answers": "install/sdc/answers.json",
        "boot_modules": {"etc/my.conf": "extra/my.conf", "x": "http://192.0.2.8/x"},
    }
    machine = {"networking": "install/sdc/net.json"}
    assert site.one("smartos/a", keys, machine)[3:-5] == [
        f"module {OWN}/install/{NODE.dashed}/sdc/answers.json type=file name=answers.json",
        f"module {OWN}/install/{NODE.dashed}/sdc/net.json type=file name=networking.json",
        f"module {OWN}/extra/my.conf type=file name=etc/my.conf",
        f"module {OWN}/extra/my.conf.hash type=hash name=etc/my.conf",
        "module http://192.0.2.8/x type=file name=x",
    ]


def test_more_than_ipxe_has_room_for_is_told(site):
    site.one("smartos/a", {"platform": STAMP})
    assert site.codes() == set()
    site.one("smartos/a", {"platform": STAMP, "bootparams": {"x": "y" * 300}})
    [told, *_] = site.told("target-remark")
    lines = [line for line in site.text().splitlines() if line.startswith(("kernel", "module"))]
    strings = [line.partition(" ")[2].partition(" ||")[0] for line in lines]
    assert f"{sum(len(text) + 1 for text in strings)} bytes" in told
    assert "512" in told


def test_more_modules_than_ipxe_takes_are_told(site):
    modules = {f"m{number}": f"http://192.0.2.8/{number}" for number in range(7)}
    site.one("smartos/a", {"platform": STAMP, "boot_modules": modules})
    assert any("9 modules" in told for told in site.told("target-remark"))


@pytest.mark.parametrize(
    "keys",
    [
        {"bootparams": {"a": "b c"}},
        {"bootparams": {"a": 'b"c'}},
        {"bootparams": {"a": "'b"}},
        {"bootparams": {"a": "b'"}},
        {"bootparams": {"a": "'b\""}},
        {"bootparams": {"a": "'"}},
        {"bootparams": {"a b": "c"}},
        {"bootparams": {"a": "${nothing}"}},
        {"bootparams": {"a": []}},
        {"boot_args": "-B x=y"},
        {"boot_modules": {"a b": "x"}},
    ],
)
def test_what_the_list_cannot_hold_is_told(site, keys):
    site.load({"smartos/a": {"platform": STAMP} | keys})
    assert site.codes() & {"bootparams-value", "section-type", "url-invalid"}


def test_a_machines_own_data_that_the_list_cannot_hold_is_told(site):
    site.load({"smartos/a": {"platform": STAMP}}, {"hostname": "a b"})
    assert any("hostname has a blank" in told for told in site.told("placeholder-empty"))


def test_uefi_is_told_whose_loader_it_needs(site):
    site.one("smartos/a", {"platform": STAMP})
    lines = site.text().splitlines()
    at = lines.index(":nokernel")
    assert any("Triton's snponly.efi" in line for line in lines[at : lines.index(":failed")])


def test_a_kernel_makes_it_generic(site):
    lines = site.one("smartos/a", {"kernel": "k", "initrd": "i", "boot_args": "-B x=y"})
    assert lines[0] == f"kernel --name kernel {OWN}/k initrd=initrd -B x=y"
    assert site.codes() == set()


def test_a_cards_address_may_be_spelled_in_any_way(site):
    tags = {"admin": "02-00-00-00-00-0E", "lan": "0200.0000.000f"}
    site.load({"smartos/a": {"platform": STAMP}}, {"nic_tags": tags})
    assert "admin_nic=02:00:00:00:00:0e,lan_nic=02:00:00:00:00:0f," in site.text()


@pytest.mark.parametrize("card", ["e1000g0", 7, None])
def test_a_nic_tag_without_a_mac_is_told(site, card):
    site.load({"smartos/a": {"platform": STAMP}}, {"nic_tags": {"admin": card}})
    assert any("nic_tags.admin" in told for told in site.told("placeholder-empty"))


def test_a_property_may_be_quoted(site):
    site.load({"smartos/a": {"platform": STAMP, "bootparams": {"a": "'b,c'", "d": '"e"'}}})
    assert "a='b,c',d=\"e\"" in site.text()


@pytest.mark.parametrize("key", ["hostname", "root_shadow"])
def test_what_the_machine_says_is_not_replaced_by_ipxe(site, key):
    site.load({"smartos/a": {"platform": STAMP}}, {key: "$5$a${hostname}"})
    assert any(f"{key} has ${{" in told for told in site.told("placeholder-empty"))
