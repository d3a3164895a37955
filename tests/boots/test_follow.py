"""Events of whole boots, as the edges publish them, and the boots that they make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netbootd.boots.begins import has_script
from netbootd.boots.boot import Code, Outcome, Stage
from netbootd.boots.steps import MOST_NOTES, MOST_STEPS
from netbootd.boots.turn import Who
from netbootd.events.event import (
    Held,
    Looped,
    Refused,
    Restyled,
    Silent,
    StyleFound,
    TransferEnded,
    TransferFailed,
    Unserved,
)
from netbootd.events.witness import Overheard

from . import stories
from .stories import CARD, DESK, HERE, KEY, OTHER_CARD, STRANGER, THERE, Story

DISCOVER = ["discover", "offer"]
LOADED = [*DISCOVER, "loader", "ipxe-discover", "ipxe-offer", "script"]
BOOTED = [*LOADED, "kernel", "initrd"]


@pytest.fixture
def story() -> Story:
    return Story()


def codes(boot) -> list[str]:
    return [note.code.value for note in boot.notes]


# -- a boot that goes well ---------------------------------------------------------------------


def test_a_boot_is_one_from_its_discover_to_the_report_that_it_is_up(story):
    system = [stories.runs(), stories.node_script(), stories.reports()]
    story.tell(*stories.boots(), *system)
    assert list(story.boots) == [1]
    assert story.stages == [*BOOTED, "system", "node-script", "done"]
    assert story.boot.outcome is Outcome.DONE
    assert story.boot.key == KEY
    assert story.boot.macs == (str(CARD),)
    assert story.boot.target == stories.NFS
    assert story.boot.peer == HERE


def test_a_step_tells_when_from_where_and_how_much(story):
    story.tell(*stories.boots())
    kernel = story.boot.step(Stage.KERNEL)
    assert (kernel.path, kernel.size, kernel.sent) == ("/images/vmlinuz", 1000, 1000)
    assert (kernel.peer, kernel.protocol, kernel.open) == (HERE, "HTTP", False)
    assert kernel.seconds == 1.0
    offer = story.boot.step(Stage.OFFER)
    assert (offer.interface, offer.note, offer.generation) == ("eth0", "menu", 1)


def test_each_step_tells_which_generation_served_it(story):
    story.tell(stories.firmware())
    story.generation = 2
    story.tell(stories.ipxe())
    assert story.boot.step(Stage.OFFER).generation == 1
    assert story.boot.step(Stage.IPXE_OFFER).generation == 2
    assert story.boot.generation == 2


def test_a_transfer_is_open_from_its_start_to_its_end(story):
    started, served = stories.by_http("/images/vmlinuz")
    story.tell(*stories.loads(), started)
    assert story.boot.step(Stage.KERNEL).open
    story.tell(served)
    assert not story.boot.step(Stage.KERNEL).open


def test_asking_for_the_size_of_a_loader_is_no_second_fetch(story):
    story.tell(*stories.loads())
    loader = story.boot.step(Stage.LOADER)
    assert (loader.times, loader.sent, loader.trouble) == (1, 70_000, "")
    assert Code.BROKEN.value not in codes(story.boot)


def test_what_was_offered_is_the_loader_whatever_it_is_called(story):
    story.tell(stories.firmware(file="netboot.bin"), *stories.by_tftp(f"{CARD}/netboot.bin"))
    assert story.stages == [*DISCOVER, "loader"]


def test_a_file_without_a_mac_belongs_to_whoever_has_the_address(story):
    story.tell(*stories.loads(), *stories.by_http("/images/vmlinuz", mac=None, peer=HERE))
    assert story.boot.reached is Stage.KERNEL


def test_the_memory_that_a_script_was_told_of_is_kept(story):
    story.tell(stories.ipxe(), stories.script(memory=512), stories.script())
    assert story.boot.memory == 512


# -- one machine with several faces ------------------------------------------------------------


def test_retries_are_one_step(story):
    story.tell(*[stories.firmware()] * 4, every=8)
    assert story.stages == DISCOVER
    step = story.boot.step(Stage.DISCOVER)
    assert (step.times, step.seconds) == (4, 24)


def test_firmware_that_asks_again_after_minutes_boots_anew(story):
    story.tell(stories.firmware())
    story.tell(stories.firmware(), every=200)
    assert [boot.outcome for boot in story.boots.values()] == [Outcome.AGAIN, Outcome.OPEN]


def test_another_card_of_the_machine_goes_on_in_the_same_boot(story):
    story.tell(stories.firmware(CARD), stories.firmware(OTHER_CARD))
    path = f"{OTHER_CARD}/undionly.kpxe"
    story.tell(*stories.by_tftp(path, OTHER_CARD), stories.ipxe(OTHER_CARD))
    assert list(story.boots) == [1]
    assert story.boot.macs == (str(CARD), str(OTHER_CARD))
    assert [step.mac for step in story.boot.steps if step.stage is Stage.DISCOVER] == [
        str(CARD),
        str(OTHER_CARD),
    ]


def test_cards_that_say_one_uuid_are_one_machine_though_it_is_not_listed():
    uuid = "4c4c4544-0035-4410-8052-b7c04f4e3232"
    story = Story({card: Who(str(card), False, uuid) for card in (CARD, OTHER_CARD)})
    story.tell(stories.firmware(CARD), stories.firmware(OTHER_CARD))
    assert list(story.boots) == [1]
    assert story.boot.key == str(CARD)
    assert story.boot.uuid == uuid


def test_many_boards_with_one_uuid_are_many_machines():
    uuid = "4c4c4544-0035-4410-8052-b7c04f4e3232"
    cards = [type(CARD)(bytes([2, 0, 0, 0, 0, n])) for n in range(40)]
    story = Story({card: Who(str(card), False, uuid) for card in cards})
    story.tell(*[stories.firmware(card) for card in cards])
    assert len(story.boots) > 30


def test_a_new_address_of_the_running_system_is_the_same_boot(story):
    story.tell(*stories.boots(), stories.runs(), stories.takes(address=THERE, netboot=False))
    story.tell(*stories.by_http("/images/root.squashfs", peer=THERE))
    story.tell(stories.node_script(peer=THERE), stories.reports(peer=THERE))
    assert story.stages == [*BOOTED, "system", "files", "node-script", "done"]
    assert story.follower.at(THERE) == (KEY, str(CARD), 1)


@pytest.mark.parametrize("claim", [stories.takes, stories.is_given])
def test_a_stranger_takes_no_address_from_a_listed_machine_by_dhcp(story, claim):
    story.tell(*stories.boots(), stories.firmware(STRANGER), claim(STRANGER, HERE))
    assert story.follower.at(HERE) == (KEY, str(CARD), 1)
    story.tell(claim(STRANGER, THERE))
    assert story.follower.at(THERE)[0] == str(STRANGER)
    story.tell(claim(CARD, THERE))
    assert story.follower.at(THERE)[0] == KEY


def test_whoever_fetches_from_an_address_has_it_and_who_only_asks_has_not(story):
    path = f"{STRANGER}/undionly.kpxe"
    story.tell(*stories.boots(), stories.firmware(STRANGER))
    asked, fetched = stories.by_tftp(path, STRANGER, HERE)
    story.tell(asked)
    assert story.follower.at(HERE)[0] == KEY
    story.tell(fetched)
    assert story.follower.at(HERE)[0] == str(STRANGER)


def test_a_clock_that_is_set_back_makes_no_boot_endless(story):
    story.tell(stories.firmware())
    story.passes(-86_400)
    story.tell(stories.firmware())
    story.tell(stories.firmware())
    assert len(story.boots) == 2


def test_http_boot_after_pxe_is_the_same_boot(story):
    story.tell(stories.firmware(arch="UEFI x64"), *stories.by_tftp("snponly.efi"))
    story.tell(stories.http_firmware(), *stories.by_http(f"/{CARD.dashed}/snponly.efi", CARD))
    assert list(story.boots) == [1]
    assert story.stages == [*DISCOVER, "loader", *DISCOVER, "loader"]


def test_firmware_that_asks_for_its_http_boot_again_is_the_same_boot(story):
    story.tell(stories.firmware(arch="UEFI x64"), *stories.by_tftp("snponly.efi"))
    story.tell(*[stories.http_firmware()] * 4, every=8)
    assert list(story.boots) == [1]
    assert [step.times for step in story.boot.steps] == [1, 1, 1, 4, 4]


def sent_on_to_its_disk(story):
    """By a script; its firmware has yet another way to boot from the network, and takes that."""
    pxe = stories.firmware(arch="UEFI x64")
    disk = stories.script(target=stories.DISK)
    story.tell(pxe, stories.takes(), *stories.by_tftp("snponly.efi"), stories.ipxe(), disk)
    story.tell(*[stories.http_firmware()] * 3, every=8)
    story.tell(*stories.by_http(f"/{CARD.dashed}/snponly.efi", CARD))
    return pxe, disk


def test_firmware_that_was_sent_on_and_tries_http_is_in_the_same_boot(story):
    _, disk = sent_on_to_its_disk(story)
    story.tell(stories.ipxe(), every=40)
    story.tell(disk)
    assert list(story.boots) == [1]
    assert story.stages == [
        *(*DISCOVER, "loader", "ipxe-discover", "ipxe-offer", "script"),
        *(*DISCOVER, "loader"),
    ]
    assert story.boot.step(Stage.SCRIPT).times == 2


def test_firmware_that_was_sent_on_and_begins_from_the_front_was_reset(story):
    pxe, _ = sent_on_to_its_disk(story)
    story.tell(pxe)
    assert list(story.boots) == [1, 2]


def test_firmware_that_comes_by_another_way_long_after_its_script_was_reset(story):
    story.tell(stories.firmware(arch="UEFI x64"), *stories.by_tftp("snponly.efi"), stories.ipxe())
    story.tell(stories.script(target=stories.DISK))
    story.tell(stories.http_firmware(), every=200)
    assert list(story.boots) == [1, 2]


def test_firmware_that_comes_by_another_way_after_its_kernel_was_reset(story):
    story.tell(*stories.boots())
    story.tell(stories.http_firmware())
    assert list(story.boots) == [1, 2]


def test_firmware_that_asks_again_after_its_loader_was_reset(story):
    story.tell(stories.firmware(), *stories.by_tftp("undionly.kpxe"))
    story.tell(stories.firmware(), every=40)
    assert story.boots[1].outcome is Outcome.AGAIN
    assert story.stages == DISCOVER


def test_an_ipxe_that_is_replaced_by_ours_is_one_boot(story):
    own = stories.ipxe(file="undionly.kpxe")
    story.tell(own, *stories.by_tftp(f"{CARD}/undionly.kpxe"), stories.ipxe(), stories.script())
    assert list(story.boots) == [1]
    assert story.stages == LOADED


def test_efi_firmware_that_asks_the_boot_server_is_one_boot(story):
    story.tell(stories.firmware(), stories.takes(), stories.on_4011(), stories.on_4011())
    assert story.stages == [*DISCOVER, "4011"]
    assert story.boot.step(Stage.BOOT_SERVER).times == 2


def test_a_loop_of_loaders_stays_one_boot(story):
    loader = stories.by_tftp(f"{CARD}/undionly.kpxe")
    story.tell(stories.firmware(), *[one for _ in range(50) for one in (*loader, stories.ipxe())])
    story.tell(Looped(mac=CARD, peer=HERE, file="undionly.kpxe", times=3))
    assert list(story.boots) == [1]
    assert story.stages == [*DISCOVER, "loader", "ipxe-discover", "ipxe-offer"]
    assert story.boot.step(Stage.LOADER).times == 50
    assert codes(story.boot) == ["looped"]


def test_silence_of_a_spanning_tree_parts_no_boot(story):
    story.tell(stories.firmware(), *stories.by_tftp("undionly.kpxe"))
    story.tell(stories.ipxe(), every=32)
    story.tell(Silent(mac=CARD, seconds=31.0))
    assert list(story.boots) == [1]
    assert story.boot.notes[-1].data == {"seconds": 31.0}


def test_ipxe_asks_for_an_address_again_after_its_first_script(story):
    story.tell(stories.firmware(), stories.takes(), *stories.by_tftp("undionly.kpxe"))
    story.tell(*stories.by_tftp("autoexec.ipxe"), stories.ipxe(), stories.first_script())
    story.tell(stories.ipxe(), stories.script(), every=30)
    assert list(story.boots) == [1]
    assert [step.note for step in story.boot.steps if step.stage is Stage.SCRIPT] == [
        "first contact",
        stories.NFS,
    ]


def grub(*scripts):
    """From firmware to the configuration that names no machine, and *scripts* behind it."""
    loader = [stories.firmware(), stories.takes(), *stories.by_tftp("grubx64.efi")]
    return [*loader, *scripts]


def test_grub_has_its_script_when_it_has_asked_by_its_mac(story):
    own = "/grub.cfg-01-00:25:90:27:db:b4"
    story.tell(*grub(*stories.by_tftp("/grub/grub.cfg", mac=None)))
    assert not has_script(story.boot)
    story.tell(stories.script(path=own), *stories.by_tftp(own, mac=None))
    assert has_script(story.boot)
    scripts = [step for step in story.boot.steps if step.stage is Stage.SCRIPT]
    assert [(step.note, step.path) for step in scripts] == [
        ("first contact", "/grub/grub.cfg"),
        (stories.NFS, own),
    ]


def test_grub_has_its_script_at_once_where_its_address_is_a_machines(story):
    anybodys = stories.by_tftp("/grub/grub.cfg", mac=None)
    story.tell(*grub(stories.script(path="/grub/grub.cfg"), *anybodys))
    scripts = [step for step in story.boot.steps if step.stage is Stage.SCRIPT]
    assert [step.note for step in scripts] == [stories.NFS]
    assert has_script(story.boot)


def test_files_that_came_whole_are_as_large_as_what_was_sent(story):
    story.tell(*stories.boots(), *stories.by_http("/live/filesystem.squashfs", size=1000))
    files = story.boot.step(Stage.FILES)
    assert (files.times, files.sent, files.size, files.open) == (1, 1000, 1000, False)
    story.tell(stories.part("/cd.iso", 200, 100, 9000), *stories.by_http("/packages", size=50))
    files = story.boot.step(Stage.FILES)
    assert (files.times, files.sent, files.size) == (3, 1150, 1150)


def test_an_ipxe_of_the_card_that_asks_again_after_its_kernel_has_been_reset(story):
    story.tell(stories.ipxe(), stories.script(), *stories.by_http("/images/vmlinuz"))
    story.tell(stories.ipxe())
    assert story.boots[1].outcome is Outcome.AGAIN
    assert story.boots[2].outcome is Outcome.OPEN


def test_a_script_may_ask_for_an_address_on_a_vlan_at_once(story):
    story.tell(stories.ipxe(), stories.script(), stories.ipxe(), stories.script())
    assert list(story.boots) == [1]


def test_an_ipxe_of_the_card_that_asks_again_after_its_script_has_been_reset(story):
    story.tell(stories.ipxe(), stories.script())
    story.tell(stories.ipxe(), every=30)
    assert list(story.boots) == [1, 2]


def test_a_script_that_is_asked_for_again_when_its_initrd_broke_off_is_the_same_boot(story):
    broken = stories.by_http("/images/initrd", sent=10)
    story.tell(*stories.loads(), *stories.by_http("/images/vmlinuz"), *broken)
    story.tell(stories.script(), every=30)
    assert list(story.boots) == [1]
    story.tell(*stories.by_http("/images/vmlinuz"))
    story.tell(stories.script(), every=300)
    assert list(story.boots) == [1, 2]


# -- other loaders -----------------------------------------------------------------------------


def test_pxelinux_boots_without_ipxe(story):
    configuration = f"{CARD}/pxelinux.cfg/01-{CARD.dashed}"
    story.tell(stories.firmware(file="lpxelinux.0"), stories.takes())
    story.tell(*stories.by_tftp(f"{CARD}/lpxelinux.0"), *stories.by_tftp(f"{CARD}/ldlinux.c32"))
    story.tell(stories.script(path=configuration), *stories.by_tftp(configuration))
    story.tell(*stories.by_http("/images/vmlinuz"), *stories.by_http("/images/initrd"))
    assert story.stages == [*DISCOVER, "loader", "loader", "script", "kernel", "initrd"]
    assert story.boot.step(Stage.SCRIPT).times == 1


def test_shim_loads_grub_and_grub_its_configuration(story):
    story.tell(stories.firmware(file="shimx64.efi"), *stories.by_tftp(f"{CARD}/shimx64.efi"))
    story.tell(*stories.by_tftp(f"{CARD}/grubx64.efi"))
    story.tell(stories.script(path=f"/grub.cfg-01-{CARD.dashed}"))
    story.tell(*stories.by_tftp("images/vmlinuz"), *stories.by_tftp("images/initrd"))
    assert story.stages == [*DISCOVER, "loader", "loader", "script", "kernel", "initrd"]


def test_the_modules_of_a_loader_are_no_flood_of_steps(story):
    story.tell(stories.firmware(file="core.0"))
    for number in range(100):
        story.tell(*stories.by_tftp(f"core.0/{number}/undionly.kpxe"))
    assert len(story.boot.steps) <= 12
    assert story.boot.step(Stage.LOADER).times > 80


def test_u_boot_that_tries_again_with_new_xids_is_one_boot(story):
    for _ in range(3):
        story.tell(stories.firmware(arch="U-Boot ARM64", file=f"pxelinux.cfg/{CARD}"))
        missing = f"pxelinux.cfg/01-{CARD.dashed}"
        story.tell(Refused(mac=CARD, peer=HERE, protocol="TFTP", path=missing, status=1, reason=""))
    assert list(story.boots) == [1]
    assert story.boot.step(Stage.DISCOVER).times == 3
    assert codes(story.boot) == ["refused"]


def test_a_raspberry_pi_is_one_boot_though_device_trees_come_before_its_kernel(story):
    folder = "9027dbb4"
    story.tell(stories.firmware(arch="Raspberry Pi", file=""), *stories.by_tftp("start4.elf"))
    story.tell(*stories.by_tftp(f"{folder}/config.txt"), *stories.by_tftp(f"{folder}/start4.elf"))
    story.tell(*stories.by_tftp(f"{folder}/bcm2711-rpi-4-b.dtb"))
    story.tell(stories.script(path=f"{folder}/cmdline.txt"))
    story.tell(*stories.by_tftp(f"{folder}/cmdline.txt"), *stories.by_tftp(f"{folder}/vmlinuz"))
    assert list(story.boots) == [1]
    assert story.boot.reached is Stage.FILES
    assert story.boot.step(Stage.KERNEL).sent == 70_000


# -- what ends a boot --------------------------------------------------------------------------


def test_a_machine_that_is_reset_in_the_middle_begins_another(story):
    story.tell(*stories.loads(), *stories.by_http("/images/vmlinuz"), stories.firmware())
    assert story.boots[1].outcome is Outcome.AGAIN
    assert story.stages == DISCOVER


def test_an_installation_is_over_before_the_next_boot(story):
    story.tell(*stories.boots(), stories.reports(), stories.firmware())
    assert [boot.outcome for boot in story.boots.values()] == [Outcome.DONE, Outcome.OPEN]


def test_a_system_that_never_reports_was_not_cut_short_when_it_is_booted_again(story):
    story.tell(*stories.boots(), stories.runs())
    story.tell(stories.firmware(), every=86_400)
    assert story.boots[1].outcome is Outcome.OPEN


def test_an_installer_that_never_reported_was_cut_short(story):
    script = stories.script(target=stories.INSTALL)
    story.tell(stories.firmware(), script, *stories.by_http("/images/vmlinuz"))
    story.tell(stories.firmware(), every=86_400)
    assert story.boots[1].outcome is Outcome.AGAIN


def test_a_machine_that_went_on_to_its_own_disk_was_not_cut_short(story):
    story.tell(stories.ipxe(), stories.script(target=stories.DISK))
    story.tell(stories.firmware(), every=600)
    assert story.boots[1].outcome is Outcome.OPEN


def test_a_failure_is_told_with_its_last_words(story):
    story.tell(*stories.boots(), stories.reports("failed", status="3", output="one\nno disk\n"))
    assert story.boot.outcome is Outcome.FAILED
    assert story.boot.step(Stage.FAILED).trouble == "no disk"
    assert story.boot.notes[-1].data["output"] == "one\nno disk\n"
    assert story.boot.reached is Stage.INITRD


def test_an_overdue_machine_may_still_report(story):
    story.tell(*stories.boots())
    story.tell(stories.reports("overdue"), every=600)
    assert story.boot.outcome is Outcome.OVERDUE
    story.tell(stories.reports(), every=600)
    assert story.boot.outcome is Outcome.DONE


def test_a_report_belongs_to_the_boot_that_got_a_script(story):
    story.tell(*stories.boots(), stories.firmware(), stories.reports())
    assert story.boots[1].outcome is Outcome.DONE
    assert story.boots[2].outcome is Outcome.OPEN


def test_a_node_script_days_after_the_end_does_not_open_the_boot_again(story):
    story.tell(*stories.boots(), stories.node_script(), stories.reports())
    before = story.boot
    assert story.tell(stories.node_script(), every=3 * 86_400) == []
    assert story.tell(*stories.by_http("/packages/a.deb", CARD)) == []
    assert story.boot == before


def test_a_held_machine_shows_why(story):
    why = "undionly.kpxe was fetched 9 times"
    story.tell(stories.firmware(), *stories.by_tftp("undionly.kpxe"))
    story.tell(Held(mac=CARD, peer=HERE, says=why))
    assert story.stages == [*DISCOVER, "loader"]
    assert story.boot.notes[-1].data == {"reason": why}
    story.tell(stories.ipxe(), stories.script(says=f"held: {why}", code="held"))
    assert story.boot.step(Stage.SCRIPT).trouble == f"held: {why}"


def test_what_cannot_report_is_complete_when_somebody_says_so(story):
    story.tell(*stories.boots())
    (boot,) = story.follower.complete(KEY, story.now)
    assert (boot.outcome, boot.reached) == (Outcome.DONE, Stage.DONE)
    assert story.follower.complete(KEY, story.now) == []


# -- what is not a boot ------------------------------------------------------------------------


def test_a_script_that_somebody_looks_at_is_no_boot(story):
    assert story.tell(stories.looked_at()) == []
    assert story.follower.at(DESK) == ("", "", 0)
    assert story.tell(stories.looked_at(), every=4000) == []


def test_a_script_that_somebody_looks_at_is_no_step_of_the_boot_that_is_on(story):
    story.tell(*stories.boots())
    story.elsewhere.add(DESK)
    assert story.tell(stories.looked_at()) == []
    assert story.boot.step(Stage.SCRIPT).times == 1
    assert story.follower.at(DESK) == ("", "", 0)


def test_a_loader_gets_its_script_wherever_its_machine_is_said_to_live(story):
    story.elsewhere.add(HERE)
    story.tell(stories.firmware(), stories.script())
    assert story.stages == [*DISCOVER, "script"]
    assert story.boot.peer == HERE


def test_a_script_that_a_loader_got_is_a_boot_though_no_dhcp_was_heard(story):
    story.tell(stories.script())
    assert story.stages == ["script"]
    assert story.follower.at(HERE) == (KEY, str(CARD), 1)


def test_a_script_whose_files_are_fetched_is_a_boot_whoever_asked_for_it(story):
    story.tell(stories.looked_at(peer=HERE), *stories.by_http("/images/vmlinuz"))
    assert list(story.boots) == [1]
    assert story.stages == ["script", "kernel"]
    assert story.follower.at(HERE) == (KEY, str(CARD), 1)


def test_a_look_at_a_script_before_a_boot_is_forgotten(story):
    story.tell(stories.looked_at(), *stories.loads())
    assert list(story.boots) == [1]
    assert story.stages == LOADED
    assert story.boot.peer == HERE


def test_a_look_at_the_first_script_of_all_is_no_address_of_the_machine(story):
    story.tell(stories.firmware(), stories.is_given(), stories.looked_at())
    assert story.boot.peer == HERE
    assert story.follower.at(DESK) == ("", "", 0)


def test_a_day_after_its_last_sign_a_boot_that_nobody_ended_is_left_alone(story):
    story.tell(*stories.boots(), stories.runs())
    assert story.tell(stories.node_script(), every=3 * 86_400) == []


def test_who_runs_already_is_no_boot():
    story = Story()
    assert (
        story.tell(stories.runs(STRANGER), stories.takes(STRANGER), stories.is_given(STRANGER))
        == []
    )
    assert story.tell(stories.node_script(), stories.reports()) == []


def test_a_listed_machine_that_does_not_boot_from_the_network_leaves_a_note(story):
    story.tell(*[stories.runs()] * 3)
    assert list(story.boots) == [1]
    assert story.boot.reached is None
    assert [(note.code, note.times) for note in story.boot.notes] == [(Code.NOT_NETBOOT, 3)]


def test_a_machine_that_goes_on_from_its_disk_is_no_booted_system(story):
    story.tell(stories.firmware(), stories.runs())
    assert story.stages == DISCOVER
    assert codes(story.boot) == ["not-netboot"]


# -- bounds ------------------------------------------------------------------------------------


def test_thousands_of_packages_are_one_step(story):
    story.tell(*stories.boots(), *stories.by_http("/install/x/preseed.cfg", CARD))
    for number in range(3000):
        story.tell(*stories.by_http(f"/debian/pool/{number}.deb"), every=0.01)
    files = story.boot.step(Stage.FILES)
    assert story.stages == [*BOOTED, "answer-file", "files"]
    assert (files.times, files.sent) == (3000, 3_000_000)


def test_a_disk_that_is_read_over_http_is_one_step(story):
    story.tell(stories.ipxe(), stories.script(target=stories.SAN))
    reads = [stories.part("/disk.img", n * 512, 512, 10**9) for n in range(3000)]
    story.tell(*reads, every=0.01)
    disk = story.boot.step(Stage.FILES)
    assert (disk.times, disk.sent, disk.size) == (3000, 3000 * 512, 3000 * 512)
    story.tell(stories.ipxe())
    assert story.boot.number == 2


def test_ranges_of_a_kernel_are_one_fetch(story):
    story.tell(*stories.loads(), *[stories.part("/vmlinuz", n * 100, 100, 1000) for n in range(10)])
    kernel = story.boot.step(Stage.KERNEL)
    assert (kernel.size, kernel.sent) == (1000, 1000)


def test_a_file_that_broke_off_and_is_fetched_again_is_well(story):
    story.tell(*stories.loads(), *stories.by_http("/images/initrd", sent=300))
    broken = story.boot.step(Stage.INITRD)
    assert (broken.sent, broken.trouble) == (300, "the client went away")
    story.tell(*stories.by_http("/images/initrd"))
    again = story.boot.step(Stage.INITRD)
    assert (again.sent, again.trouble, again.times) == (1000, "", 2)
    assert [note.data["sent"] for note in story.boot.notes if note.code is Code.BROKEN] == [300]


def test_steps_and_notes_have_an_end(story):
    story.tell(*stories.loads())
    for number in range(500):
        story.tell(*stories.by_http(f"/{number}/vmlinuz"), *stories.by_http(f"/{number}/initrd"))
        story.tell(stories.script(says=f"{number}"), stories.ipxe())
        reply = {"message": "offer", "server": f"192.0.2.{number % 250}", "file": f"{number}"}
        story.tell(Overheard(mac=CARD, **reply))
    assert all(len(boot.steps) <= MOST_STEPS for boot in story.boots.values())
    assert all(len(boot.notes) <= MOST_NOTES for boot in story.boots.values())


def test_a_flood_of_one_kind_of_note_leaves_the_others(story):
    story.tell(stories.firmware(), Silent(mac=CARD, seconds=30.0))
    for number in range(200):
        story.tell(Refused(mac=CARD, protocol="TFTP", path=f"{number}", status=1, reason=""))
    assert codes(story.boot)[0] == "silent"
    assert len(story.boot.notes) == MOST_NOTES


def test_machines_that_somebody_makes_up_push_out_no_listed_one(story):
    story.tell(stories.firmware())
    for number in range(3000):
        mac = type(CARD)(b"\x02" + number.to_bytes(5, "big"))
        story.tell(stories.firmware(mac), every=0.001)
    assert KEY in story.follower.shelf.latest
    assert len(story.follower.shelf.latest) <= 1025


# -- notes -------------------------------------------------------------------------------------

UNSERVED = Unserved(
    mac=CARD, protocol="DHCP", reason="disabled", code="disabled", stage="firmware", interface="e"
)
FAILED = TransferFailed(
    mac=CARD, peer=HERE, path="x", reason="silent", end="lost", size=9, acked=4, oack=True
)
UNHEARD = TransferEnded(mac=CARD, peer=HERE, path="undionly.kpxe", reason="no", end="unheard")


@pytest.mark.parametrize(
    ("event", "code", "data"),
    [
        (UNSERVED, Code.UNSERVED, {"code": "disabled", "reason": "disabled", "stage": "firmware"}),
        (stories.runs(), Code.NOT_NETBOOT, {"vendor_class": "Linux"}),
        (stories.takes(), Code.REQUESTED, {"server": "192.0.2.1", "address": HERE}),
        (stories.is_given(), Code.OVERHEARD, {"message": "ack", "address": HERE, "proxy": False}),
        (
            Refused(mac=CARD, protocol="HTTP", path="/x", status=404, reason="not there"),
            Code.REFUSED,
            {"protocol": "HTTP", "path": "/x", "status": 404},
        ),
        (FAILED, Code.BROKEN, {"end": "lost", "size": 9, "sent": 4, "oack": True}),
        (UNHEARD, Code.BROKEN, {"end": "unheard", "path": "undionly.kpxe", "protocol": "TFTP"}),
        (
            Restyled(mac=CARD, before="menu", style="plain"),
            Code.RESTYLED,
            {"before": "menu", "style": "plain"},
        ),
        (stories.firmware(warning="no such NIC"), Code.WARNED, {"file": "undionly.kpxe"}),
        (Looped(mac=CARD, file="x", times=3), Code.LOOPED, {"file": "x", "times": 3}),
        (Silent(mac=CARD, seconds=28.0), Code.SILENT, {"seconds": 28.0}),
        (Held(mac=CARD, says="why"), Code.HELD, {"reason": "why"}),
    ],
    ids=lambda value: value.value if isinstance(value, Code) else "",
)
def test_every_code_comes_from_its_event_with_the_facts(story, event, code, data):
    story.tell(stories.firmware(), event, event)
    (note,) = [note for note in story.boot.notes if note.code is code]
    assert note.times == 2
    assert {**note.data, **data} == note.data


def test_a_client_without_an_answer_has_begun_to_boot(story):
    story.tell(UNSERVED, UNSERVED)
    assert story.stages == ["discover"]
    assert story.boot.step(Stage.DISCOVER).times == 2


def test_an_ipxe_without_an_answer_goes_on_from_its_loader(story):
    story.tell(stories.firmware(), *stories.by_tftp("undionly.kpxe"))
    story.tell(replace(UNSERVED, stage="iPXE"))
    assert story.stages == [*DISCOVER, "loader", "ipxe-discover"]


def test_what_says_nothing_of_a_boot_changes_nothing(story):
    story.tell(stories.firmware())
    assert story.tell(StyleFound(mac=CARD, style="menu", like="x")) == []


def test_a_boot_from_disk_goes_on_in_the_same_row(story):
    story.tell(*stories.loads())
    before = story.boot
    after = Story()
    after.follower.remember(before)
    after.now = story.now
    after.tell(*stories.by_http("/images/vmlinuz"), stories.reports())
    assert list(after.boots) == [before.number]
    assert after.stages == [*LOADED, "kernel", "done"]


def test_a_machine_that_gets_another_name_keeps_its_boots(story):
    story.tell(*stories.boots(), stories.reports(), stories.firmware())
    story.follower.rename(KEY, "node1")
    assert [boot.number for boot in story.follower.shelf.recent("node1")] == [2, 1]
    assert story.follower.shelf.recent(KEY) == ()
    assert story.follower.at(HERE)[0] == "node1"


def test_a_system_that_renews_its_lease_makes_its_boot_no_longer(story):
    story.tell(*stories.boots(), stories.runs())
    before = story.boot
    for _ in range(3):
        story.tell(stories.runs(), every=1800)
    assert story.boot.last == before.last
    assert story.boot.steps == before.steps


def test_a_transfer_that_stalls_and_is_given_up_by_its_client_is_no_probe_of_the_size(story):
    story.tell(
        stories.firmware(),
        TransferEnded(
            mac=CARD,
            peer=HERE,
            path="snponly.efi",
            reason="aborted by the client",
            end="aborted",
            size=170_000,
            confirmed=True,
        ),
    )
    assert codes(story.boot) == ["broken"]
