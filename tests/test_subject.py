"""Machines that are listed without a MAC can be looked at all the same."""

from __future__ import annotations

import json

import pytest

from netbootd.cli import main

UUID = "00112233-4455-6677-8899-aabbccddeeff"
CARDS = ["52:54:00:12:34:57", "52:54:00:12:34:58"]


@pytest.fixture
def run(tmp_path, capsys):
    entry = {"type": "linux", "name": "a"}
    whole = {
        "targets": {"linux": {"a": {"kernel": "k"}, "b": {"kernel": "k"}}},
        "machines": {
            "default": {"type": "linux", "name": "b"},
            "by-serial": {**entry, "serial": "S 4711"},
            "by-uuid": {**entry, "uuid": UUID},
            "by-client-id": {**entry, "client_id": "ff:00:11:22:33:44:55:66:77:88"},
            "by-macs": {**entry, "macs": CARDS, "hostname": "node1"},
            "52:54:00:12:34:59": {**entry, "hostname": "node2"},
            "52:54:00:12:34:60": {**entry, "hostname": "twin"},
            "52:54:00:12:34:61": {**entry, "hostname": "twin"},
            "pi": {**entry, "serial": "10000000d4659bbd"},
        },
        "netbootd": {"firmware": "fw", "files": "files", "state": str(tmp_path / "state")},
    }
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "snponly.efi").write_bytes(b"loader")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "k").write_bytes(b"kernel")
    (tmp_path / "c.json").write_text(json.dumps(whole))

    def run(command, *arguments):
        status = main([*command.split(), "--config", str(tmp_path / "c.json"), *arguments])
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", ["by-serial", "by-uuid", "by-client-id", "pi"])
def test_an_entry_without_a_mac_is_shown_by_a_mac_that_stands_for_it(run, name):
    status, told, _ = run("show", name)
    assert status == 0
    assert f"02:00:00:00:00:01 (stands for the MAC of {name}, which is listed" in told
    assert "target    linux/a" in told


def test_an_entry_with_macs_is_shown_by_the_first(run):
    told = run("show", "by-macs")[1]
    assert told.startswith(f"machine   {CARDS[0]}\n")
    assert "mac=52:54:00:12:34:57 target=linux/a" in told


@pytest.mark.parametrize(("name", "mac"), [("node1", CARDS[0]), ("node2", "52:54:00:12:34:59")])
@pytest.mark.parametrize("command", ["show", "explain", "simulate"])
def test_a_host_name_means_the_one_machine_that_has_it(run, command, name, mac):
    _, told, aside = run(command, name)
    assert mac in told
    assert "neither" not in aside


def test_a_host_name_of_two_means_neither(run):
    status, _, told = run("show", "twin")
    assert status == 1
    assert "several machines: 52:54:00:12:34:60, 52:54:00:12:34:61" in told


def test_show_and_explain_say_the_same_of_the_address_of_a_stranger(tmp_path, capsys):
    whole = {
        "targets": {"localboot": {"disk": {}}},
        "machines": {"default": {"type": "localboot", "name": "disk"}},
        "subnets": {"10.7.0.0/24": {"dhcp": "server", "pools": ["10.7.0.100-10.7.0.199"]}},
    }
    (tmp_path / "c.json").write_text(json.dumps(whole))
    told = []
    for command in ("show", "explain"):
        main([command, "--config", str(tmp_path / "c.json"), "52:54:00:99:99:99"])
        lines = capsys.readouterr().out.splitlines()
        told += [line.split(None, 1)[1] for line in lines if line.startswith("address ")]
    assert told == ["one of 10.7.0.100-10.7.0.199 (a pool of subnet 10.7.0.0/24)"] * 2


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("by-serial", "serial     S 4711"),
        ("by-uuid", f"uuid       {UUID}"),
        ("by-client-id", "client_id  ff:00:11:22:33:44:55:66:77:88"),
    ],
)
def test_explain_takes_what_it_is_listed_by_as_said_by_its_firmware(run, name, line):
    status, told, _ = run("explain", name)
    assert status == 0
    assert line in told.splitlines()
    assert told.rstrip().endswith("linux/a")


@pytest.mark.parametrize("command", ["script", "overlay list"])
def test_what_may_be_piped_says_it_aside(run, command):
    status, told, aside = run(command, "by-serial")
    assert status == 0
    assert "stands for" not in told
    assert "02:00:00:00:00:01 stands for the MAC of by-serial" in aside


@pytest.mark.parametrize("command", ["show", "explain", "simulate", "script", "overlay list"])
def test_a_word_that_is_nobody_is_told_both_ways_to_name_a_machine(run, command):
    status, _, told = run(command, "by-serail")
    assert status == 1
    assert "'by-serail' is neither a MAC nor a name" in told
    assert "by-serial" in told


def test_a_raspberry_pi_is_taken_for_one_without_being_asked_for(run):
    told = run("explain", "pi")[1]
    assert "ARM rpiboot firmware" in told
    assert "none is needed: a Raspberry Pi reads its configuration by itself" in told
    assert "a Raspberry Pi asks, so it gets its configuration" in told
    assert "iPXE asks" not in told
    assert "loader    none: a Raspberry Pi needs none\n" in run("show", "pi")[1]


def test_the_other_readers_of_a_language_are_named(run, capsys):
    for arguments in (["--help"], ["--as", "lilo", "pi"]):
        with pytest.raises(SystemExit):
            run("show", *arguments)
        told = " ".join("".join(capsys.readouterr()).split())
        assert "grub (shim-grub too), pxelinux (syslinux.efi, U-Boot, petitboot too), pi" in told
