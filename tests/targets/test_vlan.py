"""A machine's VLAN: in iPXE, and in the words of what reads its root."""

from __future__ import annotations

import pytest

from netbootd.check import check
from netbootd.mac import MAC
from netbootd.targets import vlan
from tests.targets.conftest import NODE

KERNEL = {"kernel": "http://192.0.2.8/k"}
ROOT = {**KERNEL, "root": "192.0.2.10:/srv/root"}
IN_20 = {"vlan": 20}


def words(text):
    return next(line for line in text.splitlines() if line.startswith("kernel ")).split()[4:-3]


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("linux/a", KERNEL),
        ("nfs/a", ROOT),
        ("chain/a", {"bios": "http://192.0.2.8/x", "efi": "http://192.0.2.8/x"}),
        ("sanboot/a", {"sanboot": "http://192.0.2.8/x.iso"}),
    ],
)
def test_the_script_changes_over_before_it_fetches_anything(site, title, keys):
    site.load({title: keys}, IN_20)
    text = site.text()
    assert text.index("vcreate --tag 20 ${netX/ifname}") < text.index("http://192.0.2.8")
    assert "net0" not in text


@pytest.mark.parametrize("title", ["localboot/a", "menu/a"])
def test_what_needs_no_network_stays_as_it_is(site, title):
    keys = {"choices": [{"label": "disk", "target": "localboot"}]} if title == "menu/a" else {}
    site.load({title: keys}, {"vlan": 4095})
    assert "vcreate" not in site.text()
    assert site.answer().status == 200


def test_without_a_vlan_there_is_not_a_line_of_it(site):
    site.load({"linux/a": KERNEL})
    assert "vcreate" not in site.text()
    assert "\n\n" not in site.text()


@pytest.mark.parametrize("where", ["machine", "group", "target", "vars", "subnet"])
def test_it_may_stand_wherever_variables_stand(site, where):
    site.load(
        {"linux/a": {**KERNEL, **(IN_20 if where == "target" else {})}},
        {"group": "g", **(IN_20 if where == "machine" else {})},
        groups={"g": {"vars": IN_20 if where == "group" else {}}},
        vars=IN_20 if where == "vars" else {},
        subnets={"192.0.2.0/24": {"vars": IN_20 if where == "subnet" else {}}},
    )
    assert "vcreate --tag 20 " in site.text()


@pytest.mark.parametrize("wrong", [0, 4095, -1, True, 20.5, "x", "000200", "20\nshell", "９", [20]])
def test_what_is_no_number_of_a_vlan_is_told_and_not_written(site, wrong):
    site.load({"linux/a": KERNEL}, {"vlan": wrong})
    answer = site.answer()
    assert answer.status == 500
    assert '"vlan" must be a number from 1 to 4094' in answer.detail
    assert "vcreate" not in answer.text
    assert "vlan-invalid" in {finding.code for finding in check(site.file).findings}


@pytest.mark.parametrize("good", [1, 4094, "20"])
def test_numbers_of_vlans(good):
    assert vlan.tag({"vlan": good}) == int(good)


def test_dracut_is_told_by_the_card_that_booted(site):
    site.load({"nfs/a": {**ROOT, "initramfs": "dracut"}}, IN_20)
    got = words(site.text())
    assert got[:4] == [
        f"ifname=netboot:{NODE}",
        "vlan=netboot.20:netboot",
        "ip=netboot.20:dhcp",
        "bootdev=netboot.20",
    ]
    assert "ip=dhcp" not in got
    assert "root=nfs:192.0.2.10:/srv/root" in got


def test_an_author_who_wrote_of_a_vlan_has_decided(site):
    own = "ip=bond0.7:dhcp vlan=bond0.7:bond0"
    site.load({"nfs/a": {**ROOT, "initramfs": "dracut", "boot_args": own}}, IN_20)
    got = words(site.text())
    assert [word for word in got if word.startswith(("vlan=", "ip=", "ifname="))] == own.split()


@pytest.mark.parametrize(
    ("system", "own"), [("rhel 9", "vlan=netboot.20:netboot"), ("sles 15", "vlanid=20")]
)
def test_installers_that_know_of_vlans(site, system, own):
    site.put("answers/x")
    site.load({"install/a": {**KERNEL, "os": system, "answer": "answers/x"}}, IN_20)
    assert own in words(site.text())


def test_a_type_of_ones_own_may_name_its_initramfs(site):
    site.load({"linux/a": {**KERNEL, "initramfs": "dracut", "overlay": True}}, IN_20)
    assert "vlan=netboot.20:netboot" in words(site.text())
    codes = {finding.code for finding in check(site.file).findings}
    assert not codes & {"target-unused-key", "target-remark"}


@pytest.mark.parametrize("initramfs", ["initramfs-tools", "live-boot", "casper"])
def test_check_says_where_nobody_tells_the_initramfs(site, initramfs):
    site.load({"nfs/a": {**ROOT, "initramfs": initramfs}}, IN_20)
    assert "vlan" not in " ".join(words(site.text()))
    [told] = [f.text for f in check(site.file).findings if f.code == "target-remark"]
    assert "VLAN 20" in told
    assert "__vlan__" in told


def test_a_placeholder_says_it_in_words_of_ones_own(site):
    site.load({"linux/a": {**KERNEL, "boot_args": "mine=eth0.__vlan__"}}, IN_20)
    assert words(site.text()) == ["mine=eth0.20"]
    assert "target-remark" not in {finding.code for finding in check(site.file).findings}


def test_methods_of_addresses_go_to_the_vlan():
    mac = MAC.parse("52:54:00:12:34:56")
    args = ("a", "ip=dhcp6", "BOOTIF=01-52-54-00-12-34-56", "b")
    got = vlan.tagged(args, "dracut", 7, mac)
    assert got[2:] == ("ip=netboot.7:dhcp6", "bootdev=netboot.7", "a", "b")
    assert vlan.tagged(args, "dracut", None, mac) == args
    assert vlan.tagged(args, "casper", 7, mac) == args
