"""``install``: what each installer is told of its answer file."""

from __future__ import annotations

import pytest

from netbootd.targets.install import family

from .conftest import NODE, OWN

BASE = {"kernel": "k", "initrd": "i"}
ANSWER = f"{OWN}/install/{NODE.dashed}/a.cfg"
BOOTIF = "BOOTIF=01-52-54-00-12-34-56"
SEED = f"ds=nocloud-net;s={OWN}/install/{NODE.dashed}/seed/"


def args(site, keys, machine=None):
    kernel = site.one("install/a", BASE | keys, machine)[0].split()
    assert kernel[:5] == ["kernel", "--name", "kernel", f"{OWN}/k", "initrd=initrd"]
    return kernel[5:]


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        ("debian", f"auto=true priority=critical interface=auto url={ANSWER} {BOOTIF}"),
        ("Debian 12", f"auto=true priority=critical interface=auto url={ANSWER} {BOOTIF}"),
        ("rhel", f"inst.ks={ANSWER} inst.ks.sendmac ip=dhcp {BOOTIF}"),
        ("Rocky 9", f"inst.ks={ANSWER} inst.ks.sendmac ip=dhcp {BOOTIF}"),
        ("almalinux", f"inst.ks={ANSWER} inst.ks.sendmac ip=dhcp {BOOTIF}"),
        ("fedora", f"inst.ks={ANSWER} inst.ks.sendmac ip=dhcp {BOOTIF}"),
        ("centos6", f"ks={ANSWER} kssendmac ksdevice={NODE}"),
        ("CentOS 6.2", f"ks={ANSWER} kssendmac ksdevice={NODE}"),
        ("suse", f"autoyast={ANSWER}"),
        ("opensuse", f"autoyast={ANSWER}"),
    ],
)
@pytest.mark.parametrize("file", ["install/a.cfg", "install/a.cfg.j2"])
def test_the_answer_file_is_told_as_the_installer_wants_it(site, system, wanted, file):
    site.put("k", "i", file)
    for written in ("install/a.cfg", "/install/a.cfg.j2"):
        assert args(site, {"os": system, "answer": written}) == wanted.split()
        assert site.told("file-missing") == []
        assert site.codes() == set()


def test_cloud_init_gets_a_folder_with_a_slash_behind(site):
    site.put("install/seed/user-data.j2", text="#cloud-config\n")
    assert args(site, {"os": "cloud-init", "answer": "install/seed"}) == [SEED]


def test_ubuntu_gets_its_iso_and_confirms_by_itself(site):
    site.put("install/seed/user-data", "u.iso", text="#cloud-config\n")
    keys = {"os": "ubuntu", "answer": "install/seed/", "tree": "u.iso"}
    assert args(site, keys) == [
        *["ip=dhcp", "root=/dev/ram0", "ramdisk_size=1500000", "autoinstall"],
        *[SEED, "cloud-config-url=/dev/null", f"url={OWN}/u.iso", BOOTIF],
    ]
    assert site.codes() == set()
    args(site, {"os": "ubuntu", "answer": "install/seed"})
    assert site.codes() == {"install-no-tree"}


@pytest.mark.parametrize(
    ("system", "word"), [("rhel", "inst.repo"), ("centos6", "method"), ("suse", "install")]
)
def test_the_tree_is_where_packages_come_from_and_may_be_a_folder(site, system, word):
    site.put("install/a.cfg", "tree/.treeinfo")
    keys = {"os": system, "answer": "install/a.cfg", "tree": "tree"}
    words = [one for one in args(site, keys) if one != BOOTIF]
    assert words[-1] == f"{word}={OWN}/tree"
    assert site.codes() == set()


def test_an_author_who_wrote_of_addresses_has_chosen_the_card(site):
    site.put("install/a.cfg")
    keys = {"os": "rhel", "answer": "install/a.cfg", "boot_args": "ip=eth1:dhcp"}
    assert BOOTIF not in args(site, keys)


def test_a_word_of_the_author_is_left_alone_and_stands_behind_ours(site):
    site.put("install/a.cfg")
    keys = {"os": "debian", "answer": "install/a.cfg", "boot_args": "url=http://x/y --- quiet"}
    assert args(site, keys) == [
        *["auto=true", "priority=critical", "interface=auto", BOOTIF],
        *["url=http://x/y", "---", "quiet"],
    ]


def test_debian_is_told_the_machines_name(site):
    site.put("install/a.cfg")
    machine = {"hostname": "node1", "domain": "example.org"}
    words = args(site, {"os": "debian", "answer": "install/a.cfg"}, machine)
    assert words[:2] == ["hostname=node1", "domain=example.org"]
    own = {"os": "debian", "answer": "install/a.cfg", "boot_args": "hostname=x"}
    assert [word for word in args(site, own, machine) if word.startswith("hostname")] == [
        "hostname=x"
    ]


def test_the_answer_may_be_named_in_the_arguments(site):
    site.put("install/a.cfg")
    keys = {"answer": "install/a.cfg", "boot_args": "inst.ks=__answer__"}
    assert args(site, keys) == [f"inst.ks={ANSWER}"]
    assert site.codes() == set()


def test_an_answer_that_nobody_reads_is_told(site):
    site.put("install/a.cfg")
    assert args(site, {"answer": "install/a.cfg", "os": "plan9", "boot_args": "x"}) == ["x"]
    [told] = site.told("answer-unused")
    assert "debian, rhel, suse, ubuntu" in told


def test_an_answer_that_is_not_there_is_told(site):
    site.put("k", "i")
    args(site, {"answer": "install/a.cfg", "os": "debian"})
    assert any("install/a.cfg" in told for told in site.told("file-missing"))


def test_an_answer_of_another_server_is_a_url(site):
    assert args(site, {"os": "suse", "answer": "http://192.0.2.8/a.xml"}) == [
        "autoyast=http://192.0.2.8/a.xml"
    ]


def test_answers_outside_install_are_served_per_machine_too(site):
    site.put("a.cfg")
    assert args(site, {"os": "suse", "answer": "a.cfg"}) == [f"autoyast={OWN}/{NODE.dashed}/a.cfg"]


def test_an_install_is_once_unless_it_says_otherwise(site):
    registry = site.load({"install/a": BASE, "install/b": BASE | {"once": False}, "nfs/c": BASE})
    assert [
        registry.targets[title].common.once for title in ("install/a", "install/b", "nfs/c")
    ] == [
        True,
        False,
        False,
    ]
    assert registry.targets["install/a"].common.calls_back


@pytest.mark.parametrize(
    ("system", "wanted"),
    [("cloud-init", "cloud-init"), ("RHEL 9.4", "rhel"), ("rhel6", "centos6"), ("", "")],
)
def test_families(system, wanted):
    assert family(system) == wanted


@pytest.mark.parametrize("name", ["my host || reboot", "n1 ", "#n1 x"])
def test_a_host_name_with_a_blank_is_no_argument(site, name):
    site.load({"install/a": {"kernel": "k", "os": "debian", "answer": "a"}}, {"hostname": name})
    assert site.answer().status == 500
    assert any("__hostname__" in told for told in site.told("placeholder-empty"))
