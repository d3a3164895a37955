"""The extra initrd over HTTP."""

from __future__ import annotations

import subprocess
import tracemalloc

import pytest

from netbootd.events.event import Refused, Served

from .inmemory import MAC, Rig

DROP_IN = """{
  "targets" : { "nfs" : { "node" : { "kernel" : "/images/vmlinuz", "overlays" : ["base"] } } },
  "machines" : { "52:54:00:12:34:56" : { "type" : "nfs", "name" : "node", "disks" : %s } },
}"""


@pytest.fixture
def serve(tmp_path):
    def serve(disks=2, blob=b""):
        folder = tmp_path / "rig"
        (folder / "overlays/base/etc").mkdir(parents=True)
        (folder / "overlays/base/etc/disks.j2").write_text("{{ 4 // disks }} for {{ mac }}\n")
        (folder / "overlays/base/blob").write_bytes(blob)
        (folder / "machines.d").mkdir()
        (folder / "machines.d" / "more.json").write_text(DROP_IN % disks)
        return Rig(folder)

    return serve


@pytest.mark.parametrize(
    "path", [f"/overlay/{MAC}.cpio", "/overlay/52-54-00-12-34-56", "/overlay/52-54-00-12-34-56.cpio?token=x"]
)  # fmt: skip
def test_it_is_an_archive_with_the_machines_files(serve, path):
    rig = serve()

    answer = rig.get(path)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-cpio"
    assert answer.headers["cache-control"] == "no-store"
    names = subprocess.run(["cpio", "-t"], input=answer.body, capture_output=True, check=True)
    assert "etc/netbootd/root/etc/disks" in names.stdout.decode().splitlines()
    assert b"2 for 52:54:00:12:34:56\n" in answer.body
    (event,) = rig.events
    assert isinstance(event, Served)
    assert (str(event.mac), event.target, event.sent) == (MAC, "nfs/node", len(answer.body))


def test_what_is_the_same_for_all_who_read_is_in_memory_once(serve):
    rig, many = serve(blob=bytes(1 << 20)), 50
    rig.asked(f"/overlay/{MAC}.cpio")  # what is kept from the first time on

    tracemalloc.start()
    try:
        held = [rig.asked(f"/overlay/{MAC}.cpio") for _ in range(many)]
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert min(answer.size for answer in held) > 1 << 20
    assert taken < many * (64 << 10)


def test_no_more_of_it_is_read_for_the_answer_than_templates_make(serve, monkeypatch):
    rig, hashed = serve(blob=bytes(1 << 20)), []
    monkeypatch.setattr("netbootd.content.hashlib.sha256", hashed.append)

    assert rig.asked(f"/overlay/{MAC}.cpio").size > 1 << 20
    assert not hashed


def test_its_urls_lead_back_to_where_it_was_asked_for(serve):
    assert (
        b"http://192.0.2.1:3000/done/52-54-00-12-34-56" in serve().get(f"/overlay/{MAC}.cpio").body
    )


def test_a_machine_that_nobody_knows_gets_none(serve):
    rig = serve()

    assert rig.get("/overlay/02-00-00-00-00-01.cpio").status == 404
    assert isinstance(rig.events[0], Refused)


def test_an_error_is_told_to_the_log_and_not_to_the_client(serve):
    rig = serve(disks=0)

    answer = rig.get(f"/overlay/{MAC}.cpio")

    assert answer.status == 500
    assert "disks.j2" not in answer.text
    assert "ZeroDivision" not in answer.text
    (event,) = rig.events
    assert isinstance(event, Refused)
    assert "disks.j2:1: ZeroDivisionError" in event.reason


def test_it_is_made_for_what_is_read_only(serve):
    assert serve().ask("POST", f"/overlay/{MAC}.cpio").status == 405


def test_a_machine_that_would_not_get_it_is_told_so_before_it_loads_anything(serve):
    rig = serve(disks=0)

    script = rig.get(f"/boot/{MAC}", User_Agent="iPXE/1.0")

    assert script.status == 200
    assert "its overlay has an error" in script.text
    assert "kernel" not in script.text


def test_a_machine_that_gets_it_loads_it_first(serve):
    script = serve().get(f"/boot/{MAC}", User_Agent="iPXE/1.0").text

    assert script.index(
        "initrd --name overlay.cpio http://192.0.2.1:3000/overlay/52-54-00-12-34-56"
    )
