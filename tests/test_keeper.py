"""The keeper: events and orders of an operator change the record, and a restart finds it again."""

from __future__ import annotations

import os
import pwd
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
from twisted.internet.task import Clock

from netbootd import orders, subject
from netbootd.events.event import Held, Scripted, Served, Transferred
from netbootd.keeper import Keeper
from netbootd.mac import MAC
from netbootd.record import database, outside
from netbootd.record.standing import Armed, Outcome, reports
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load

NODE = MAC.parse("00:25:90:27:db:b4")
KEY, HERE = str(NODE), "192.0.2.100"
CONFIG = """{
  "targets" : {
     "nfs" : { "a" : { "kernel" : "k", "boot_args" : "root=x", "up_within" : 600 } },
     "biosupdate" : { "b" : { "kernel" : "memdisk", "initrd" : "img" } },
     "install" : { "broken" : { "kernel" : 7 } },
  },
  "machines" : { "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a" } },
  "netbootd" : { "state" : "state", "guard" : { "loaders" : 3, "loaders_within" : 120 } },
}"""


class Reactor(Clock):
    """A clock that does at once what a thread asks for."""

    def callFromThread(self, work, *arguments):
        self.callLater(0, work, *arguments)


class Rig:
    def __init__(self, folder) -> None:
        self.reactor = Reactor()
        self.now = 1000.0
        self.events: list[object] = []
        registry = load(folder / "c.json")
        self.keeper = Keeper(self.reactor, registry.config.state, lambda: self.now)
        self.record = self.keeper.record
        self.live = LiveRegistry(registry, self.record)
        self.keeper.start(self.live, self.events.append)

    def until(self, condition) -> None:
        """Let the store's thread work until *condition*."""
        for _ in range(400):
            self.reactor.advance(0)
            if condition():
                return
            time.sleep(0.025)
        raise AssertionError("it does not come")

    def during(self, command):
        """What *command* returns, which waits for this daemon."""
        told = []
        thread = threading.Thread(target=lambda: told.append(command()))
        thread.start()
        self.until(lambda: not thread.is_alive())
        assert self.record.settle()
        return told[0]


@pytest.fixture
def start(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    rigs = []

    def make() -> Rig:
        rigs.append(Rig(tmp_path))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.keeper.stop()


def loader(name="undionly.kpxe"):
    return Transferred(mac=NODE, peer=HERE, path=f"{NODE}/{name}", size=9, seconds=0.1)


def kernel(sent=9, **more):
    more = {"size": 9, "count": 9, "seconds": 0.1, "path": "/k", "status": 200, **more}
    return Served(mac=NODE, peer=HERE, sent=sent, **more)


def test_the_fourth_time_a_loader_is_fetched_its_machine_is_held(start):
    rig = start()
    for _ in range(3):
        rig.keeper(loader())
        rig.reactor.advance(30)
    assert not rig.record.of(KEY).held
    rig.keeper(loader())
    assert "undionly.kpxe was fetched 4 times within 120 s" in rig.record.of(KEY).held
    assert [type(event) for event in rig.events] == [Held]
    rig.keeper(loader())
    assert len(rig.events) == 1, "it is held already"


def test_slow_boots_and_different_loaders_are_no_circle(start):
    rig = start()
    for _ in range(9):
        rig.keeper(loader())
        rig.reactor.advance(50)
        rig.now -= 3600  # somebody sets the clock back
    for number in range(9):
        rig.keeper(loader("snponly.efi" if number % 2 else "ipxe.efi"))
        rig.reactor.advance(25)
    assert not rig.record.of(KEY).held


def test_a_machine_that_was_released_is_counted_anew(start, tmp_path):
    rig = start()
    for _ in range(4):
        rig.keeper(loader())
    outside.give(tmp_path / "state", "release", KEY)
    rig.until(lambda: not rig.record.of(KEY).held)
    for _ in range(3):
        rig.keeper(loader())
    assert not rig.record.of(KEY).held


def test_all_that_are_held_are_released_at_once(start, tmp_path):
    rig = start()
    for _ in range(4):
        rig.keeper(loader())
    outside.give(tmp_path / "state", "release-all", "")
    rig.until(lambda: not rig.record.of(KEY).held)


def test_a_loader_that_somebody_else_fetches_holds_nobody(start):
    rig = start()
    begin(rig)
    for _ in range(9):
        rig.keeper(replace(loader(), peer="192.0.2.66"))
    assert not rig.record.of(KEY).held


def test_a_machine_that_gets_another_name_is_still_the_same(start, tmp_path):
    rig = start()
    begin(rig)
    (tmp_path / "c.json").write_text(CONFIG.replace(f'"{KEY}" : {{', f'"node7" : {{ "mac" : "{KEY}",'))  # fmt: skip
    rig.live.swap(load(tmp_path / "c.json"))
    rig.keeper.configured(rig.keeper.owners(rig.live.snapshot))
    assert rig.record.of("node7").latest.number == 1
    assert rig.record.of(KEY).latest is None
    assert rig.record.at(HERE) == ("node7", NODE)


def begin(rig) -> None:
    rig.record.begin(KEY, "nfs/a", armed=False, mac=NODE, peer=HERE, listed=True)


@pytest.mark.parametrize(
    ("event", "real"),
    [
        (kernel(), True),
        (kernel(sent=4), False),
        (kernel(first=3, count=6, sent=6), False),
        (kernel(status=304, count=0, sent=0), False),
    ],
)
def test_a_whole_file_makes_a_boot_real(start, event, real):
    rig = start()
    begin(rig)
    rig.keeper(event)
    assert rig.record.of(KEY).latest.fetched is real


def test_what_is_armed_and_held_survives_a_restart(start, tmp_path):
    first = start()
    number = outside.give(tmp_path / "state", "next", KEY, Armed(target="biosupdate/b", times=2))
    first.until(lambda: first.record.of(KEY).armed)
    for _ in range(4):
        first.keeper(loader())
    first.keeper.stop()
    second = start()
    assert second.record.of(KEY).armed == Armed(target="biosupdate/b", times=2, order=number)
    assert second.record.of(KEY).held


def test_an_order_for_a_target_that_has_gone_changes_nothing(start, tmp_path):
    rig = start()
    number = outside.give(tmp_path / "state", "next", KEY, Armed(target="install/gone"))
    rig.until(lambda: not outside.waits(tmp_path / "state", number))
    assert rig.record.of(KEY).armed is None


def test_an_order_is_audited_with_who_gave_it(start, tmp_path):
    rig = start()
    armed = (Armed(target="biosupdate/b"), Armed(target="install/gone\naudit: x"))
    for number in [outside.give(tmp_path / "state", "next", KEY, one) for one in armed]:
        rig.until(lambda number=number: not outside.waits(tmp_path / "state", number))
    uid = os.getuid()
    by = f"audit: {pwd.getpwuid(uid).pw_name} (user {uid}) by an order in the state folder"
    assert [str(event) for event in rig.events] == [
        f"{by}: {KEY} boots biosupdate/b next: done",
        f"{by}: next {KEY}: refused, there is no target install/gone\\naudit: x for {KEY}",
    ]


def test_a_state_folder_that_cannot_be_made_is_told_and_nothing_else_suffers(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    (tmp_path / "state").write_text("in the way")
    rig = Rig(tmp_path)
    assert "not kept over a restart" in rig.keeper.trouble
    for _ in range(4):
        rig.keeper(loader())
    assert rig.record.of(KEY).held
    (tmp_path / "state").unlink()
    rig.until(lambda: not rig.keeper.trouble)
    rig.keeper.stop()
    assert outside.read(tmp_path / "state")[KEY].held


# -- the commands ----------------------------------------------------------------------------------


def test_a_command_waits_until_the_daemon_has_taken_it(start, tmp_path):
    rig = start()
    told = []

    def command() -> None:
        told.append(orders.arm(tmp_path / "c.json", NODE, "biosupdate/b", 1, 0.0))

    thread = threading.Thread(target=command)
    thread.start()
    rig.until(lambda: told)
    thread.join()
    assert told == [f"{NODE} boots biosupdate/b next"]
    assert rig.record.of(KEY).armed.target == "biosupdate/b"


def test_without_a_daemon_the_order_waits_and_says_so(start, tmp_path):
    start().keeper.stop()
    told = orders.arm(tmp_path / "c.json", NODE, "biosupdate/b", 2, 0.0)
    assert "2 times, as soon as netbootd runs" in told
    rig = start()
    rig.until(lambda: rig.record.of(KEY).armed)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("biosupdate/x", "no target biosupdate/x; there are: biosupdate/b"),
        ("install/broken", "install/broken cannot boot"),
        ("nonsense", "no target nonsense"),
    ],
)
def test_what_cannot_boot_cannot_be_armed(start, tmp_path, target, text):
    rig = start()
    with pytest.raises(orders.BadOrder, match=text):
        orders.arm(tmp_path / "c.json", NODE, target, 1, 0.0)
    assert rig.record.of(KEY).armed is None


def test_a_machine_nobody_knows_cannot_be_armed(start, tmp_path):
    start()
    with pytest.raises(orders.BadOrder, match="not in the configuration"):
        orders.arm(tmp_path / "c.json", MAC.parse("52:54:00:12:34:56"), "biosupdate/b", 1, 0.0)


def test_times_in_words():
    assert orders.moment("+2h") == pytest.approx(time.time() + 7200, abs=60)
    assert orders.moment("2099-12-31T18:00") > time.time()
    for wrong in ("+2", "soon", "2001-01-01", "+2w", "99999999"):
        with pytest.raises(ValueError, match=r"no time|past"):
            orders.moment(wrong)


def test_a_machine_without_a_mac_is_armed_by_its_name(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG.replace('"00:25:90:27:db:b4" :', '"node7" :').replace('"name" : "a" }', '"name" : "a", "serial" : "S7" }', 1))  # fmt: skip
    (tmp_path / "state").mkdir()
    told = orders.arm(tmp_path / "c.json", "node7", "biosupdate/b", 1, 0.0)
    assert told.startswith("node7 boots biosupdate/b next")
    rig = Rig(tmp_path)
    rig.until(lambda: rig.record.of("node7").armed)
    rig.keeper.stop()
    with pytest.raises(subject.Nobody, match=r'neither a MAC nor a name.*"node7"'):
        orders.release(tmp_path / "c.json", "node8")


def test_cancel_and_release_need_no_sound_configuration(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    rig = Rig(tmp_path)
    outside.give(tmp_path / "state", "next", KEY, Armed(target="biosupdate/b"))
    rig.until(lambda: rig.record.of(KEY).armed)
    for _ in range(4):
        rig.keeper(loader())
    assert rig.record.settle()
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / "x.json").write_text('{ "x" ')
    told = [
        rig.during(partial(order, tmp_path / "c.json", NODE))
        for order in (orders.cancel, orders.release, orders.release)
    ]
    rig.keeper.stop()
    assert told == [
        f"{NODE}: nothing is armed any more",
        f"{NODE} may boot again",
        f"{NODE} is not held",
    ]


def test_who_waits_since_the_record_was_lost_is_released(tmp_path):
    (tmp_path / "c.json").write_text(CONFIG)
    release = partial(orders.release, tmp_path / "c.json", NODE)
    rig = Rig(tmp_path)
    assert rig.during(release) == f"{NODE} is not held"
    rig.keeper.stop()
    (tmp_path / "state" / database.LOST).write_text("broken")
    rig = Rig(tmp_path)
    assert rig.record.of(KEY).unread
    assert rig.during(release) == f"{NODE} may boot again"
    assert not rig.record.of(KEY).unread
    assert rig.during(release) == f"{NODE} is not held"
    rig.keeper.stop()


def test_an_order_that_the_daemon_refuses_is_no_success(start, tmp_path):
    rig = start()
    other = tmp_path / "other.json"
    other.write_text(CONFIG.replace('"b" :', '"c" :'))
    told = []

    def command() -> None:
        with pytest.raises(orders.BadOrder, match="refused"):
            orders.arm(other, NODE, "biosupdate/c", 1, 0.0)
        told.append("refused")

    thread = threading.Thread(target=command)
    thread.start()
    rig.until(lambda: not thread.is_alive())
    assert told == ["refused"]


# -- who is late -----------------------------------------------------------------------------------


def script() -> Scripted:
    return Scripted(mac=NODE, target="nfs/a", peer=HERE, says="nfs/a")


def test_a_node_that_does_not_report_in_time_is_overdue_once_and_up_when_it_does(start):
    rig = start()
    begin(rig)
    rig.keeper(script())
    rig.reactor.advance(599)
    assert rig.record.of(KEY).state == "booting"
    rig.reactor.advance(2)
    assert rig.record.of(KEY).state == "overdue"
    assert [event.outcome for event in rig.events] == ["overdue"]
    rig.reactor.advance(5000)
    assert len(rig.events) == 1
    standing = rig.record.of(KEY)
    done = reports(standing, standing.latest, Outcome.DONE, once=False, now=1.0)
    assert done.state == "up"


def test_only_the_last_boot_can_be_overdue(start):
    rig = start()
    begin(rig)
    rig.keeper(script())
    rig.reactor.advance(500)
    rig.now += 500
    begin(rig)
    rig.keeper(script())
    rig.reactor.advance(200)
    assert rig.events == []
    standing = rig.record.of(KEY)
    rig.record.put(KEY, reports(standing, standing.latest, Outcome.DONE, once=False, now=1.0))
    rig.reactor.advance(5000)
    assert rig.events == []


def test_who_is_late_is_known_after_a_restart(start):
    first = start()
    begin(first)
    first.keeper.stop()
    second = start()
    second.reactor.advance(601)
    assert second.record.of(KEY).state == "overdue"
