"""Who may have what is made for one machine, where ``private`` is set."""

from __future__ import annotations

import pytest

from .inmemory import MAC, Rig

OTHER = "52:54:00:12:34:58"
MACHINES = f'"{OTHER}" : {{ "type" : "nfs", "name" : "a" }},'
PATHS = (f"/scripts/{OTHER}", f"/overlay/{OTHER}.cpio", f"/install/{OTHER}/node.cfg")


@pytest.fixture
def private(tmp_path):
    (tmp_path / "files" / "install").mkdir(parents=True)
    (tmp_path / "files" / "install" / "node.cfg.j2").write_text("{{ mac }}\n")
    return Rig(tmp_path, machines=MACHINES, netbootd='"private" : true')


@pytest.mark.parametrize("path", PATHS)
def test_a_machine_that_booted_from_here_gets_what_is_its_own(private, path):
    assert private.get(path).status == 403
    private.get(f"/{OTHER}")
    assert private.get(path).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_the_token_of_its_boot_is_good_from_everywhere(private, path):
    private.live.record.begin(OTHER, "nfs/a", armed=False, mac=OTHER, peer="192.0.2.9", listed=True)
    token = private.live.record.token(OTHER, private.live.record.of(OTHER).latest)
    assert private.get(f"{path}?token={token}").status == 200
    assert private.get(f"{path}?token={'0' * 32}").status == 403


def test_a_machine_with_an_address_of_its_own_is_known_by_that(private):
    # the rig's client has the "ip" of MAC
    assert private.get(f"/scripts/{MAC}").status == 200
    private.get(f"/{OTHER}")
    assert private.get(f"/scripts/{MAC}").status == 200


def test_without_the_setting_a_mac_is_enough(tmp_path):
    assert Rig(tmp_path, machines=MACHINES).get(f"/scripts/{OTHER}").status == 200
