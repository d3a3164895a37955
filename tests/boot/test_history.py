"""Once only: armed boots, completion, circles; the decision with a history, over whole lives."""

from __future__ import annotations

import pytest

from netbootd.boot import history
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Hold, Script, identify, next_step
from netbootd.boot.script import boot_script
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.record.standing import Armed, Outcome, arms, holds, released
from netbootd.registry.load import load

DISKLESS, INSTALLED, FLASHED, STRANGER = (
    MAC.parse(text)
    for text in (
        "00:25:90:27:db:b4",
        "00:25:90:27:db:b5",
        "00:25:90:27:db:b6",
        "52:54:00:12:34:56",
    )
)
BASE, HERE = "http://192.0.2.1:3000", "192.0.2.100"
CONFIG = """{
  "targets" : {
     "nfs" : { "a" : { "kernel" : "k", "boot_args" : "root=nfs:192.0.2.9:/a" } },
     "install" : {
        "i" : { "kernel" : "k", "initrd" : "rd", "boot_args" : "x=1", "once" : true },
        "again" : { "kernel" : "k", "once" : false },
        "then" : { "kernel" : "k", "once" : true, "after" : "nfs/a" },
        "last" : { "kernel" : "k", "once" : true, "after" : "install/first" },
        "first" : { "kernel" : "k", "once" : true, "after" : "install/last" },
     },
     "menu" : { "m" : { "choices" : [ { "target" : "install/i" } ], "timeout" : 3 } },
     "biosupdate" : {
        "b" : { "kernel" : "memdisk", "initrd" : "bios/new%%20image.img", "once" : true },
        "far" : { "kernel" : "memdisk", "initrd" : "http://192.0.2.77/x.img", "once" : true },
     },
  },
  "machines" : {
     "default" : { "type" : "install", "name" : "i" },
     "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a" },
     "00:25:90:27:db:b5" : { "type" : "install", "name" : "i" },
     "00:25:90:27:db:b6" : { "type" : "biosupdate", "name" : "b" },
  },
  "netbootd" : { %s },
}"""


class Site:
    """A registry and a record; ``boot`` is what a node does, up to its script."""

    def __init__(self, folder, settings="") -> None:
        self._file = folder / "c.json"
        self.now = 1000.0
        self.configure(settings)
        self.record = Record(lambda: self.now)

    def configure(self, settings="", old="", new="") -> None:
        self._file.write_text((CONFIG % settings).replace(old, new))
        self.registry = load(self._file)

    def boot(self, mac, *, fetching="", peer=HERE, surely=True, choice=""):
        client = Client(stage=Stage.IPXE, mac=mac, address=peer)
        past = history.past(client, self.registry, self.record)
        script = boot_script(client, self.registry, BASE, past, choice)
        history.note(client, script, self.registry, self.record, surely=surely)
        if fetching:
            self.fetch(fetching, peer)
        return script

    def fetch(self, path, peer=HERE) -> None:
        history.fetched(path, peer, self.registry, self.record)

    def end(self, mac, outcome=Outcome.DONE) -> bool:
        machine = self.registry.machine(mac)
        attempt = self.record.of(machine.key).latest
        return history.end(machine, self.registry, self.record, attempt, outcome)

    def title(self, mac, **more) -> str:
        return self.boot(mac, **more).says

    def change(self, mac, change) -> None:
        key = self.registry.machine(mac).key
        self.record.put(key, change(self.record.of(key)))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def arm(site, mac, target, **more) -> None:
    site.change(mac, lambda standing: arms(standing, Armed(target=target, **more)))


def test_an_armed_boot_comes_once_and_then_the_machine_s_own(site):
    arm(site, DISKLESS, "biosupdate/b")
    assert [site.title(DISKLESS) for _ in range(3)] == ["biosupdate/b", "nfs/a", "nfs/a"]


def test_an_armed_boot_may_come_several_times_and_only_until_its_time(site):
    arm(site, DISKLESS, "biosupdate/b", times=3, until=2000.0)
    assert [site.title(DISKLESS) for _ in range(2)] == ["biosupdate/b"] * 2
    site.now = 2000.0
    assert site.title(DISKLESS) == "nfs/a"


def test_success_of_a_once_target_disarms_what_is_left_of_its_order(site):
    arm(site, DISKLESS, "install/i", times=9)
    site.boot(DISKLESS)
    site.end(DISKLESS)
    assert site.title(DISKLESS) == "nfs/a"


def test_success_of_another_target_leaves_the_other_times(site):
    arm(site, DISKLESS, "install/again", times=3)
    for _ in range(3):
        assert site.title(DISKLESS) == "install/again"
        site.end(DISKLESS)
    assert site.title(DISKLESS) == "nfs/a"


def test_a_late_report_does_not_disarm_what_was_armed_since(site):
    arm(site, DISKLESS, "install/i")
    site.boot(DISKLESS)
    before = site.record.of(str(DISKLESS)).latest
    arm(site, DISKLESS, "install/i", order=2)
    machine = site.registry.machine(DISKLESS)
    history.end(machine, site.registry, site.record, before, Outcome.DONE)
    assert site.title(DISKLESS) == "install/i"


def test_an_armed_target_that_has_left_the_configuration_is_passed_over(site):
    arm(site, DISKLESS, "install/gone")
    client = Client(stage=Stage.IPXE, mac=DISKLESS)
    standing = site.record.of(site.registry.machine(DISKLESS).key)
    machine = identify(client, site.registry)
    decision = next_step(client, machine, site.registry, standing, site.now)
    assert decision.machine.title == "nfs/a"
    assert any("install/gone was armed" in reason for reason in decision.because)


def test_a_finished_installation_is_not_begun_again(site):
    assert site.title(INSTALLED, fetching="rd") == "install/i"
    assert site.end(INSTALLED)
    assert "localboot" in site.title(INSTALLED)


def test_what_comes_after_may_be_any_target(site):
    arm(site, INSTALLED, "install/then")
    site.configure(old='"name" : "i" },\n     "00:25:90:27:db:b6"', new='"name" : "then" },\n     "00:25:90:27:db:b6"')  # fmt: skip
    site.boot(INSTALLED)
    site.end(INSTALLED)
    assert site.title(INSTALLED) == "nfs/a"


def test_what_is_not_once_is_begun_again_and_never_held(site):
    site.configure(old='"name" : "i" },\n     "00:25:90:27:db:b6"', new='"name" : "again" },\n     "00:25:90:27:db:b6"')  # fmt: skip
    for _ in range(9):
        assert site.title(INSTALLED, fetching="k") == "install/again"
        site.end(INSTALLED)


def test_a_failed_installation_is_begun_again(site):
    site.boot(INSTALLED, fetching="rd")
    site.end(INSTALLED, Outcome.FAILED)
    assert site.title(INSTALLED) == "install/i"


def test_a_report_counts_once(site):
    site.boot(INSTALLED)
    assert site.end(INSTALLED)
    assert not site.end(INSTALLED)


def test_done_installations_may_be_armed_again(site):
    site.boot(INSTALLED)
    site.end(INSTALLED)
    arm(site, INSTALLED, "install/i")
    assert [site.title(INSTALLED) for _ in range(2)] == ["install/i"] * 2, "until it is done again"
    site.end(INSTALLED)
    assert "localboot" in site.title(INSTALLED)


def test_an_update_that_cannot_call_is_done_when_its_image_was_sent(site):
    site.boot(FLASHED)
    site.fetch("/memdisk")
    assert site.title(FLASHED) == "biosupdate/b"
    site.fetch("/bios/new image.img")
    assert "localboot" in site.title(FLASHED)


def test_an_image_sent_to_somebody_else_ends_nothing(site):
    site.boot(FLASHED)
    site.fetch("/bios/new image.img", peer="192.0.2.7")
    assert site.title(FLASHED) == "biosupdate/b"


def test_an_image_of_another_server_is_not_seen_so_its_script_counts(site):
    site.configure(old='"type" : "biosupdate", "name" : "b"', new='"type" : "biosupdate", "name" : "far"')  # fmt: skip
    assert site.title(FLASHED) == "biosupdate/far"
    assert "localboot" in site.title(FLASHED)


def test_a_circle_of_installations_is_held_and_says_why(site):
    for _ in range(3):
        assert site.title(INSTALLED, fetching="rd") == "install/i"
        site.now += 600
    script = site.boot(INSTALLED)
    assert "install/i was begun 3 times and never finished" in script.text
    assert script.text.startswith("#!ipxe\n")
    assert site.record.of(site.registry.machine(INSTALLED).key).held
    assert not site.boot(INSTALLED).holds, "held already"
    site.change(INSTALLED, released)
    assert site.title(INSTALLED) == "install/i"


def test_who_only_looks_at_the_script_is_not_counted(site):
    for _ in range(20):
        assert site.title(INSTALLED) == "install/i"


def test_who_looks_from_elsewhere_begins_nothing(site):
    site.boot(INSTALLED, fetching="rd")
    token = site.record.token(str(INSTALLED), site.record.of(str(INSTALLED)).latest)
    arm(site, INSTALLED, "biosupdate/b")
    for _ in range(20):
        assert site.title(INSTALLED, peer="192.0.2.9", surely=False) == "biosupdate/b"
    assert site.record.attempt_of(str(INSTALLED), token).number == 1
    assert site.title(INSTALLED) == "biosupdate/b"


def test_a_real_boot_outlives_any_number_of_idle_ones(site):
    site.boot(INSTALLED, fetching="rd")
    token = site.record.token(str(INSTALLED), site.record.of(str(INSTALLED)).latest)
    for number in range(50):
        site.boot(INSTALLED, peer=f"192.0.2.{number + 100}")
    assert site.record.attempt_of(str(INSTALLED), token).number == 1


def test_an_address_of_its_own_says_who_looks(site):
    site.configure(old='"name" : "a" },\n     "00:25:90:27:db:b5"', new='"name" : "a", "ip" : "192.0.2.50" },\n     "00:25:90:27:db:b5"')  # fmt: skip
    arm(site, DISKLESS, "biosupdate/b")
    assert site.title(DISKLESS, peer="192.0.2.9", surely=False) == "biosupdate/b"
    assert site.title(DISKLESS, peer="192.0.2.50", surely=False) == "biosupdate/b"
    assert site.title(DISKLESS, peer="192.0.2.50", surely=False) == "nfs/a"


def test_what_comes_after_is_not_what_is_done_either(site):
    ending = '"name" : "%s" },\n     "00:25:90:27:db:b6"'
    site.configure(old=ending % "i", new=ending % "last")
    site.boot(INSTALLED)
    site.end(INSTALLED)
    assert site.title(INSTALLED) == "install/first"
    site.end(INSTALLED)
    assert "localboot" in site.title(INSTALLED)


def test_a_circle_that_a_menu_takes_is_held_too(site):
    arm(site, DISKLESS, "menu/m", times=100)
    for _ in range(3):
        assert site.title(DISKLESS, choice="1", fetching="rd") == "install/i"
    site.change(DISKLESS, lambda standing: arms(standing, None))
    ending = '"name" : "%s" },\n     "00:25:90:27:db:b5"'
    site.configure(old='"type" : "nfs", ' + ending % "a", new='"type" : "menu", ' + ending % "m")
    script = site.boot(DISKLESS, choice="1")
    assert "never finished" in script.says


def test_what_could_not_be_read_is_not_taken_for_nothing(site):
    site.record.unread = "/state/record.sqlite: disk I/O error"
    script = site.boot(INSTALLED)
    assert "it may be done already: /state/record.sqlite" in script.text
    assert site.title(DISKLESS) == "nfs/a"
    site.record.fill({}, b"secret")
    assert site.title(INSTALLED) == "install/i"


def test_installations_far_apart_are_no_circle(site):
    for _ in range(6):
        assert site.title(INSTALLED, fetching="rd") == "install/i"
        site.now += 4000


@pytest.mark.parametrize(
    "settings", ['"guard" : false', '"guard" : { "installs" : 0 }'], ids=["off", "never"]
)
def test_the_guard_can_be_turned_off(tmp_path, settings):
    site = Site(tmp_path, settings)
    for _ in range(9):
        assert site.title(INSTALLED, fetching="rd") == "install/i"


def test_a_held_machine_gets_the_reason_only_and_firmware_its_loader(site):
    site.change(DISKLESS, lambda standing: holds(standing, "snponly.efi ${oops} again"))
    script = site.boot(DISKLESS)
    assert "held: snponly.efi {oops} again" in script.text
    assert "kernel" not in script.text
    assert script.status == 200
    client = Client(stage=Stage.FIRMWARE, mac=DISKLESS)
    standing = site.record.of(str(DISKLESS))
    decision = next_step(client, identify(client, site.registry), site.registry, standing, 0.0)
    assert not isinstance(decision.step, Hold | Script)


def test_a_stranger_s_history_is_its_own(site):
    site.boot(STRANGER)
    site.end(STRANGER)
    assert "localboot" in site.title(STRANGER)
    assert site.title(MAC.parse("52:54:00:12:34:57"), peer="192.0.2.7") == "install/i"


def provided(site, mac):
    client = Client(stage=Stage.IPXE, mac=mac, address=HERE)
    return history.provided(client, site.registry, site.record, BASE)


def test_what_a_node_asks_for_is_made_for_what_it_runs(site):
    arm(site, DISKLESS, "install/i")
    assert provided(site, DISKLESS)[0].title == "install/i", "the next boot"
    site.boot(DISKLESS)
    machine, facts = provided(site, DISKLESS)
    assert machine.title == "install/i"
    assert facts.target == "install/i"
    assert facts.token == site.record.token(machine.key, site.record.of(machine.key).latest)
    site.end(DISKLESS)
    assert provided(site, DISKLESS)[0].title == "install/i", "until it boots again"
    site.boot(DISKLESS)
    assert provided(site, DISKLESS)[0].title == "nfs/a"


def test_the_token_in_a_script_is_the_one_that_counts(site):
    client = Client(stage=Stage.IPXE, mac=INSTALLED, address=HERE)
    token = history.past(client, site.registry, site.record).token
    site.boot(INSTALLED)
    assert site.record.attempt_of(str(INSTALLED), token).number == 1
