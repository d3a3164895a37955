"""What other loaders ask for by HTTP."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netbootd import mac
from netbootd.events.event import Scripted

from .inmemory import MAC

DASHED = MAC.replace(":", "-")
GRUB = {"User_Agent": "GRUB 2.12-9+deb13u1"}


@pytest.mark.parametrize(
    "path",
    [
        f"/grub/grub.cfg-01-{DASHED}",
        f"/boot/grub/grub.cfg-01-{MAC}",
        f"/{DASHED}/grub/grub.cfg",
        "/grub/grub.cfg-C000024D",
    ],
)
def test_grub_gets_its_configuration_and_the_way_to_its_kernel(rig, path):
    answer = rig.get(path, **GRUB)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"
    assert f"linux '(http,192.0.2.1:3000)/{DASHED}/images/vmlinuz'" in answer.text
    assert rig.get(f"/{DASHED}/images/vmlinuz").status == 200
    scripted = [event for event in rig.events if isinstance(event, Scripted)]
    assert [(event.mac, event.target) for event in scripted] == [(mac.MAC.parse(MAC), "nfs/a")]
    assert len(rig.live.record.of(MAC).attempts) == 1


def test_head_tells_the_size_and_is_no_attempt(rig):
    path = f"/grub/grub.cfg-01-{DASHED}"
    head = rig.ask("HEAD", path, **GRUB)
    assert not rig.live.record.of(MAC).attempts
    assert int(head.headers["content-length"]) > 0


def test_petitboot_and_pxelinux_get_paths(rig):
    text = rig.get(f"/{DASHED}/pxelinux.cfg/01-{DASHED}").text
    assert f"KERNEL /{DASHED}/images/vmlinuz" in text


def test_first_contact_knows_our_port(rig):
    rig.live.swap(replace(rig.live.snapshot, addresses={}))
    text = rig.get("/grub/grub.cfg", **GRUB).text
    assert "configfile '(http,192.0.2.1:3000)/grub.cfg-01-'\"$mac\"" in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/grub/grub.cfg-01-52-54-00-00-00-99", 403),
        ("/grub/grub.cfg-C000024", 404),
        ("/pxelinux.cfg/01-52-54-00-00-00-99", 403),
        ("/pxelinux.cfg/aabbccdd-0011-2233-4455-66778899aabb", 404),
        ("/boot/pxelinux.cfg/x", 404),
        ("/boot/x/y", 404),
    ],
)
def test_nobody_else_gets_one(rig, path, status):
    assert rig.get(path, **GRUB).status == status


def test_a_target_that_cannot_boot_says_so_where_a_person_can_read_it(rig):
    answer = rig.get("/grub/grub.cfg-01-52-54-00-12-34-57", **GRUB)
    assert answer.status == 200
    assert "nfs/broken cannot boot" in answer.text


def test_a_file_of_the_admin_is_what_is_served(rig):
    (rig.root / "grub").mkdir()
    (rig.root / "grub" / "grub.cfg").write_text("own")
    assert rig.get("/grub/grub.cfg", **GRUB).text == "own"


# GRUB 2.12 of Debian 13 has two kinds of HTTP: its own, and the firmware's.
@pytest.mark.parametrize("agent", [GRUB, {"User_Agent": "UefiHttpBoot/1.0"}])
def test_somebody_with_a_browser_makes_no_attempt_where_the_machine_lives_elsewhere(
    tmp_path, agent
):
    from .inmemory import Rig

    rig = Rig(
        tmp_path,
        machines='"52:54:00:00:00:01" : { "type" : "nfs", "name" : "a", "ip" : "192.0.2.9" },',
    )
    path = "/grub/grub.cfg-01-52-54-00-00-00-01"
    assert rig.get(path, User_Agent="curl/8").status == 200
    assert not rig.live.record.of("52:54:00:00:00:01").attempts
    assert rig.get(path, **agent).status == 200
    assert len(rig.live.record.of("52:54:00:00:00:01").attempts) == 1
