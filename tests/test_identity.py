"""A machine that is listed without a MAC, met by every protocol in the order of a boot."""

from __future__ import annotations

import pytest

from netbootd.dhcp.message import Option
from netbootd.mac import MAC
from netbootd.tftp.locate import Locator
from netbootd.tftp.wire import ReadRequest

from .dhcp.test_service import Edge, discover
from .http.inmemory import Rig

#: What the capture has in option 97, and the card it comes from.
UUID = "00112233-4455-6677-8899-aabbccddeeff"
CARD = MAC.parse("52:54:00:aa:00:0c")
BY_UUID = '"gosling" : { "type" : "nfs", "name" : "a", "uuid" : "%s" },' % UUID
BY_SERIAL = '"gosling" : { "type" : "nfs", "name" : "a", "serial" : "SN 4711" },'
DEFAULT = '"default" : { "type" : "nfs", "name" : "broken" },'


def rig(folder, machines, settings=""):
    return Rig(folder, machines=machines, netbootd=settings)


def by_dhcp(made):
    """The event and the boot file that the captured DISCOVER leads to."""
    edge = Edge(made.live.snapshot)
    edge.live.sightings = made.live.sightings
    edge.receive(discover("qemu-ipxe-bios-uuid-discover"))
    return edge


def title_by_tftp(made):
    located = Locator(made.live, lambda: 0.0).locate(
        ReadRequest(f"{CARD}/images/vmlinuz", "octet", {}), "192.0.2.99", "192.0.2.1"
    )
    located.content.close()
    return located.target


@pytest.mark.parametrize("known_only", ["", '"known_only" : true'])
def test_a_uuid_in_dhcp_is_enough_for_all_that_follows(tmp_path, known_only):
    made = rig(tmp_path, BY_UUID + DEFAULT, known_only)
    assert title_by_tftp_or_refused(made) != "nfs/a"
    edge = by_dhcp(made)
    assert edge.events[-1].target == "nfs/a"
    assert title_by_tftp(made) == "nfs/a"
    assert "kernel" in made.get(f"/boot/{CARD.dashed}", User_Agent="iPXE/1").text
    assert made.get(f"/{CARD.dashed}/images/vmlinuz").status == 200
    assert made.events[-1].target == "nfs/a"


def title_by_tftp_or_refused(made):
    try:
        return title_by_tftp(made)
    except Exception as problem:
        return str(problem)


def test_a_serial_number_comes_by_the_first_script(tmp_path):
    """DHCP cannot know it: iPXE is sent to the first script, which makes it say it."""
    made = rig(tmp_path, BY_SERIAL + DEFAULT)
    assert by_dhcp(made).events[-1].file.endswith("/boot")
    first = made.get("/boot", User_Agent="iPXE/1").text
    assert "/boot/${netX/mac:hexhyp}?uuid=${uuid}&serial=${serial:uristring}&asset=" in first
    asked = f"/boot/{CARD.dashed}?uuid={UUID}&serial=sn%204711&asset="
    assert "cannot boot" in made.get(f"/boot/{CARD.dashed}", User_Agent="iPXE/1").text
    assert "kernel" in made.get(asked, User_Agent="iPXE/1").text
    assert title_by_tftp(made) == "nfs/a"
    assert made.get(f"/{CARD.dashed}/images/vmlinuz").status == 200
    assert made.events[-1].target == "nfs/a"


def test_who_is_listed_by_mac_goes_straight_to_its_script(tmp_path):
    own = '"%s" : { "type" : "nfs", "name" : "a" },' % CARD
    made = rig(tmp_path, BY_SERIAL + own)
    assert by_dhcp(made).events[-1].file.endswith(f"/boot/{CARD}")


def test_only_what_asks_for_a_script_says_who_it_is(tmp_path):
    made = rig(tmp_path, BY_SERIAL + DEFAULT)
    made.get(f"/{CARD.dashed}/images/vmlinuz?serial=SN+4711")
    assert title_by_tftp(made) == "nfs/broken"


def test_a_uuid_of_zeros_is_not_remembered(tmp_path):
    made = rig(tmp_path, BY_UUID + DEFAULT)
    by_dhcp(made)
    edge = Edge(made.live.snapshot)
    edge.live.sightings = made.live.sightings
    payload, info, source = discover("qemu-ipxe-bios-uuid-discover")
    option = bytes((Option.UUID, 17, 0)) + bytes.fromhex("33221100554477668899aabbccddeeff")
    assert option in payload
    edge.receive((payload.replace(option, option[:3] + bytes(16)), info, source))
    assert edge.events[-1].target == "nfs/a"
