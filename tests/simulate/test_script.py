"""The reader of iPXE scripts: what iPXE does with each line, we do."""

from __future__ import annotations

import pytest

from netbootd.mac import MAC
from netbootd.simulate.script import Ending, Outcome, Player, ScriptFault, settings_of

NODE = MAC.parse("00:25:90:27:db:b4")


def play(text, platform="pcbios", missing=()):
    fetched, said = [], []

    def fetch(command, url):
        fetched.append((command, url))
        return url not in missing

    player = Player(settings_of(NODE, platform, "i386", "192.0.2.100"), fetch, said.append)
    return player.play(text), fetched, said


def test_a_kernel_and_its_initrds_boot():
    outcome, fetched, said = play(
        "#!ipxe\necho hello\nkernel --name kernel http://s/k a=b || goto failed\n"
        "initrd --name initrd http://s/i || goto failed\nboot || goto failed\n:failed\nexit 1\n"
    )
    assert outcome == Outcome(Ending.BOOT)
    assert fetched == [("kernel", "http://s/k"), ("initrd", "http://s/i")]
    assert said == ["hello"]


def test_a_missing_kernel_goes_where_the_script_says():
    text = "#!ipxe\nkernel http://s/k || goto failed\nboot\n:failed\necho did not boot\nexit 1\n"
    outcome, _, said = play(text, missing=("http://s/k",))
    assert outcome == Outcome(Ending.GAVE_UP, status=1)
    assert said == ["did not boot"]


@pytest.mark.parametrize(("platform", "label"), [("efi", "uefi"), ("pcbios", "bios")])
def test_the_platform_guard(platform, label):
    text = "#!ipxe\niseq ${platform} efi && goto uefi ||\necho bios\nexit 0\n:uefi\necho uefi\nexit 0\n"
    assert play(text, platform)[2] == [label]


def test_chain_goes_on_elsewhere_with_the_settings_filled_in():
    outcome, _, _ = play(
        "#!ipxe\nisset ${netX/ip} || dhcp || goto x\nchain --replace http://s/${netX/mac:hexhyp}\n"
    )
    assert outcome == Outcome(Ending.CHAIN, "http://s/00-25-90-27-db-b4")


def test_the_disk():
    assert play("#!ipxe\nsanboot --no-describe --drive 0x80 || exit 1\n")[0].ending is Ending.DISK


def test_nobody_presses_a_key():
    text = "#!ipxe\nprompt --timeout 30000 && chain http://s/again ||\nexit 1\n"
    assert play(text)[0] == Outcome(Ending.EXIT, status=1)


@pytest.mark.parametrize("text", ["<html>", "#!ipxe\ngoto nowhere\n", "#!ipxe\n:a\ngoto a\n"])
def test_what_is_no_script_or_never_ends_is_a_fault(text):
    with pytest.raises(ScriptFault):
        play(text)


@pytest.mark.parametrize(
    "text",
    [
        "exit 1\n",
        "iseq ${platform} pcbios && exit 1 ||\nsanboot --drive 0x80\n",
        "goto out\n:out\nexit 1\n",
    ],
)
def test_leaving_is_meant_where_nothing_was_tried(text):
    assert play(f"#!ipxe\n{text}")[0] == Outcome(Ending.EXIT, status=1)


@pytest.mark.parametrize(
    "text",
    [
        "exit\n",
        "exit 0\n",
        "echo the end\n",
        "iseq a b\nexit 1\n",
        "initrd http://s/i\nexit 1\n",
        "kernel http://s/missing || exit 1\n",
        "sanboot http://s/missing || exit 1\n",
        "boot || exit 1\n",
        "goto uefi\nkernel http://s/k\n:uefi\nexit 1\n",
        "goto uefi\nsanboot --drive 0x80 iscsi:x\n:uefi\nexit 1\n",
    ],
)
def test_leaving_after_a_failure_is_giving_up(text):
    assert play(f"#!ipxe\n{text}", missing=("http://s/missing",))[0].ending is Ending.GAVE_UP


@pytest.mark.parametrize(
    ("line", "fetched", "ending"),
    [
        ("sanboot --drive 0x80 iscsi:x", [("sanboot", "iscsi:x")], Ending.IMAGE),
        ("sanboot -n http://s/d", [("sanboot", "http://s/d")], Ending.IMAGE),
        ("boot http://s/k", [("kernel", "http://s/k")], Ending.BOOT),
    ],
)
def test_what_a_command_fetches_by_itself(line, fetched, ending):
    outcome, found, _ = play(f"#!ipxe\n{line}\n")
    assert (outcome.ending, found) == (ending, fetched)


def test_nobody_chooses_so_the_default_is_taken():
    text = (
        "#!ipxe\nmenu m\nitem 1 a\nitem 2 b\n"
        "choose --default 2 --timeout 10 choice || goto x\nchain http://s/m?choice=${choice}\n"
    )
    assert play(text)[0] == Outcome(Ending.CHAIN, "http://s/m?choice=2")


def test_a_menu_without_a_default_is_left():
    assert play("#!ipxe\nchoose choice || exit 1\n")[0] == Outcome(Ending.EXIT, status=1)


def test_what_is_set_can_be_said():
    assert play("#!ipxe\nset a:string b  c\nset d e\necho ${d}\nexit 1\n")[2] == ["e"]
