"""Evidence is put together from a real registry and a real record."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import dataclass

import pytest

from netbootd.boots.boot import Code, Stage
from netbootd.bzimage import HEAD, shortage
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry.load import load
from netbootd.registry.sightings import Sightings
from netbootd.why.gather import as_text, gather, look_closer, slips
from netbootd.why.why import diagnose
from tests.binaries import pe

from .stories import KEY, NOON, Story

OTHER = "52:54:00:aa:bb:cc"
STRANGER = "52:54:00:99:99:99"


@dataclass
class Asked:
    mac: MAC


def config(folder, **more) -> dict:
    (folder / "linux").mkdir(parents=True, exist_ok=True)
    (folder / "linux" / "vmlinuz").write_bytes(kernel(4096))
    (folder / "linux" / "initrd.img").write_bytes(b"x" * 100)
    return {
        "netbootd": {"files": str(folder), "firmware": [str(folder)], "http_port": 3000},
        "targets": {
            "linux": {
                "it": {"kernel": "/linux/vmlinuz", "initrd": "/linux/initrd.img", "up_within": 300},
                "far": {"kernel": "http://mirror.example/vmlinuz"},
            },
            "install": {
                "os": {
                    "kernel": "/linux/vmlinuz",
                    "initrd": "/linux/initrd.img",
                    "os": "debian",
                    "answer": "install/preseed.cfg",
                }
            },
        },
        "machines": {
            KEY: {"type": "linux", "name": "it", "hostname": "node1"},
            OTHER: {"type": "install", "name": "os", "enabled": False},
            **more,
        },
    }


def kernel(paragraphs: int, whole: bool = True) -> bytes:
    """An x86 kernel by its header: one setup sector and *paragraphs* of 16 bytes."""
    size = 2 * 512 + paragraphs * 16 if whole else 2000
    data = bytearray(max(size, HEAD))
    data[0x1F1] = 1
    struct.pack_into("<I", data, 0x1F4, paragraphs)
    data[0x202:0x206] = b"HdrS"
    return bytes(data)


@pytest.fixture
def registry(tmp_path):
    (tmp_path / "snponly.efi").write_bytes(pe(0x8664))
    (tmp_path / "netbootd.json").write_text(json.dumps(config(tmp_path / "files")))
    (tmp_path / "files" / "snponly.efi").write_bytes(pe(0x14C))
    return load(tmp_path / "netbootd.json")


def look(registry, who=KEY, boots=(), **more):
    record = Record(lambda: NOON)
    rest = {"console": (), "refused": (), "heard": {}, "strangers": (), **more}
    return gather(who, registry, record, Sightings(), [one.boot for one in boots], now=NOON, **rest)


@pytest.mark.parametrize("word", [KEY, KEY.replace(":", "-"), KEY.upper(), "node1"])
def test_a_machine_is_found_by_any_spelling_of_its_mac_and_by_its_host_name(registry, word):
    found = look(registry, word)
    assert (found.key, found.name, found.known) == (KEY, "node1", True)


def test_what_is_known_of_its_target_is_there(registry):
    target = look(registry).target
    assert (target.title, target.kind, target.kernel) == ("linux/it", "linux", "/linux/vmlinuz")
    assert (target.initrds, target.up_within, target.expected) == (
        ("/linux/initrd.img",),
        300,
        True,
    )


def test_the_target_is_that_of_the_boot_and_not_what_would_be_booted_now(registry):
    story = Story().has(target="install/os")
    target = look(registry, boots=[story]).target
    assert (target.title, target.answer) == ("install/os", "install/preseed.cfg")
    assert target.is_install


def test_the_groups_that_there_are_are_known(tmp_path):
    content = {**config(tmp_path), "groups": {"rack1": {}}}
    (tmp_path / "netbootd.json").write_text(json.dumps(content))
    assert look(load(tmp_path / "netbootd.json")).groups == ("rack1",)


def test_files_on_other_servers_and_their_names_are_known(registry):
    target = look(registry, boots=[Story().has(target="linux/far")]).target
    assert target.elsewhere == ("http://mirror.example/vmlinuz",)
    assert target.names == ("mirror.example",)


def test_an_entry_that_is_switched_off_is_known_to_be(registry):
    found = look(registry, OTHER)
    assert (found.known, found.enabled) == (True, False)
    assert diagnose(found).causes[0].code == "machine-disabled"


def test_a_stranger_is_not_known(registry):
    found = look(registry, STRANGER)
    assert (found.key, found.known, found.macs) == (STRANGER, False, (STRANGER,))
    assert diagnose(found).causes[0].code == "unknown-machine"


@pytest.mark.parametrize("word", ["", "nobody", "::", "x" * 999, "\x00"])
def test_a_word_that_names_nobody_is_unknown(registry, word):
    assert look(registry, word).key == word
    assert diagnose(look(registry, word)).causes


def test_the_loaders_own_bytes_tell_for_whom_it_is(registry):
    loader = look(registry, boots=[Story().to_loader()]).loader
    assert (loader.there, loader.family, loader.is_efi) == (True, "efi-ia32", True)
    assert not loader.signed
    story = Story().to_loader()
    found = look(registry, boots=[story])
    later = diagnose(found.__class__(**{**_fields(found), "now": NOON + 999}))
    assert later.causes[0].code == "wrong-loader"


def _fields(of):
    return {name: getattr(of, name) for name in of.__slots__}


def test_a_loader_that_is_not_there_has_only_its_name(registry):
    loader = look(registry, boots=[Story().asks()]).loader
    assert look(registry, boots=[Story().loads("other.efi")]).loader.there is False
    assert loader.name == "snponly.efi"


def test_who_followed_offers_on_the_same_interface_is_counted(registry):
    followed = Story().to_loader().has(key="a").boot
    stuck = Story().asks().has(key="b").boot
    bios = Story().to_script().has(key="c", arch="BIOS x86").boot
    long_ago = Story(at=-90_000).to_script().has(key="d").boot
    own = Story().to_script().boot
    company = look(
        registry, boots=[Story().asks()], others=[followed, stuck, bios, long_ago, own]
    ).company
    assert (company.followed, company.alike) == (2, 1)


def test_a_stranger_with_nearly_the_same_mac_is_noticed(registry):
    turned = Asked(MAC.parse("52:54:00:12:43:56"))
    assert look(registry, strangers=[turned]).near == str(turned.mac)
    assert look(registry, strangers=[Asked(MAC.parse(STRANGER))]).near == ""
    assert look(registry, "52:54:00:12:34:57").near == KEY


def test_slips_of_the_pen_are_one_digit_or_two_that_changed_places():
    slipped = {str(one) for one in slips(MAC.parse(KEY))}
    assert {"52:54:00:12:34:57", "25:54:00:12:34:56", "52:54:00:12:43:56"} <= slipped
    assert KEY not in slipped
    assert "52:54:00:12:43:65" not in slipped


# -- the disk --------------------------------------------------------------------------------------


def test_a_refused_configuration_that_names_the_machine_is_read(registry, tmp_path):
    boot = Story().step(Stage.DISCOVER).note(Code.UNSERVED, "not listed", code="unknown")
    boot.has(key=STRANGER, macs=(STRANGER,))
    found = look(registry, STRANGER, [boot], refused=["netbootd.json:3: error: no comma"])
    assert look_closer(found, registry).in_refused is False
    broken = json.dumps(config(tmp_path / "files", **{STRANGER.replace(":", "-"): {}}))
    (tmp_path / "netbootd.json").write_text(broken + "}")
    closer = look_closer(found, registry)
    assert closer.in_refused is True
    first = diagnose(closer).causes[0]
    assert first.code == "reload-refused"
    assert "no comma" in first.because[0]


def test_a_configuration_that_cannot_be_read_proves_nothing(registry, tmp_path):
    found = look(registry, STRANGER, refused=["x"])
    shutil.rmtree(tmp_path)
    assert look_closer(found, registry).in_refused is None


@pytest.mark.parametrize(
    ("content", "told"),
    [(kernel(4096), ""), (kernel(4096, whole=False), "its header tells of"), (b"", "empty")],
    ids=["whole", "cut", "empty"],
)
def test_a_kernel_that_is_not_whole_is_found_on_the_disk(registry, tmp_path, content, told):
    (tmp_path / "files" / "linux" / "vmlinuz").write_bytes(content)
    short = look_closer(look(registry), registry).short
    assert told in short.get("/linux/vmlinuz", "")
    assert bool(short) == bool(told)


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:",
    ],
    ids=["page", "pointer"],
)
def test_a_text_in_the_place_of_a_kernel_is_shown(registry, tmp_path, content):
    (tmp_path / "files" / "linux" / "vmlinuz").write_bytes(content)
    unfit = look_closer(look(registry), registry).unfit
    assert content.split(b"\n")[0].decode() in unfit["/linux/vmlinuz"]


@pytest.mark.parametrize(
    "content",
    [b"#!ipxe\n" + b"echo hello\n" * 9, b"070701" + b"0" * 200, b"\x1f\x8b" + bytes(99), b"ab"],
    ids=["script", "cpio", "gzip", "short"],
)
def test_what_only_looks_like_a_text_is_none(content):
    assert as_text(content) == ""


def test_a_file_that_is_gone_is_no_matter_of_its_length(registry, tmp_path):
    (tmp_path / "files" / "linux" / "vmlinuz").unlink()
    assert look_closer(look(registry), registry).short == {}


@pytest.mark.parametrize("head", [b"", b"\0" * HEAD, b"x" * 600])
def test_what_is_no_x86_kernel_is_never_too_short(head):
    assert shortage(head, 10) == ""


def test_the_last_paragraph_of_a_kernel_may_be_counted_or_not():
    assert shortage(kernel(100), 2 * 512 + 100 * 16 - 16) == ""
    assert shortage(kernel(100), 2 * 512 + 100 * 16 - 17)
