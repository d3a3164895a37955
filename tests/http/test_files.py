"""Files over HTTP: types, ranges and conditions are tables (RFC 9110, 13 and 14)."""

from __future__ import annotations

import errno
import os
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netbootd.events.event import Refused, Served
from netbootd.http.files import Stamps, content_type, parse_date, verdict, wanted_range
from netbootd.http.resource import Asked

from .inmemory import KERNEL, LOADER, MAC, Rig

FILE = "/images/vmlinuz"
SIZE = len(KERNEL)
THEN = 1_600_000_000
STAMPS = Stamps('"abc-1"', THEN)


@pytest.fixture
def dated(rig):
    os.utime(rig.root / "images" / "vmlinuz", (THEN, THEN))
    return rig


def test_a_file_comes_whole_with_all_that_clients_want_to_know(dated):
    answer = dated.get(FILE)
    assert (answer.status, answer.body) == (200, KERNEL)
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["last-modified"] == "Sun, 13 Sep 2020 12:26:40 GMT"
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize(
    "path", [FILE, "//images///vmlinuz", "/images/vmlinuz/", "/images/./vmlinuz", "/images%2Fvmlinuz",
             "/images%5Cvmlinuz", "/images\\vmlinuz", "/%69mages/vmlinuz?x=/../y", f"/{MAC}/images/vmlinuz"]
)  # fmt: skip
def test_a_path_may_be_sloppy(rig, path):
    assert rig.get(path).body == KERNEL


@pytest.mark.parametrize(
    "path", ["/../c.json", "/images/../../c.json", "/%2e%2e/c.json", "/..%2fc.json", "/..%5cc.json",
             "/images/..", "/images/%2E%2E/images/vmlinuz", "/images/vmlinuz%00", "/a%0ab", "/" + "a" * 300,
             "/images", "/link"]
)  # fmt: skip
def test_a_path_out_of_the_root_is_refused(rig, path):
    (rig.root / "link").symlink_to("../c.json")
    answer = rig.get(path)
    assert answer.status == 403
    assert answer.text == "403 Forbidden: not served\n"  # the rest is for the operator
    assert isinstance(rig.events[-1], Refused)
    assert rig.events[-1].reason != "not served"


STRANGER = "02-00-00-00-00-01"
DEFAULT = '"default" : { "type" : "nfs", "name" : "a" },'


@pytest.mark.parametrize("path", ["ipxe.efi", "images/vmlinuz", "none"])
@pytest.mark.parametrize(
    ("machines", "netbootd", "reason"),
    [
        ("", "", "there is no machines.default"),
        (DEFAULT, '"known_only" : true', "known_only is set"),
    ],
)
def test_a_machine_that_dhcp_refuses_gets_no_files(tmp_path, machines, netbootd, reason, path):
    rig = Rig(tmp_path, machines=machines, netbootd=netbootd)
    answer = rig.get(f"/{STRANGER}/{path}")
    assert answer.status == 403
    assert reason in answer.text
    (event,) = rig.events
    assert isinstance(event, Refused)
    assert (event.mac.dashed, event.status) == (STRANGER, 403)
    assert reason in event.reason


def test_a_machine_of_the_default_gets_files(tmp_path):
    rig = Rig(tmp_path, machines=DEFAULT)
    assert rig.get(f"/{STRANGER}/ipxe.efi").body == LOADER
    assert (rig.events[-1].mac.dashed, rig.events[-1].target) == (STRANGER, "nfs/a")


def test_a_folder_named_by_a_date_is_no_machine(rig):
    (rig.root / "202401011200").mkdir()
    (rig.root / "202401011200" / "vmlinuz").write_bytes(KERNEL)
    assert rig.get("/202401011200/vmlinuz").body == KERNEL


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_trouble_that_may_pass_is_503_with_one_error(rig, monkeypatch, number):
    def trouble(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", trouble)
    answer = rig.get(FILE)
    assert (answer.status, answer.text) == (503, "503 Service Unavailable: cannot be read now\n")
    assert int(answer.headers["retry-after"]) > 0
    (event,) = rig.events
    assert (event.level, event.reason) == ("error", os.strerror(number))


def test_a_missing_file_is_404_and_never_a_script(rig):
    for agent in ("iPXE/1.21", "curl/8"):
        answer = rig.get("/images/nothing", User_Agent=agent)
        assert (answer.status, answer.text) == (404, "404 Not Found: no such file\n")
    assert rig.events[-1] == Refused(
        peer="192.0.2.77",
        protocol="HTTP",
        path="/images/nothing",
        status=404,
        reason="no such file",
    )


def test_loaders_are_programs_wherever_their_mac_stands(rig):
    for path in ("/ipxe.efi", f"/{MAC}/ipxe.efi", "/52-54-00-12-34-56/ipxe.efi", "//ipxe.efi"):
        answer = rig.get(path)
        assert answer.body == LOADER
        assert answer.headers["content-type"] == "application/efi"
        assert "last-modified" not in answer.headers


def test_the_event_says_who_fetched_what(rig):
    rig.get(f"/{MAC}/ipxe.efi")
    rig.get(FILE, Range="bytes=0-9")  # known by its address
    loader, part = rig.events
    assert isinstance(loader, Served)
    assert (str(loader.mac), loader.target, loader.sent) == (MAC, "nfs/a", len(LOADER))
    assert (str(part.mac), part.status, part.size, part.sent) == (MAC, 206, SIZE, 10)


def test_a_file_is_told_of_when_it_begins(rig):
    rig.get(f"/{MAC}/ipxe.efi")
    [begun] = rig.begun
    assert (str(begun.mac), begun.target, begun.peer) == (MAC, "nfs/a", "192.0.2.77")
    assert (begun.protocol, begun.path) == ("HTTP", f"/{MAC}/ipxe.efi")
    assert (begun.size, begun.level) == (len(LOADER), "debug")


def test_what_has_no_body_of_a_file_never_begins(dated):
    etag = dated.get(FILE).headers["etag"]
    dated.begun.clear()
    dated.get(f"/{MAC}")
    dated.get("/nothing")
    dated.ask("HEAD", FILE)
    dated.get(FILE, If_None_Match=etag)
    dated.get(FILE, Range="bytes=10-19")  # of a block device thousands
    assert dated.begun == []


def test_a_file_that_cannot_be_read_never_begins(rig, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("netbootd.content.Content.read", broken)
    assert rig.get(FILE).status == 503
    assert rig.begun == []


def test_only_the_first_of_many_parts_is_for_a_quiet_day(dated):
    etag = dated.get(FILE).headers["etag"]
    for headers in ({"Range": "bytes=0-9"}, {"Range": "bytes=10-19"}, {"Range": "bytes=-1"}):
        dated.get(FILE, **headers)
    dated.get(FILE, If_None_Match=etag)
    assert [event.level for event in dated.events] == ["info", "info", "debug", "debug", "debug"]


@pytest.mark.parametrize(
    ("problem", "level", "told"),
    [
        ("", "info", "10 of 100 bytes, the client went away after 1.50 s"),
        ("the disk", "warn", "10 of 100 bytes, the disk after 1.50 s"),
    ],
)
def test_a_body_cut_short_says_so(problem, level, told):
    event = Served(peer="192.0.2.7", path="/x", status=206, size=900, first=5, count=100, sent=10,
                   seconds=1.5, problem=problem)  # fmt: skip
    assert (event.level, str(event)) == (level, f"192.0.2.7 fetched /x by HTTP (206), {told}")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/x/snponly.efi", "application/efi"),
        ("/BOOT.EFI", "application/efi"),
        ("/a.iso", "application/octet-stream"),
        ("/initrd.img", "application/octet-stream"),
        ("/ks.cfg", "text/plain; charset=utf-8"),
        ("/efi", "application/octet-stream"),
        ("/x.efi/vmlinuz", "application/octet-stream"),
        ("/.json", "application/json"),
        ("/", "application/octet-stream"),
    ],
)
def test_the_type_is_by_the_paths_ending(path, kind):
    assert content_type(path) == kind


def test_head_is_get_without_the_body(dated):
    for path in (FILE, f"/{MAC}/ipxe.efi", f"/{MAC}", "/", "/status", "/nothing", "/boot/x", "/.."):
        head, get = dated.ask("HEAD", path), dated.get(path)
        for answer in (head, get):
            answer.headers.pop("date")  # a second may end between the two
        assert head.headers == get.headers
        assert (head.status, head.body) == (get.status, b"")
        assert get.body


# -- ranges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=0-99", (0, 99)),
        ("bytes=10-", (10, 99)),
        ("bytes=99-", (99, 99)),
        ("bytes=5-1000", (5, 99)),
        ("bytes=-1", (99, 99)),
        ("bytes=-100", (0, 99)),
        ("bytes=-1000", (0, 99)),
        ("BYTES = 1 - 2", (1, 2)),
        ("bytes=100-", ()),
        ("bytes=100-200", ()),
        ("bytes=-0", ()),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=+1-2", None),
        ("bytes=0x1-2", None),
        ("bytes=\xb2-3", None),
        ("bytes=" + "9" * 5000 + "-", None),
        ("", None),
    ],
)
def test_ranges(text, wanted):
    assert (
        wanted_range(Asked(method="GET", path="/", headers={"range": text}), STAMPS, 100) == wanted
    )


@pytest.mark.parametrize("text", ["bytes=0-", "bytes=0-0", "bytes=-5"])
def test_an_empty_file_has_no_ranges(text):
    assert wanted_range(Asked(method="GET", path="/", headers={"range": text}), STAMPS, 0) == ()


@given(st.text(st.characters(max_codepoint=255)), st.integers(0, 1 << 40))
def test_any_range_is_within_the_file_or_none(text, size):
    for prefix in ("", "bytes="):
        asked = Asked(method="GET", path="/", headers={"range": prefix + text})
        if wanted := wanted_range(asked, STAMPS, size):
            assert 0 <= wanted[0] <= wanted[1] < size


def test_a_part_is_that_part(rig):
    answer = rig.get(FILE, Range="bytes=256-511")
    assert (answer.status, answer.body) == (206, bytes(range(256)))
    assert answer.headers["content-range"] == f"bytes 256-511/{SIZE}"
    assert answer.headers["content-length"] == "256"


def test_a_part_beyond_the_end_is_416_and_says_how_long_the_file_is(rig):
    answer = rig.get(FILE, Range=f"bytes={SIZE}-")
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


def test_range_counts_for_get_alone(rig):
    assert rig.ask("HEAD", FILE, Range="bytes=0-1").status == 200


def test_resuming_as_edk2_does(dated):
    """RFC 9110, 13.1.1: the rest only of the very file that was begun."""
    etag = dated.ask("HEAD", FILE).headers["etag"]
    rest = dated.get(FILE, Range="bytes=100-", If_Match=etag)
    assert (rest.status, rest.body) == (206, KERNEL[100:])
    (dated.root / "images" / "vmlinuz").write_bytes(b"new")
    assert dated.get(FILE, Range="bytes=100-", If_Match=etag).status == 412


# -- conditions ------------------------------------------------------------------------------------

BEFORE, SAME, AFTER = (formatdate(THEN + s, usegmt=True) for s in (-1, 0, 1))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"if-none-match": '"abc-1"'}, 304),
        ({"if-none-match": '"x", W/"abc-1"'}, 304),
        ({"if-none-match": '"x","abc-1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, None),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, None),  # the tag alone counts
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": SAME}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-modified-since": "Sunday, 13-Sep-20 12:26:40 GMT"}, 304),
        ({"if-modified-since": "Sun Sep 13 12:26:40 2020"}, 304),
        ({"if-match": '"abc-1"'}, None),
        ({"if-match": 'W/"abc-1"'}, 412),  # strong comparison
        ({"if-match": '"x"'}, 412),
        ({"if-match": "*"}, None),
        ({"if-match": '"abc-1"', "if-unmodified-since": BEFORE}, None),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": SAME}, None),
        ({"if-unmodified-since": "nonsense"}, None),
        ({"if-match": '"x"', "if-none-match": '"abc-1"'}, 412),
    ],
)
def test_conditions(headers, status):
    assert verdict(Asked(method="GET", path="/", headers=headers), STAMPS) == status


def test_dates_do_not_count_where_none_is_known():
    for name in ("if-modified-since", "if-unmodified-since"):
        assert (
            verdict(Asked(method="GET", path="/", headers={name: SAME}), Stamps('"x"', 0)) is None
        )


@pytest.mark.parametrize(
    ("if_range", "partial"),
    [('"abc-1"', True), ('W/"abc-1"', False), ('"x"', False), (SAME, True), (BEFORE, False),
     (AFTER, False), ("nonsense", False)],
)  # fmt: skip
def test_if_range(if_range, partial):
    headers = {"range": "bytes=1-2", "if-range": if_range}
    wanted = wanted_range(Asked(method="GET", path="/", headers=headers), STAMPS, 10)
    assert wanted == ((1, 2) if partial else None)


@pytest.mark.parametrize("modified", [253402300800, 1 << 62, -1])
def test_a_date_that_http_cannot_say_is_left_out(modified):
    assert Stamps('"x"', modified).headers == {"ETag": '"x"'}
    assert Stamps('"x"', 253402300799).headers["Last-Modified"] == "Fri, 31 Dec 9999 23:59:59 GMT"


@given(st.text())
def test_any_text_is_a_date_or_none(text):
    parse_date(text)


def test_not_modified_has_no_body_and_no_length(dated):
    etag = dated.get(FILE).headers["etag"]
    answer = dated.get(FILE, If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == etag
    assert "content-length" not in answer.headers
    assert (dated.events[-1].status, dated.events[-1].sent) == (304, 0)


def test_a_new_file_has_a_new_etag(rig):
    etag = rig.get(FILE).headers["etag"]
    (rig.root / "images" / "new").write_bytes(KERNEL)
    os.replace(rig.root / "images" / "new", rig.root / "images" / "vmlinuz")
    assert rig.get(FILE).headers["etag"] != etag


def test_no_descriptor_is_left_open(rig):
    before = len(os.listdir("/proc/self/fd"))
    etag = rig.get(FILE).headers["etag"]
    for headers in ({}, {"Range": "bytes=1-"}, {"Range": "bytes=99999999-"}, {"If_None_Match": etag},
                    {"If_Match": '"x"'}):  # fmt: skip
        rig.get(FILE, **headers)
        rig.ask("HEAD", FILE, **headers)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("name", "boxed"), [("a.html", True), ("a.xml", True), ("a.ipxe", False)])
def test_a_page_below_the_file_root_is_nobodys_page_in_a_browser(rig, name, boxed):
    """Or it would act with the session of whoever looks at it."""
    (rig.root / name).write_text("<script>fetch('/api/v1/reload', {method: 'POST'})</script>")
    policy = rig.get(f"/{name}").headers.get("content-security-policy")
    assert policy == ("sandbox" if boxed else None)
