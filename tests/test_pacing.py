"""Nodes that wait for their turn, over the wire: a real daemon, and curl in the place of iPXE."""

from __future__ import annotations

import json
import re
import signal
import subprocess

import pytest

from tests.commands.daemons import HANDMADE, Site, until

pytestmark = pytest.mark.wire

ONE, TWO, THREE, DISK = (f"52:54:00:00:00:0{number}" for number in (1, 2, 3, 4))
#: Each node has an address of its own: its place belongs to that, and its files are known by it.
ADDRESS = {ONE: "127.0.0.11", TWO: "127.0.0.12", THREE: "127.0.0.13", DISK: "127.0.0.14"}
LIAR = "127.0.0.66"
BOOTS = {"type": "nfs", "name": "one"}
MACHINES = {
    ONE: BOOTS,
    TWO: {**BOOTS, "hostname": "node2"},
    THREE: {**BOOTS, "group": "important"},
    DISK: {"type": "localboot", "name": "disk"},
}


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    paced(site, {"enabled": True, "at_once": 1})
    yield site
    site.stop()


def paced(site: Site, pace, **more) -> None:
    groups = {"important": {"priority": "high"}}
    site.write({**HANDMADE, "groups": groups, "machines": {**MACHINES, **more}})
    config = json.loads(site.file.read_text())
    config["netbootd"]["pace"] = pace
    site.file.write_text(json.dumps(config))


def fetch(site: Site, mac: str, path: str, agent: str = "iPXE/1.21.1", address: str = "") -> bytes:
    url = f"http://127.0.0.1:{site.http}{path}"
    words = ["curl", "-sS", "-m", "20", "-A", agent, "--interface", address or ADDRESS[mac], url]
    return subprocess.run(words, capture_output=True, check=True).stdout


def ask(site: Site, mac: str, query: str = "", **more: str) -> str:
    return fetch(site, mac, f"/boot/{mac.replace(':', '-')}{query}", **more).decode()


def place(script: str) -> str:
    """``1 of 2``, empty for a script that boots."""
    assert script.startswith("#!ipxe\n")
    found = re.search(r"waits for its turn: number (\d+ of \d+)", script)
    assert bool(found) is not ("\nkernel " in script or "sanboot" in script or "exit" in script)
    return found[1] if found else ""


def loads(site: Site, mac: str) -> None:
    """As the script says: kernel and initrd."""
    assert len(fetch(site, mac, "/k")) == 6000
    assert len(fetch(site, mac, "/i")) == 4_000_000


def queue(site: Site) -> dict:
    return json.loads(site.run("pace", "--json").stdout)


def kept(site: Site) -> set[str]:
    """Who waits, as it is on the disk."""
    file = site.folder / "state" / "pace.json"
    return {one[0] for one in json.loads(file.read_text())["waiting"]} if file.exists() else set()


def test_nodes_load_one_after_another_and_those_of_high_priority_first(site):
    site.start()
    assert place(ask(site, ONE)) == ""
    assert place(ask(site, TWO)) == "1 of 1"
    assert place(ask(site, THREE)) == "1 of 2"
    assert place(ask(site, TWO)) == "2 of 2"
    assert place(ask(site, ONE)) == ""
    loads(site, ONE)
    assert place(ask(site, TWO)) == "2 of 2"
    assert place(ask(site, THREE)) == ""
    assert place(ask(site, TWO)) == "1 of 1"
    loads(site, THREE)
    assert place(ask(site, TWO)) == ""
    told = site.daemon.wait_for("no node waits any more: 1 load", 10)
    assert "nodes load one after another: 1 at once" in site.daemon.text
    assert told.start() > site.daemon.text.index("nodes begin to wait for their turn: 1 load")


def test_who_asks_in_the_names_of_many_has_one_place_and_takes_nobodys(site):
    paced(site, {"enabled": True, "at_once": 2}, default=BOOTS)
    site.start()
    made_up = [f"02:00:00:00:00:{number:02x}" for number in range(30)]
    for mac in [*made_up, ONE, TWO, THREE]:
        assert place(ask(site, mac, address=LIAR)) == ""
    assert queue(site)["loading"] == 1
    assert place(ask(site, ONE)) == ""
    for mac in [ONE, TWO, THREE, *made_up]:
        assert place(ask(site, mac, address="127.0.0.67")) == "1 of 1"
    assert place(ask(site, TWO)) == "2 of 2"
    assert place(ask(site, THREE)) == "1 of 3"
    assert [(one["peer"], one["key"]) for one in queue(site)["places"]] == [
        (ADDRESS[THREE], THREE),
        ("127.0.0.67", made_up[-1]),
        (ADDRESS[TWO], TWO),
    ]
    loads(site, ONE)
    assert place(ask(site, THREE)) == ""


def test_what_loads_nothing_and_who_only_looks_does_not_wait(site):
    site.start()
    assert place(ask(site, ONE)) == ""
    assert place(ask(site, DISK)) == ""
    assert place(ask(site, TWO, agent="Mozilla/5.0")) == ""
    assert queue(site)["places"] == []


def test_the_script_asks_again_with_all_that_it_was_asked_with(site):
    site.start()
    ask(site, ONE)
    script = ask(site, TWO, "?uuid=ab-c&serial=%24%7Bx%7D%20%26%26%20shell&other=1&memsize=2048")
    chained = re.search(r"^chain --replace (\S+) \|\|$", script, re.MULTILINE)[1]
    assert chained.endswith(
        "/boot/${netX/mac:hexhyp}?uuid=ab-c&serial=%24%7Bx%7D+%26%26+shell&memsize=2048"
    )
    assert "${x}" not in script


def test_a_place_outlives_a_crash_and_who_was_let_go_need_not_wait_again(site):
    daemon = site.start()
    assert place(ask(site, ONE)) == ""
    assert place(ask(site, TWO)) == "1 of 1"
    assert place(ask(site, THREE)) == "1 of 2"
    since = {one["key"]: one["since"] for one in queue(site)["places"]}
    until(lambda: kept(site) == {ADDRESS[TWO], ADDRESS[THREE]})
    daemon.send(signal.SIGKILL)
    daemon.wait(10)
    site.start()
    after = queue(site)
    assert [one["key"] for one in after["places"]] == [THREE, TWO]
    assert {one["key"]: one["since"] for one in after["places"]} == pytest.approx(since, abs=1)
    assert after["loading"] == 1
    assert place(ask(site, TWO)) == "2 of 2"
    assert place(ask(site, ONE)) == ""


def test_an_operator_sees_who_waits_lets_one_go_and_stops_them(site):
    site.start()
    ask(site, ONE)
    ask(site, TWO)
    ask(site, THREE)
    shown = site.run("pace").stdout
    assert "node2" in shown
    assert "2 machines wait, 1 load (of 1 at once)" in shown
    listed = json.loads(site.run("machines", "--json").stdout)["machines"]
    waits = {one["key"]: one["waits"] for one in listed}
    assert waits[TWO] == {"position": 2, "waiting": 2, "seconds": None, "priority": 0}
    assert waits[ONE] is None
    assert "waits for its turn: number 2 of 2" in site.run("machines").stdout
    assert "waits for its turn" in site.run("timeline", "node2").stdout
    assert "waits-its-turn" in site.run("why", "node2", "--json").stdout
    assert "pace.waiting" in site.run("status").stdout
    assert "(node2) need not wait" in site.run("pace", "go", "node2").stdout
    assert place(ask(site, TWO)) == ""
    site.run("pace", "pause")
    loads(site, ONE)
    loads(site, TWO)
    assert "paused by an operator" in ask(site, THREE)
    site.run("pace", "resume")
    assert place(ask(site, THREE)) == ""
    gauges = subprocess.run(
        ["curl", "-sS", f"http://127.0.0.1:{site.http}/metrics"], capture_output=True, text=True
    ).stdout
    assert "netbootd_pace_at_once 1.0" in gauges


def test_without_the_setting_nobody_waits_and_nothing_is_said_of_it(site):
    paced(site, False)
    site.start()
    assert [place(ask(site, mac)) for mac in (ONE, TWO, THREE)] == ["", "", ""]
    done = site.run("pace")
    assert done.returncode == 1
    assert "pacing is off" in done.stderr
    assert '"pace": true' in done.stderr
    told = site.run("pace", "--json")
    assert told.returncode == 0
    found = json.loads(told.stdout)
    assert (found["enabled"], found["waiting"], found["places"]) == (False, 0, [])
    for word in (("go", "all"), ("pause",)):
        assert "pacing is off" in site.run("pace", *word, "--json").stderr
    assert "pace" not in site.run("status").stdout
    assert not (site.folder / "state" / "pace.json").exists()


def test_to_switch_it_off_lets_all_go_and_to_switch_it_on_begins_anew(site):
    site.start()
    ask(site, ONE)
    assert place(ask(site, TWO)) == "1 of 1"
    paced(site, False)
    assert site.run("reload").returncode == 0
    assert place(ask(site, TWO)) == ""
    paced(site, True)
    assert site.run("reload").returncode == 0
    found = queue(site)
    assert (found["auto"], found["at_once"], found["places"]) == (True, 16, [])
