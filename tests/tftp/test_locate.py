"""What a read request gets: loaders by MAC and by name, files, the first script, and refusals."""

from __future__ import annotations

import pytest

from netbootd.errors import Forbidden, NotFound
from netbootd.events.event import Transferred
from netbootd.mac import MAC
from netbootd.record.standing import holds
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.marks import Marks
from netbootd.tftp.locate import Locator
from netbootd.tftp.wire import ReadRequest

UUID = "4c4c4544-0042-3510-8052-b4c04f4e3132"
NODE = "00:25:90:27:db:b4"
CONFIG = """{
  "targets" : { "nfs" : { "a" : { "kernel" : "k" } } },
  "machines" : { %s "00:25:90:27:db:b4" : { "type" : "nfs", "name" : "a", "ip" : "192.0.2.50" } },
  "netbootd" : { "firmware" : "fw", "files" : "files" %s },
}"""
DEFAULT = '"default" : { "type" : "nfs", "name" : "a" },'


@pytest.fixture
def locator(tmp_path):
    def make(default=DEFAULT, settings=""):
        for folder in ("fw", "files/images"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "fw" / "undionly.kpxe").write_bytes(b"loader")
        (tmp_path / "files" / "images" / "k").write_bytes(b"kernel")
        (tmp_path / "c.json").write_text(CONFIG % (default, settings))
        clock = [0.0]
        made = Locator(LiveRegistry(load(tmp_path / "c.json")), lambda: clock[0])
        made.clock = clock
        return made

    return make


def read(locator, path, peer="192.0.2.7", options=None):
    located = locator.locate(ReadRequest(path, "octet", options or {}), peer, "192.0.2.1")
    try:
        return located.content.read(0, 1000), located
    finally:
        located.content.close()


@pytest.mark.parametrize(
    ("path", "bytes_"),
    [
        (f"{NODE}/undionly.kpxe", b"loader"),
        (f"/{NODE}//undionly.ipxe", b"loader"),
        ("undionly.kpxe", b"loader"),
        ("/undionly.ipxe", b"loader"),
        ("images/k", b"kernel"),
        ("\\images\\k", b"kernel"),
        (f"{NODE}/images/k", b"kernel"),
    ],
)
def test_loaders_and_files_are_found(locator, path, bytes_):
    assert read(locator(), path)[0] == bytes_


def test_the_mac_in_the_path_says_who_is_loading(locator):
    located = read(locator(), f"{NODE}/undionly.kpxe")[1]
    assert (str(located.mac), located.target) == (NODE, "nfs/a")


def test_a_bare_path_is_known_by_the_address(locator):
    assert read(locator(), "undionly.kpxe", "192.0.2.50")[1].mac == MAC.parse(NODE)
    assert read(locator(), "undionly.kpxe", "192.0.2.51")[1].mac is None


@pytest.mark.parametrize("arguments", [{"default": ""}, {"settings": ', "known_only" : true'}])
def test_a_machine_that_dhcp_would_refuse_is_refused_here_too(locator, arguments):
    with pytest.raises(Forbidden):
        read(locator(**arguments), "52:54:00:00:00:01/undionly.kpxe")


def test_the_subnet_of_the_client_says_how_large_a_packet_may_be(locator):
    subnets = '}, "subnets" : { "192.0.2.0/24" : { "mtu" : 1400 }'
    narrow = locator(settings=subnets)
    assert read(narrow, "undionly.kpxe")[1].mtu == 1400
    assert read(narrow, "autoexec.ipxe")[1].mtu == 1400
    assert read(narrow, "undionly.kpxe", peer="198.51.100.7")[1].mtu == 0


def test_what_is_missing_or_hostile_is_told_apart(locator):
    with pytest.raises(NotFound):
        read(locator(), "pxelinux.cfg/default")
    with pytest.raises(Forbidden):
        read(locator(), f"{NODE}/../c.json")


@pytest.mark.parametrize("path", ["autoexec.ipxe", f"{NODE}/autoexec.ipxe", "/a/b/autoexec.ipxe"])
def test_autoexec_is_the_first_script_wherever_it_is_asked_for(locator, path):
    text, _ = read(locator(), path)
    assert text.startswith(b"#!ipxe\n")
    assert b"chain --replace http://192.0.2.1:3000/boot/" in text


ASKED = {"blksize": "1432", "tsize": "0"}


def loaded(locator, peer="192.0.2.7"):
    locator.notice(Transferred(peer=peer, path="undionly.kpxe", size=6, seconds=0.1))


def test_ipxe_sent_to_its_own_loader_again_gets_its_script_where_that_is_on(locator):
    patient = locator(settings=', "tftp" : { "script_for_ipxe" : true }')
    assert read(patient, "undionly.kpxe", options=ASKED)[0] == b"loader"
    loaded(patient)
    assert read(patient, "undionly.kpxe", options=ASKED)[0].startswith(b"#!ipxe")
    assert read(patient, "/undionly.kpxe", options=ASKED)[0].startswith(b"#!ipxe")
    assert read(patient, f"{NODE}/undionly.kpxe", options=ASKED)[0].count(b"nfs/a") > 0


@pytest.mark.parametrize(
    ("peer", "options", "later"),
    [
        ("192.0.2.8", ASKED, 0.0),
        ("192.0.2.7", {"tsize": "0", "blksize": "1432"}, 0.0),
        ("192.0.2.7", {"blksize": "1456"}, 0.0),
        ("192.0.2.7", ASKED, 400.0),
    ],
)
def test_everybody_else_gets_the_loader(locator, peer, options, later):
    patient = locator(settings=', "tftp" : { "script_for_ipxe" : true }')
    loaded(patient)
    patient.clock[0] = later
    assert read(patient, "undionly.kpxe", peer, options)[0] == b"loader"


def test_it_is_off_unless_turned_on(locator):
    plain = locator()
    loaded(plain)
    assert read(plain, "undionly.kpxe", options=ASKED)[0] == b"loader"


def test_triton_s_ipxe_gets_its_script_by_the_name_it_asks_for(locator):
    text = read(locator(), "boot.ipxe.0100259027DBB4")[0].decode()
    assert "target=nfs/a" in text
    with pytest.raises(NotFound):
        read(locator(), "boot.ipxe.old")
    with pytest.raises(Forbidden):
        read(locator(default=""), "boot.ipxe.01525400123456")


def test_a_held_machine_that_loads_itself_gets_to_see_why(locator):
    made = locator()
    asks = {"blksize": "1432", "tsize": "0"}
    made.notice(Transferred(peer="192.0.2.7", path=f"{NODE}/undionly.kpxe", size=6, seconds=0.1))
    assert read(made, f"{NODE}/undionly.kpxe", options=asks)[0] == b"loader"
    record = made._live.record
    record.put(NODE, holds(record.of(NODE), "it goes in a circle"))
    assert b"it goes in a circle" in read(made, f"{NODE}/undionly.kpxe", options=asks)[0]
    assert read(made, f"{NODE}/undionly.kpxe")[0] == b"loader", "firmware asks otherwise"


def test_a_templates_own_text_is_not_sent(locator, tmp_path):
    made = locator()
    (tmp_path / "files" / "preseed.cfg.j2").write_text("secret")
    for path in ("preseed.cfg.j2", f"{NODE}/preseed.cfg.j2", "preseed.cfg"):
        with pytest.raises(NotFound):
            read(made, path)


def _said(locator, path, peer="192.0.2.7"):
    """Everything that an answer is, or the refusal."""
    try:
        got, located = read(locator, path, peer)
    except (Forbidden, NotFound) as problem:
        return type(problem), str(problem)
    return got, located.mac, located.target, located.mtu, located.content.etag


PATHS = (
    f"{NODE}/undionly.kpxe",
    "undionly.kpxe",
    "images/k",
    f"{NODE}/images/k",
    "52:54:00:00:00:01/undionly.kpxe",
    "nothing",
    "../secret",
)


def test_who_asks_again_gets_what_one_gets_who_never_asked(locator, tmp_path):
    """After each change: what is kept says what is found."""
    asked = locator()

    def compare():
        fresh = Locator(asked._live, lambda: asked.clock[0])
        for path in PATHS * 2:
            assert _said(asked, path) == _said(fresh, path), path

    compare()
    assert len(asked._kept) == 5
    (tmp_path / "files" / "images" / "k").write_bytes(b"another")
    compare()
    (tmp_path / "files" / "images" / "k").unlink()
    compare()
    asked._live.swap(locator(default="")._live.snapshot)
    compare()
    assert _said(asked, PATHS[4])[0] is Forbidden
    (tmp_path / "fw" / "undionly.kpxe").write_bytes(b"new loader")
    asked._live.swap(load(tmp_path / "c.json"))
    assert read(asked, PATHS[0])[0] == b"new loader"
    compare()


def test_a_machine_that_is_known_by_what_it_said_is_found_although_it_asked_before(
    locator, tmp_path
):
    asked = locator(default="")
    text = CONFIG % ('"by-mark" : { "uuid" : "%s", "type" : "nfs", "name" : "a" },' % UUID, "")
    (tmp_path / "c.json").write_text(text)
    asked._live.swap(load(tmp_path / "c.json"))
    stranger = MAC.parse("52:54:00:00:00:01")
    assert _said(asked, PATHS[4])[0] is Forbidden
    asked._live.sightings.note(stranger, Marks(uuid=UUID))
    assert _said(asked, PATHS[4])[0] == b"loader"


def test_what_is_kept_is_bounded(locator, monkeypatch):
    asked = locator()
    monkeypatch.setattr("netbootd.tftp.locate._MOST_KEPT", 3)
    for host in range(1, 6):
        read(asked, "undionly.kpxe", f"192.0.2.{host}")
    assert [peer for _, peer in asked._kept] == ["192.0.2.3", "192.0.2.4", "192.0.2.5"]
