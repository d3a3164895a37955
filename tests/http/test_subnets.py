"""Where nobody is served, HTTP says the same as DHCP and TFTP."""

from __future__ import annotations

import pytest

from tests.http.inmemory import MAC, Rig

CLOSED, LISTED_ONLY = '"enabled" : false', '"known_only" : true'
STRANGER = "52:54:00:00:00:01"


def rig(folder, policy, network="192.0.2.0/24"):
    """The client of a Rig is at 192.0.2.77."""
    default = '"default" : { "type" : "nfs", "name" : "a" },'
    return Rig(folder, f'}}, "subnets" : {{ "{network}" : {{ {policy} }}', default)


@pytest.mark.parametrize(
    "path",
    [
        "/images/vmlinuz",
        f"/{MAC}/ipxe.efi",
        f"/scripts/{MAC}",
        "/scripts/netbootd-env",
        f"/overlay/{MAC}.cpio",
        f"/machines/{MAC}/vms",
    ],
)
def test_nothing_for_machines_is_given_where_nobody_is_served(tmp_path, path):
    closed = rig(tmp_path, CLOSED)
    answer = closed.get(path)
    assert answer.status == 403
    assert "192.0.2.0/24, where nobody is served" in answer.text
    assert "nobody is served" in str(closed.events[-1])


@pytest.mark.parametrize("path", ["/", "/boot", f"/boot/{MAC}", f"/{MAC}"])
def test_a_console_is_told_why(tmp_path, path):
    closed = rig(tmp_path, CLOSED)
    assert closed.get(path).status == 403
    answer = closed.get(path, user_agent="iPXE/1.21.1")
    assert answer.status == 200
    assert answer.text.startswith("#!ipxe\n")
    assert "192.0.2.0/24" in answer.text
    assert "kernel" not in answer.text


def test_the_status_page_is_for_people(tmp_path):
    assert rig(tmp_path, CLOSED).get("/status").status == 200


@pytest.mark.parametrize("path", ["/images/vmlinuz", f"/{MAC}/ipxe.efi", f"/boot/{MAC}"])
def test_others_are_served_as_ever(tmp_path, path):
    assert rig(tmp_path, CLOSED, "192.0.2.0/26").get(path).status == 200


@pytest.mark.parametrize("path", [f"/{STRANGER}/ipxe.efi", f"/scripts/{STRANGER}"])
def test_who_is_not_listed_may_be_shut_out_of_a_subnet_alone(tmp_path, path):
    assert rig(tmp_path, LISTED_ONLY).get(path).status in (403, 404)
    assert rig(tmp_path / "other", LISTED_ONLY, "192.0.2.0/26").get(path).status == 200


def test_its_boot_server_is_in_every_address(tmp_path):
    own = rig(tmp_path, '"boot_server" : "10.1.0.1:80"')
    for path in ("/boot", f"/boot/{MAC}", "/scripts/netbootd.xml"):
        assert "http://10.1.0.1" in own.get(path).text, path
