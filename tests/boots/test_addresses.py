"""What boots know of addresses where we are the DHCP server ourselves."""

from __future__ import annotations

import pytest

from netbootd.boots.boot import Code
from netbootd.events.lease import ForeignServer

from . import stories
from .stories import BASE, CARD, HERE, KEY, STRANGER, THERE, Story

SCRIPTED = ["discover", "offer", "loader", "ipxe-discover", "ipxe-offer", "script"]


@pytest.fixture
def story() -> Story:
    return Story()


def codes(boot) -> list[str]:
    return [note.code.value for note in boot.notes]


def to_script(story: Story) -> None:
    story.tell(*stories.gets(), *stories.by_tftp("snponly.efi"))
    story.tell(*stories.gets(file=f"{BASE}/boot/{CARD}", stage="iPXE"), stories.script())


def to_initrd(story: Story) -> None:
    to_script(story)
    story.tell(*stories.by_http("/vmlinuz"), *stories.by_http("/initrd"))


def test_a_boot_has_the_address_that_it_got_of_us(story):
    story.tell(*stories.gets())
    assert list(story.boots) == [1]
    assert story.stages == ["discover", "offer"]
    assert story.boot.peer == HERE
    assert codes(story.boot) == ["lease-offered", "leased"]
    leased = story.boot.notes[-1]
    assert leased.text == f"has {HERE} for 3600 s (new)"
    assert leased.data["address"] == HERE


def test_the_ack_of_a_dhcp_server_is_no_boot_server(story):
    to_script(story)
    assert story.stages == SCRIPTED
    assert story.follower.at(HERE) == (KEY, str(CARD), 1)


def test_an_ipxe_in_the_card_s_rom_has_one_boot(story):
    story.tell(*stories.gets(file=f"{BASE}/boot/{CARD}", stage="iPXE"), stories.script())
    assert list(story.boots) == [1]
    assert story.stages == ["ipxe-discover", "ipxe-offer", "script"]
    assert codes(story.boot) == ["lease-offered", "leased"]


def test_port_4011_is_one_as_ever(story):
    story.tell(stories.firmware(), stories.takes(), stories.on_4011())
    assert story.stages == ["discover", "offer", "4011"]


def test_an_ack_through_a_relay_is_no_boot_server(story):
    story.tell(*stories.gets(peer="198.51.100.1", relay="198.51.100.1"))
    assert story.stages == ["discover", "offer"]


def test_a_lease_of_the_booted_system_is_its_request(story):
    to_initrd(story)
    story.tell(stories.has(netboot=False))
    assert story.stages[-1] == "system"
    assert list(story.boots) == [1]


def test_a_renewal_is_no_sign_of_a_boot(story):
    to_initrd(story)
    before = story.boot
    assert story.tell(stories.has(how="renewed", netboot=False)) == []
    assert story.tell(stories.has(how="rebound", netboot=False)) == []
    assert story.boot == before


def test_a_reset_after_the_kernel_begins_another_boot_with_its_own_notes(story):
    to_initrd(story)
    story.passes(30)
    story.tell(stories.is_offered(), stories.firmware(style=""))
    assert sorted(story.boots) == [1, 2]
    assert codes(story.boots[2]) == ["lease-offered"]
    assert "lease-offered" in codes(story.boots[1])
    assert story.boots[1].notes[0].times == 2  # firmware's and iPXE's


def test_a_listed_machine_without_an_address_has_a_boot_that_says_so(story):
    story.tell(stories.is_denied(), stories.is_denied())
    assert story.stages == ["discover"]
    (note,) = story.boot.notes
    assert (note.code, note.times, note.data["code"]) == (Code.NO_ADDRESS, 2, "exhausted")


def test_ipxe_without_an_address_goes_on_with_the_boot_of_its_loader(story):
    story.tell(*stories.gets(), *stories.by_tftp("snponly.efi"), stories.is_denied())
    assert story.stages == ["discover", "offer", "loader", "ipxe-discover"]
    assert list(story.boots) == [1]


def test_a_system_without_an_address_is_noted_in_its_boot(story):
    to_initrd(story)
    story.tell(stories.is_denied())
    assert list(story.boots) == [1]
    assert codes(story.boot)[-1] == "no-address"


def test_a_stranger_s_laptop_without_an_address_makes_no_boot(story):
    story.tell(stories.is_denied(STRANGER), stories.in_use(STRANGER), stories.is_refused(STRANGER))
    story.tell(stories.has(STRANGER, netboot=False))
    assert story.boots == {}
    assert story.follower.at(HERE)[0] == str(STRANGER)


def test_a_listed_machine_that_runs_a_system_of_its_own_is_seen(story):
    story.tell(stories.is_offered(netboot=False), stories.has(netboot=False))
    assert story.boot.steps == ()
    assert story.boot.notes[0].data["netboot"] is False


def test_what_comes_before_the_first_offer_is_told_with_it(story):
    """The address is looked for before the file is."""
    story.tell(stories.in_use(), stories.is_offered(address=THERE))
    assert story.boots == {}
    story.tell(stories.firmware(style=""))
    assert codes(story.boot) == ["address-in-use", "lease-offered"]


def test_a_nak_and_a_foreign_server_are_noted(story):
    story.tell(stories.is_offered(), stories.firmware(style=""), stories.is_refused())
    foreign = ForeignServer(mac=CARD, server="192.0.2.77", interface="eth0", address=THERE)
    story.tell(foreign)
    assert codes(story.boot) == ["lease-offered", "naked", "foreign-server"]
    assert story.boot.notes[-1].data["server"] == "192.0.2.77"


def test_an_address_that_is_given_to_another_is_the_other_s(story):
    story.tell(*stories.gets())
    story.tell(stories.has(STRANGER, netboot=False))
    assert story.follower.at(HERE)[0] == str(STRANGER)
