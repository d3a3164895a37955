"""Scripts over HTTP: who gets which, in what dress, and what address stands in it."""

from __future__ import annotations

import pytest

from netbootd import urls
from netbootd.events.event import Refused, Scripted
from netbootd.http import bootscript
from netbootd.record.standing import Standing
from netbootd.registry.load import load

from .inmemory import MAC, Rig

IPXE = {"User_Agent": "iPXE/1.21.1+ (g182ee)"}
UNKNOWN = "/boot/02-00-00-00-00-01"


@pytest.mark.parametrize(
    "path", ["/", "/boot", "/boot/", "/boot.ipxe", "/autoexec.ipxe", "//boot//", "/./boot", f"/{MAC}/autoexec.ipxe"]
)  # fmt: skip
def test_first_contact(rig, path):
    answer = rig.get(path)
    assert answer.status == 200
    assert answer.text.startswith("#!ipxe\n")
    assert "chain --replace http://192.0.2.1:3000/boot/${netX/mac" in answer.text


@pytest.mark.parametrize("prefix", ["/", "/boot/", "//boot//"])
@pytest.mark.parametrize(
    "spelling",
    [
        "52:54:00:12:34:56",
        "52-54-00-12-34-56",
        "52%3A54%3A00%3A12%3A34%3A56",
        "52%3a54%3a00%3a12%3a34%3a56",
        "525400123456",
        "5254.0012.3456",
        "01-52-54-00-12-34-56",
        "52:54:0:12:34:56",
        "52:54:00:12:34:56/",
        "52-54-00-12-34-56?arch=x86_64&platform=efi&uuid=ABC",
    ],
)
def test_a_machine_is_found_in_every_spelling(rig, prefix, spelling):
    answer = rig.get(prefix + spelling)
    assert answer.status == 200
    assert "target=nfs/a" in answer.text
    assert rig.events[-1].says == "nfs/a"


def test_a_script_is_plain_text_and_never_cached(rig):
    answer = rig.get(f"/{MAC}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["server"] == "netbootd"
    assert "date" in answer.headers


def test_what_is_below_boot_and_no_mac_is_never_a_script(rig):
    for path in ("/boot/memdisk", f"/boot/{MAC}/images/vmlinuz", "/boot/boot.ipxe"):
        answer = rig.get(path, **IPXE)
        assert answer.status == 404
        assert "#!ipxe" not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [(UNKNOWN, 404, "not in the configuration"), ("/52-54-00-12-34-57", 500, "nfs/broken")],
)
def test_ipxe_gets_a_script_where_others_get_a_status(rig, path, status, words):
    for_ipxe = rig.get(path, **IPXE)
    assert for_ipxe.status == 200
    assert for_ipxe.text.startswith("#!ipxe\n")
    assert words in for_ipxe.text
    assert isinstance(rig.events[-1], Scripted)
    for_others = rig.get(path)
    assert for_others.status == status
    assert "#!ipxe" not in for_others.text
    assert words in for_others.text
    assert isinstance(rig.events[-1], Refused)
    assert rig.events[-1].status == status


@pytest.mark.parametrize(
    ("path", "module", "name"),
    [("/", bootscript, "first_script"), (f"/{MAC}", bootscript, "boot_script")],
)
def test_our_own_fault_is_a_script_for_ipxe_and_500_for_others(
    rig, monkeypatch, path, module, name, caught_faults
):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(module, name, broken)
    for headers, status in ((IPXE, 200), ({}, 500)):
        answer = rig.get(path, **headers)
        assert answer.status == status
        assert "secret" not in answer.text
        assert "fault" in answer.text
        assert answer.text.startswith("#!ipxe\n") == (status == 200)
    assert len(caught_faults(RuntimeError)) == 2


def test_even_a_fault_within_the_fault_is_a_script(rig, monkeypatch, caught_faults):
    def broken(*_):
        raise RuntimeError("again")

    monkeypatch.setattr(bootscript, "boot_script", broken)
    monkeypatch.setattr(bootscript, "fault_script", broken)
    answer = rig.get(f"/{MAC}", **IPXE)
    assert (answer.status, answer.text[:7]) == (200, "#!ipxe\n")
    caught_faults(RuntimeError)


def test_the_event_names_machine_target_and_peer(rig):
    rig.get(f"/boot/{MAC}")
    (event,) = rig.events
    path = f"/boot/{MAC}"
    told = {"target": "nfs/a", "peer": "192.0.2.77", "says": "nfs/a", "path": path}
    assert event == Scripted(mac=event.mac, **told)
    assert str(event.mac) == MAC


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "first"),
        (f"/{MAC}", ""),
        (UNKNOWN, "unknown"),
        ("/52-54-00-12-34-57", "broken"),
        (f"/{MAC}?choice=1", "broken"),
    ],
)
def test_the_event_says_what_kind_of_script_it_is(rig, path, code):
    rig.get(path, **IPXE)
    assert rig.events[-1].code == code


def test_a_fault_of_ours_is_told_as_a_broken_script(rig, monkeypatch, caught_faults):
    monkeypatch.setattr(bootscript, "boot_script", lambda *_: 1 / 0)
    rig.get(f"/{MAC}", **IPXE)
    assert rig.events[-1].code == "broken"
    caught_faults(ZeroDivisionError)


def test_a_machine_that_is_held_is_told_as_such(rig):
    rig.live.record.put(MAC, Standing(held="the disk is on fire"))
    rig.get(f"/{MAC}", **IPXE)
    assert (rig.events[-1].code, type(rig.events[-1])) == ("held", Scripted)


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("2047", 2047),
        ("67108864", 1 << 26),
        ("67108865", 0),
        ("", 0),
        ("0", 0),
        ("-1", 0),
        ("1e3", 0),
        ("%D9%A3", 0),  # an Arabic digit, which int() would take
        ("9" * 5000, 0),
        ("0x7ff", 0),
    ],
    ids=lambda value: str(value)[:12],
)
def test_the_memory_that_ipxe_tells_is_believed_within_reason(rig, said, memory):
    answer = rig.get(f"/{MAC}?uuid=&memsize={said}", **IPXE)
    assert "target=nfs/a" in answer.text
    assert rig.events[-1].memory == memory


def test_the_first_script_has_ipxe_tell_its_memory(rig):
    assert "&memsize=${memsize} ||" in rig.get("/", **IPXE).text


OURS = "http://192.0.2.1:3000"


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("192.0.2.1:3000", OURS),
        ("192.0.2.1", OURS),  # as EDK2 says it whatever the port
        ("192.0.2.1:8080", "http://192.0.2.1:8080"),  # another port of ours
        ("192.0.2.1:8081", OURS),
        ("192.0.2.1:80", OURS),
        ("boot.example", "http://boot.example:3000"),  # a name from boot_servers
        ("BOOT.example:8080", "http://boot.example:8080"),
        ("BOOT.example:81", "http://boot.example:3000"),
        ("evil.example", OURS),
        ("192.0.2.2:3000", OURS),
        ("192.0.2.1:0", OURS),
        ("192.0.2.1:99999", OURS),
        ("192.0.2.1:3000/x", OURS),
        ("user@192.0.2.1:3000", OURS),
        ("[::1]:80", OURS),
        ("${evil}", OURS),
        ("192.0.2.1\t:3000", OURS),
        ("", OURS),
    ],
)
def test_the_address_in_a_script_is_ours(tmp_path, host, base):
    ports = '"http_port" : [ 3000, 8080 ]'
    rig = Rig(tmp_path, servers='"other" : "http://boot.example:80/x"', netbootd=ports)
    assert f"kernel {base}/images/vmlinuz" in rig.get(f"/{MAC}", Host=host).text.replace(
        "--name kernel ", ""
    )


def test_the_files_own_word_counts_before_the_hosts(tmp_path):
    rig = Rig(tmp_path, servers='"default" : "10.9.8.7:88"')
    assert "http://10.9.8.7:88/boot/" in rig.get("/").text
    assert "http://10.9.8.7:88/images/vmlinuz" in rig.get(f"/{MAC}").text


def test_a_whole_url_as_target_names_the_host(tmp_path):
    rig = Rig(tmp_path, servers='"other" : "boot.example"')
    answer = rig.get(f"http://boot.example:3000/boot/{MAC}", Host="evil.example")
    assert "http://boot.example:3000/images/vmlinuz" in answer.text
    assert rig.get("http://192.0.2.1").text.startswith("#!ipxe")
    assert rig.get("HTTP://192.0.2.1?x=/y").text.startswith("#!ipxe")


def test_a_reload_is_seen_by_the_next_request(rig, tmp_path):
    from netbootd.registry.load import load

    text = (tmp_path / "c.json").read_text().replace("/images/vmlinuz", "/images/other")
    (tmp_path / "c.json").write_text(text)
    rig.live.swap(load(tmp_path / "c.json"))
    assert "/images/other" in rig.get(f"/{MAC}").text


def test_routes_and_urls_agree(rig):
    assert rig.get(urls.script_url("", MAC)).status == 200


MENU = """{
  "targets" : { "menu" : { "m" : { "choices" : [ "nfs/a", "localboot" ] } } },
  "machines" : { "52:54:00:12:34:58" : { "type" : "menu", "name" : "m" } },
}"""
CHOOSER = "52:54:00:12:34:58"


@pytest.fixture
def menu(tmp_path):
    (tmp_path / "machines.d").mkdir()
    (tmp_path / "machines.d" / "menu.json").write_text(MENU)
    rig = Rig(tmp_path)
    (rig.root / "install").mkdir()
    (rig.root / "install" / "who.j2").write_text("{{ target }}")
    rig.live.swap(load(tmp_path / "c.json"))
    return rig


def test_a_menu_leads_back_with_a_number_and_that_boots(menu):
    shown = menu.get(f"/boot/{CHOOSER}", **IPXE)
    assert "item 1 nfs/a" in shown.text
    assert menu.events[-1].code == "menu"
    chosen = menu.get(f"/boot/{CHOOSER.replace(':', '-')}?choice=1", **IPXE)
    assert "/images/vmlinuz" in chosen.text
    assert (menu.events[-1].says, menu.events[-1].code) == ("nfs/a", "")
    assert "sanboot" in menu.get(f"/boot/{CHOOSER}?choice=2", **IPXE).text


def test_what_was_chosen_is_what_the_machine_runs(menu):
    assert menu.get(f"/install/{CHOOSER}/who").text == "menu/m"
    menu.get(f"/boot/{CHOOSER}?choice=1", **IPXE)
    assert menu.get(f"/install/{CHOOSER}/who").text == "nfs/a"


@pytest.mark.parametrize(("mac", "choice"), [(CHOOSER, "3"), (CHOOSER, "nfs/a"), (MAC, "1")])
def test_nobody_boots_by_query_what_no_menu_offers(menu, mac, choice):
    told = menu.get(f"/boot/{mac}?choice={choice}", **IPXE)
    assert told.status == 200
    assert "offers no choice" in told.text
    assert "vmlinuz" not in told.text
    assert menu.get(f"/boot/{mac}?choice={choice}").status == 404
