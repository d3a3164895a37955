"""Who is who: beginnings of MACs, and what SMBIOS calls a machine."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify, refusal
from netbootd.dhcp import wire
from netbootd.errors import ConfigErrors, Level
from netbootd.mac import MAC
from netbootd.registry import marks
from netbootd.registry.load import load
from netbootd.registry.marks import Marks
from netbootd.registry.sightings import Sightings
from netbootd.registry.wildcards import prefix_of

from ..dhcp.captures import capture

NODE = MAC.parse("00:25:90:27:db:b4")
STRANGER = MAC.parse("52:54:00:12:34:56")
UUID_TEXT = "00112233-4455-6677-8899-aabbccddeeff"
TURNED = "33221100-5544-7766-8899-aabbccddeeff"
A = {"type": "nfs", "name": "a"}
B = {"type": "nfs", "name": "b"}


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "k").write_bytes(b"kernel")

    def make(machines, **settings):
        targets = {name: {"kernel": "k", "boot_args": "root=x"} for name in "abcd"}
        document = {
            "netbootd": {"files": str(tmp_path), **settings},
            "targets": {"nfs": targets},
            "machines": machines,
        }
        file = tmp_path / "c.json"
        file.write_text(json.dumps(document, indent=1))
        return load(file)

    return make


def of(registry, code):
    return [finding for finding in registry.findings if finding.code == code]


def who(registry, mac=STRANGER, **said):
    return identify(Client(stage=Stage.IPXE, mac=mac, **said), registry)


# -- wildcards ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("00:25:90:*", "002590"),
        ("00-25-90-*", "002590"),
        (" 00:25:90:27:DB:b* ", "00259027dbb"),
        ("00:25:9*", "00259"),
        ("002590*", "002590"),
        ("0025.90*", "002590"),
        ("0*", "0"),
        ("*", None),
        ("00:25:90", None),
        ("00:25:90:27:db:b4*", None),
        ("0:25:90:*", None),
        ("00:25::*", None),
        ("00:2g:*", None),
        ("rack*", None),
    ],
)
def test_a_wildcard_is_the_beginning_of_a_mac_and_a_star(key, prefix):
    assert prefix_of(key) == prefix


def test_the_longest_beginning_wins_below_the_entry_and_above_the_default(loaded):
    registry = loaded(
        {
            "default": A,
            "00:25:90:*": B,
            "00:25:90:2*": {"type": "nfs", "name": "c"},
            str(NODE): {"type": "nfs", "name": "d"},
        }
    )
    titles = {
        "00:25:90:27:db:b4": "nfs/d",
        "00:25:90:27:db:b5": "nfs/c",
        "00:25:90:37:db:b5": "nfs/b",
        "00:25:91:27:db:b5": "nfs/a",
    }
    assert {text: registry.machine(MAC.parse(text)).title for text in titles} == titles


def test_a_wildcards_client_is_known_and_has_a_state_of_its_own(loaded):
    registry = loaded({"00:25:90:*": A}, known_only=True)
    machine = who(registry, NODE)
    assert machine.mac == NODE
    assert machine.key == str(NODE)
    assert refusal(Client(stage=Stage.IPXE, mac=NODE), machine, registry) is None
    assert who(registry) is None


def test_a_wildcard_twice_is_an_error_with_both_places(loaded):
    with pytest.raises(ConfigErrors, match=r"00259\* stands at .*c.json:\d+"):
        loaded({"00:25:9*": A, "00-25-9*": B})


def test_a_mac_and_a_star_is_one_stray_character(loaded):
    registry = loaded({"default": A, f"{NODE}*": B})
    assert registry.machine(NODE).title == "localboot (switched off)"


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"mac": str(NODE)}, {"mac": NODE}),
        ({"macs": [str(NODE), "00:25:90:27:db:b5"]}, {"mac": MAC.parse("00:25:90:27:db:b5")}),
        ({"uuid": UUID_TEXT}, {"uuid": UUID_TEXT}),
        ({"serial": "VMware-42"}, {"serial": " vmware-42"}),
        ({"asset": "Rack 4, 17"}, {"asset": "RACK 4,  17"}),
    ],
)
def test_a_machine_by_name_is_found_by_what_its_entry_holds(loaded, entry, said):
    registry = loaded({"default": A, "silverish": {**B, **entry}})
    machine = who(registry, **said)
    assert machine.title == "nfs/b"
    assert machine.key == "silverish"
    assert machine.known
    assert machine.mac == said.get("mac", STRANGER)
    assert registry.by_key("silverish", STRANGER).key == "silverish"
    assert not of(registry, "mac-invalid")


def test_a_name_whose_entry_holds_nothing_to_know_it_by_never_matches(loaded):
    registry = loaded({"silverish": A})
    (finding,) = of(registry, "mac-invalid")
    assert "never matches" in finding.text
    assert registry.listed == 0


def test_a_mac_with_a_stray_character_stays_switched_off_whatever_it_holds(loaded):
    registry = loaded({"default": A, f"{NODE}x": {**B, "uuid": UUID_TEXT}})
    assert registry.machine(NODE).title == "localboot (switched off)"


def test_all_cards_of_a_machine_have_one_key(loaded):
    registry = loaded({str(NODE): {**A, "mac": "00:25:90:27:db:b5", "macs": "00:25:90:27:db:b6"}})
    cards = [MAC.parse(f"00:25:90:27:db:b{digit}") for digit in "456"]
    assert [registry.machine(mac).mac for mac in cards] == cards
    assert {registry.machine(mac).key for mac in cards} == {str(NODE)}


def test_a_card_of_two_machines_is_an_error(loaded):
    with pytest.raises(ConfigErrors, match="mac-duplicate"):
        loaded({"one": {**A, "mac": str(NODE)}, "two": {**B, "macs": [str(NODE)]}})


# -- marks -------------------------------------------------------------------------------------


def test_the_order_is_mac_uuid_serial_asset_wildcard_default(loaded):
    entries = {
        str(NODE): {**A, "label": "mac"},
        "u": {**A, "uuid": UUID_TEXT, "label": "uuid"},
        "s": {**A, "serial": "S1", "label": "serial"},
        "t": {**A, "asset": "T1", "label": "asset"},
        "00:25:90:*": {**A, "label": "wildcard"},
        "default": {**A, "label": "default"},
    }
    registry = loaded(entries)
    said = {"uuid": UUID_TEXT, "serial": "S1", "asset": "T1"}
    found = [who(registry, NODE, **said).variables["label"]]
    other = MAC.parse("00:25:90:00:00:01")
    for mark in tuple(said):
        found.append(who(registry, other, **said).variables["label"])
        del said[mark]
    found += [who(registry, mac).variables["label"] for mac in (other, STRANGER)]
    assert found == ["mac", "uuid", "serial", "asset", "wildcard", "default"]


@pytest.mark.parametrize(
    "written",
    [UUID_TEXT, TURNED, UUID_TEXT.upper(), f"{{{UUID_TEXT}}}", UUID_TEXT.replace("-", "")],
)
@pytest.mark.parametrize("said", [UUID_TEXT, TURNED, UUID_TEXT.upper()])
def test_a_uuid_is_one_in_either_byte_order_and_any_spelling(loaded, written, said):
    registry = loaded({"u": {**A, "uuid": written}})
    assert who(registry, uuid=said).key == "u"


@pytest.mark.parametrize("written", [UUID_TEXT, TURNED])
def test_option_97_of_a_real_client_is_found_in_either_spelling(loaded, written):
    """SMBIOS has UUID_TEXT; PXELINUX of this very boot asked for pxelinux.cfg/TURNED."""
    message = wire.decode(capture("qemu-ipxe-bios-uuid-discover").payload)
    registry = loaded({"u": {**A, "uuid": written}})
    assert who(registry, message.mac, uuid=message.uuid).key == "u"


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("uuid", "00000000-0000-0000-0000-000000000000"),
        ("uuid", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
        ("uuid", "44444444-4444-4444-4444-444444444444"),
        ("uuid", "03000200-0400-0500-0006-000700080009"),
        ("uuid", "00020003-0004-0005-0006-000700080009"),
        ("uuid", "no uuid"),
        ("uuid", ""),
        ("serial", "To be filled by O.E.M."),
        ("serial", "  "),
        ("serial", "0000000"),
        ("asset", "Default string"),
        ("asset", "No Asset Tag"),
    ],
)
def test_what_tells_no_machine_apart_never_matches_and_is_said(loaded, mark, text):
    registry = loaded({"m": {**A, mark: text}, "n": {**B, "mac": str(NODE)}})
    (finding,) = of(registry, "mark-unusable")
    assert finding.level is Level.WARNING
    assert finding.path == f"machines.m.{mark}"
    assert who(registry, **{mark: text}) is None


@pytest.mark.parametrize("text", [UUID_TEXT[:-1], UUID_TEXT.replace("0", "O", 1), f"{UUID_TEXT}1"])
def test_a_uuid_with_a_slip_of_the_fingers_keeps_a_reload_out(loaded, text):
    (finding,) = of(loaded({"m": {**A, "uuid": text}}), "mark-unusable")
    assert finding.level is Level.RELOAD
    assert "is no UUID of 32 hexadecimal digits" in finding.text


def test_a_uuid_with_a_character_behind_it_is_switched_off(loaded):
    (finding,) = of(loaded({"m": {**A, "uuid": f"{UUID_TEXT}x"}}), "mark-unusable")
    assert finding.level is Level.WARNING


@pytest.mark.parametrize("mark", [7, None, ["x"]])
def test_a_mark_is_a_string(loaded, mark):
    assert of(loaded({"m": {**A, "serial": mark}}), "mark-unusable")


@pytest.mark.parametrize(
    ("mark", "one", "other"),
    [("uuid", UUID_TEXT, TURNED), ("serial", "S1", " s1 "), ("asset", "T1", "T1")],
)
def test_a_mark_of_two_machines_is_neither_ones(loaded, mark, one, other):
    registry = loaded({"one": {**A, mark: one}, "two": {**B, mark: other}})
    (finding,) = of(registry, "mark-duplicate")
    assert finding.level is Level.TARGET
    assert str(registry.named["one"].place) in finding.text
    assert who(registry, **{mark: one}) is None


@pytest.mark.parametrize("key", ["default", "00:25:90:*"])
def test_who_stands_for_many_has_no_mark(loaded, key):
    registry = loaded({key: {**A, "uuid": UUID_TEXT}})
    assert "stands for many" in of(registry, "mark-unusable")[0].text
    assert registry.marked["uuid"] == {}


def test_a_mark_in_an_entry_with_a_mac_finds_its_other_cards(loaded):
    registry = loaded({str(NODE): {**A, "uuid": UUID_TEXT}})
    machine = who(registry, STRANGER, uuid=UUID_TEXT)
    assert (machine.mac, machine.key) == (STRANGER, str(NODE))
    assert registry.by_key(str(NODE), STRANGER) == machine


def test_an_address_counts_only_where_there_is_no_mac(loaded):
    registry = loaded({"default": B, str(NODE): {**A, "ip": "192.0.2.9"}})
    assert identify(Client(stage=Stage.IPXE, address="192.0.2.9"), registry).mac == NODE
    assert who(registry, STRANGER, address="192.0.2.9").title == "nfs/b"


def test_normal_is_the_same_for_both_byte_orders():
    turned = str(UUID(bytes_le=UUID(UUID_TEXT).bytes))
    assert turned == TURNED
    assert marks.normal("uuid", UUID_TEXT) == marks.normal("uuid", turned) != ""


# -- sightings ---------------------------------------------------------------------------------


def test_what_a_mac_has_said_is_kept_until_it_says_otherwise():
    sightings = Sightings()
    assert sightings.note(NODE, Marks(uuid=UUID_TEXT)) == Marks(uuid=UUID_TEXT)
    both = sightings.note(NODE, Marks(serial="S1"))
    assert both == Marks(uuid=UUID_TEXT, serial="S1") == sightings.of(NODE)
    assert sightings.note(NODE, Marks()) == both
    assert sightings.note(NODE, Marks(serial="S2")).serial == "S2"
    assert sightings.of(STRANGER) == sightings.of(None) == Marks()


def test_who_has_not_been_heard_of_for_longest_is_forgotten_first():
    sightings = Sightings(most=2)
    macs = [MAC.parse(f"00:25:90:00:00:0{number}") for number in range(3)]
    sightings.note(macs[0], Marks(serial="S0"))
    sightings.note(macs[1], Marks(serial="S1"))
    sightings.note(macs[0], Marks(asset="T0"))
    sightings.note(macs[2], Marks(serial="S2"))
    assert sightings.of(macs[1]) == Marks()
    assert sightings.of(macs[0]) == Marks(serial="S0", asset="T0")


def test_a_clients_words_are_cut_and_what_tells_nothing_is_left_out():
    said = Marks.of({"uuid": str(UUID(int=0)), "serial": "S" + "1" * 1000, "asset": "None"})
    assert (said.uuid, said.asset) == ("", "")
    assert len(said.serial) == marks.MOST
