"""The chronicle: events in, boots out, with a real registry and a real file, over restarts."""

from __future__ import annotations

import time

import pytest
from twisted.internet.task import Clock

from netbootd.boots.boot import Boot, Code, Note, Outcome, Stage
from netbootd.boots.database import FILE
from netbootd.chronicle import Chronicle
from netbootd.events.event import Unserved
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.record.standing import Attempt, Standing
from netbootd.record.standing import Outcome as Ended
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.marks import Marks
from tests.boots import stories
from tests.boots.stories import CARD, DESK, HERE, KEY, OTHER_CARD, STRANGER, THERE

UUID = "4c4c4544-0035-4410-8052-b7c04f4e3232"
TURNED = "44454c4c-3500-1044-8052-b7c04f4e3232"
TARGETS = """
  "nfs" : { "a" : { "kernel" : "images/vmlinuz", "initrd" : "images/initrd", "boot_args" : "x" } },
  "install" : { "b" : { "kernel" : "linux", "initrd" : "initrd.gz", "boot_args" : "x" } },
  "biosupdate" : { "c" : { "kernel" : "memdisk", "initrd" : "bios.img" } },
  "localboot" : { "disk" : {} },
"""
MACHINES = f'"{CARD}" : {{ "type" : "nfs", "name" : "a" }}'


class Reactor(Clock):
    """A clock that does what a thread asks for when the test lets it."""

    def callFromThread(self, work, *arguments):
        self.callLater(0, work, *arguments)


class Rig:
    def __init__(self, folder, machines: str = MACHINES, extra: str = "") -> None:
        self.folder, self.now = folder, 1_750_000_000.0
        self.reactor = Reactor()
        self.live = LiveRegistry(self.registry(machines, extra), Record(lambda: self.now))
        state = folder / "state"
        self.chronicle = Chronicle(self.reactor, state, self.live, lambda: self.now)
        self.chronicle.start()

    def registry(self, machines: str, extra: str = ""):
        text = f'{{ "targets" : {{ {TARGETS} }}, "machines" : {{ {machines} }},'
        text += f' "netbootd" : {{ "state" : "state", "files" : "srv" {extra} }} }}'
        (self.folder / "srv").mkdir(exist_ok=True)
        (self.folder / "c.json").write_text(text)
        return load(self.folder / "c.json")

    def tell(self, *events) -> None:
        for event in events:
            self.now += 1
            self.chronicle(event)

    def answer(self, waiting):
        """What *waiting* comes to."""
        found: list = []
        waiting.addCallback(found.append)
        deadline = time.monotonic() + 10
        while not found:
            assert time.monotonic() < deadline, "nobody answers"
            self.reactor.advance(0)
            time.sleep(0.01)
        return found[0]

    def until(self, true) -> None:
        deadline = time.monotonic() + 10
        while not true():
            assert time.monotonic() < deadline, "it does not come"
            self.reactor.advance(0)
            time.sleep(0.01)


@pytest.fixture
def start(tmp_path):
    rigs: list[Rig] = []

    def start(*arguments, **more) -> Rig:
        rigs.append(Rig(tmp_path, *arguments, **more))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.chronicle.stop()


def test_a_boot_can_be_asked_for_while_it_goes_on(start):
    rig = start()
    rig.tell(*stories.boots())
    boot = rig.chronicle.latest(KEY)
    assert boot.reached is Stage.INITRD
    assert rig.chronicle.items() == {KEY: boot}
    assert rig.chronicle.recent(KEY) == (boot,)
    assert rig.answer(rig.chronicle.boot(boot.number)) == boot
    assert rig.answer(rig.chronicle.boot(999)) is None
    assert rig.chronicle.at(HERE) == (KEY, CARD, boot.number)
    assert rig.chronicle.at(DESK) == ("", None, 0)
    assert rig.chronicle.latest("nobody") is None


def test_after_a_restart_the_same_boot_goes_on(start):
    rig = start()
    rig.tell(*stories.loads())
    rig.chronicle.stop()
    again = start()
    before = again.chronicle.latest(KEY)
    again.now = rig.now
    again.tell(*stories.by_http("/images/vmlinuz"), stories.reports())
    after = again.chronicle.latest(KEY)
    assert after.number == before.number
    assert after.steps[: len(before.steps)] == before.steps
    assert after.outcome is Outcome.DONE
    assert again.answer(again.chronicle.boots(KEY, 9)) == [after]


def test_older_boots_are_asked_of_the_disk_and_the_newest_of_memory(start):
    rig = start()
    for _ in range(10):
        rig.tell(stories.firmware())
        rig.now += 300
    found = rig.answer(rig.chronicle.boots(KEY, 8))
    assert [boot.number for boot in found][:6] == [10, 9, 8, 7, 6, 5]
    assert len(rig.chronicle.recent(KEY)) == 6
    rig.chronicle.stop()
    again = start()
    found = again.answer(again.chronicle.boots(KEY, 100))
    assert [boot.number for boot in found] == list(range(10, 0, -1))


def test_whoever_subscribes_is_told_of_each_change_until_it_is_enough(start):
    rig = start()
    told: list[Boot] = []

    def stumbles(_boot) -> None:
        raise RuntimeError("a listener of somebody else")

    rig.chronicle.subscribe(stumbles)
    stop = rig.chronicle.subscribe(told.append)
    rig.tell(stories.firmware(), stories.ipxe())
    assert [boot.reached for boot in told] == [Stage.OFFER, Stage.IPXE_OFFER]
    stop()
    rig.tell(stories.script())
    assert len(told) == 2


def test_a_note_is_added_to_the_boot_that_is_on(start):
    rig = start()
    note = Note(code=Code.CONSOLE, at=1.0, until=1.0, text="Kernel panic")
    rig.chronicle.note(KEY, note)
    rig.tell(stories.firmware())
    rig.chronicle.note(KEY, note)
    assert rig.chronicle.latest(KEY).notes == (note,)


# -- who is who --------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [UUID, TURNED], ids=["as-listed", "bytes-swapped"])
def test_another_card_with_the_uuid_of_a_listed_machine_is_that_machine(start, said):
    entry = f'"node1" : {{ "uuid" : "{UUID}", "type" : "nfs", "name" : "a" }}'
    rig = start(entry)
    rig.live.sightings.note(CARD, Marks(uuid=UUID))
    rig.live.sightings.note(OTHER_CARD, Marks(uuid=said))
    rig.tell(stories.firmware(CARD), stories.firmware(OTHER_CARD))
    boot = rig.chronicle.latest("node1")
    assert boot.macs == (str(CARD), str(OTHER_CARD))
    assert list(rig.chronicle.items()) == ["node1"]


@pytest.mark.parametrize("said", [UUID, TURNED], ids=["same-order", "bytes-swapped"])
def test_cards_of_a_machine_that_is_not_listed_are_one_by_their_uuid(start, said):
    rig = start()
    other = MAC.parse("52:54:00:12:34:57")
    rig.live.sightings.note(STRANGER, Marks(uuid=UUID))
    rig.live.sightings.note(other, Marks(uuid=said))
    rig.tell(stories.firmware(STRANGER), stories.firmware(other))
    assert list(rig.chronicle.items()) == [str(STRANGER)]


def test_a_stranger_that_is_listed_later_keeps_its_boots(start):
    rig = start()
    rig.tell(*stories.boots(STRANGER))
    (before,) = rig.chronicle.items().values()
    named = f'{MACHINES}, "node7" : {{ "mac" : "{STRANGER}", "type" : "nfs", "name" : "a" }}'
    rig.live.swap(rig.registry(named))
    rig.chronicle.configured(rig.chronicle.owners(rig.live.snapshot))
    assert rig.chronicle.latest(str(STRANGER)) is None
    assert rig.chronicle.latest("node7").number == before.number
    rig.tell(stories.reports(mac=STRANGER))
    assert rig.chronicle.latest("node7").outcome is Outcome.DONE
    rig.chronicle.stop()
    again = start(named)
    assert [boot.key for boot in again.answer(again.chronicle.boots("node7", 9))] == ["node7"]


def test_strangers_are_told_with_what_they_said(start):
    rig = start()
    rig.live.sightings.note(STRANGER, Marks(uuid=UUID))
    rig.tell(stories.firmware(), stories.firmware(STRANGER, relay="192.0.2.254"))
    reason = "not in the configuration"
    rig.tell(Unserved(mac=STRANGER, protocol="DHCP", reason=reason, interface="eth1"))
    rig.tell(stories.runs(OTHER_CARD))
    first, second = rig.chronicle.strangers()
    assert (first.mac, first.times, first.uuid, first.netboot) == (STRANGER, 2, UUID, True)
    assert (first.arch, first.interface, first.relay) == ("BIOS x86", "eth1", "192.0.2.254")
    assert first.last - first.first == 1.0
    assert (second.mac, second.vendor_class, second.netboot) == (OTHER_CARD, "Linux", False)


def test_a_stranger_that_is_listed_now_is_none(start):
    rig = start()
    rig.tell(stories.firmware(STRANGER))
    rig.live.swap(rig.registry(f'"{STRANGER}" : {{ "type" : "nfs", "name" : "a" }}'))
    assert rig.chronicle.strangers() == []


def test_when_a_client_was_heard_is_told_by_interface(start):
    rig = start()
    rig.tell(stories.firmware(), stories.takes())
    rig.tell(stories.firmware(STRANGER, interface="eth1"))
    assert rig.chronicle.heard == {"eth0": rig.now - 1, "eth1": rig.now}


def test_what_a_stranger_only_asked_is_not_written(start):
    rig = start()
    rig.tell(stories.firmware(STRANGER), *stories.loads(OTHER_CARD))
    assert len(rig.chronicle.items()) == 2
    rig.chronicle.stop()
    again = start()
    assert list(again.chronicle.items()) == [str(OTHER_CARD)]


# -- what the registry and the record tell -----------------------------------------------------


def test_a_script_that_somebody_looks_at_while_a_machine_boots_is_nothing(start):
    rig = start()
    attempt = Attempt(number=1, target="nfs/a", began=rig.now, mac=str(CARD), peer=HERE)
    rig.live.record.put(KEY, Standing(attempts=(attempt,)))
    rig.tell(*stories.boots())
    before = rig.chronicle.latest(KEY)
    rig.tell(stories.looked_at())
    assert rig.chronicle.latest(KEY) == before


def test_kernel_and_initrd_are_those_of_the_target_whatever_they_are_called(start):
    entry = f'"{CARD}" : {{ "type" : "nfs", "name" : "a", "kernel" : "odd/a", "initrd" : "odd/b" }}'
    rig = start(entry)
    rig.tell(*stories.loads(), *stories.by_http("/odd/a"), *stories.by_http("/odd/b"))
    rig.tell(*stories.by_http("/odd/c"))
    steps = rig.chronicle.latest(KEY).steps[-3:]
    assert [step.stage.value for step in steps] == ["kernel", "initrd", "files"]


def test_what_cannot_report_is_done_when_the_record_says_so(start):
    rig = start(f'"{CARD}" : {{ "type" : "biosupdate", "name" : "c" }}')
    rig.tell(stories.ipxe(), stories.script(target="biosupdate/c"))
    rig.tell(*stories.by_http("/memdisk"))
    assert rig.chronicle.latest(KEY).outcome is Outcome.OPEN
    done = Attempt(
        number=1, target="biosupdate/c", began=rig.now, mac=KEY, peer=HERE, outcome=Ended.DONE
    )
    rig.live.record.put(KEY, Standing(attempts=(done,)))
    rig.tell(*stories.by_http("/bios.img"))
    assert rig.chronicle.latest(KEY).outcome is Outcome.DONE


def test_a_new_address_is_told_of_the_machine(start):
    rig = start()
    rig.tell(*stories.boots(), stories.runs(), stories.takes(address=THERE, netboot=False))
    assert rig.chronicle.at(THERE)[0] == KEY
    assert rig.chronicle.latest(KEY).peer == THERE


# -- the disk ----------------------------------------------------------------------------------


def test_without_a_disk_boots_are_kept_in_memory_and_it_is_said(tmp_path):
    (tmp_path / "state").write_text("a file, and no folder")
    rig = Rig(tmp_path)
    rig.tell(*stories.boots())
    assert rig.chronicle.latest(KEY).reached is Stage.INITRD
    assert "boots are not kept over a restart" in rig.chronicle.trouble
    assert [one.key for one in rig.answer(rig.chronicle.boots(KEY, 5))] == [KEY]
    (tmp_path / "state").unlink()
    rig.until(lambda: not rig.chronicle.trouble)
    rig.tell(stories.reports())
    rig.chronicle.stop()
    again = Rig(tmp_path)
    assert again.chronicle.latest(KEY).outcome is Outcome.DONE
    again.chronicle.stop()


def test_a_file_that_is_lost_is_written_again_from_memory(start, tmp_path):
    rig = start()
    rig.tell(*stories.boots())
    rig.until(lambda: len(rig.answer(rig.chronicle.boots(KEY, 5))) == 1)
    (tmp_path / "state" / FILE).unlink()
    rig.tell(stories.firmware(OTHER_CARD), stories.reports())
    rig.until(lambda: rig.chronicle.trouble)
    rig.until(lambda: not rig.chronicle.trouble)
    rig.chronicle.stop()
    assert start().chronicle.latest(KEY).outcome is Outcome.DONE
