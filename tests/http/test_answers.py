"""Answer files over HTTP: whose they are, what they say, and what is never sent."""

from __future__ import annotations

import pytest

from netbootd import mac
from netbootd.boot.client import Client, Stage
from netbootd.boot.history import note, past
from netbootd.boot.script import boot_script
from netbootd.events.event import Refused, Served
from netbootd.record.standing import Armed, arms

from .inmemory import MAC, Rig

#: The machine of the peer's own address is Rig's 52:54:00:12:34:56; these are elsewhere.
NODE = "52-54-00-00-00-01"
STRANGER = "02-00-00-00-00-01"
DROP_IN = """{
  "targets" : {
     "install" : {
        "deb" : { "kernel" : "/images/vmlinuz", "answer" : "install/deb.cfg", "boot_args" : "auto",
                  "os" : "debian12" },
     },
  },
  "machines" : {
     "52:54:00:00:00:01" : { "type" : "install", "name" : "deb", "hostname" : "node1", "disk" : "vda" },
     "52:54:00:12:34:56" : { "type" : "install", "name" : "deb", "ip" : "192.0.2.77",
                             "hostname" : "node7", "disk" : "sda" },
  },
}"""
WHO = "{{ hostname }} {{ mac }} {{ ip }} {{ disk }} {{ target }}\n"
ONE = "node1 52:54:00:00:00:01 192.0.2.77 vda install/deb\n"
SEVEN = "node7 52:54:00:12:34:56 192.0.2.77 sda install/deb\n"


@pytest.fixture
def serve(tmp_path):
    """A site whose file root has these files."""

    def serve(files, drop_in=DROP_IN, **settings):
        folder = tmp_path / "rig"
        for name, text in files.items():
            path = folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "machines.d").mkdir(parents=True)
        (folder / "machines.d" / "more.json").write_text(drop_in)
        return Rig(folder, **settings)

    return serve


@pytest.fixture
def rig(serve):
    return serve({"install/deb.cfg.j2": WHO, "etc/motd.j2": WHO, "install/plain.cfg": "plain\n"})


# -- whose it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [f"/install/{NODE}/deb.cfg", "/install/52:54:00:00:00:01/deb.cfg", f"/{NODE}/etc/motd",
             "/install/52%3A54%3a00:00:00:01/deb.cfg", "/install/%2052-54-00-00-00-01%20/deb.cfg",
             "/install/5254.0000.0001/deb.cfg", "/install/01-52-54-00-00-00-01/deb.cfg",
             f"/install/{NODE}/deb.cfg.j2", f"//install//{NODE}/./deb.cfg", f"/install/{NODE}/deb%2Ecfg",
             f"/{NODE}/install/deb.cfg"]
)  # fmt: skip
def test_the_mac_in_the_address_says_whose_file_it_is(rig, path):
    answer = rig.get(path)
    assert (answer.status, answer.text) == (200, ONE)
    (event,) = rig.events
    assert isinstance(event, Served)
    assert (event.mac.dashed, event.target, event.sent) == (NODE, "install/deb", len(ONE))


@pytest.mark.parametrize("path", ["/install/deb.cfg", "/install/deb.cfg.j2", "/etc/motd"])
def test_without_a_mac_the_callers_address_says_it(rig, path):
    assert rig.get(path).text == SEVEN


def test_the_headers_of_anaconda_go_before_the_address(rig):
    eth = {"X_RHN_Provisioning_MAC_0": "eth0 02:00:00:00:00:99"}
    assert rig.get("/install/deb.cfg", **eth).text == SEVEN  # a card that nobody knows
    eth["X_RHN_Provisioning_MAC_1"] = "eth1 52:54:00:00:00:01"
    assert rig.get("/install/deb.cfg", **eth).text == ONE
    assert (
        rig.get(f"/install/{MAC}/deb.cfg", **eth).text == SEVEN
    )  # and the address's own MAC first


@pytest.mark.parametrize(
    "value", ["", "eth0", "eth0 nonsense", "ib0 80:00:00:00:fe:80:00:00:00:00"]
)
def test_a_header_that_is_no_mac_does_no_harm(rig, value):
    answer = rig.get("/install/deb.cfg", X_RHN_Provisioning_MAC_0=value)
    assert (answer.status, answer.text) == (200, SEVEN)


def test_a_machine_is_known_by_the_address_it_last_booted_from(serve):
    rig = serve({"install/deb.cfg.j2": WHO}, DROP_IN.replace('"ip" : "192.0.2.77",', ""))
    # An entry of the drop-in replaces the one of the main file, which had the address.
    assert rig.get("/install/deb.cfg").status == 404
    client = Client(stage=Stage.IPXE, mac=mac.MAC.parse(NODE), address="192.0.2.77")
    registry, record = rig.live.snapshot, rig.live.record
    script = boot_script(client, registry, "http://192.0.2.1", past(client, registry, record))
    note(client, script, registry, record, surely=True)
    assert rig.get("/install/deb.cfg").text == ONE


def test_nobody_known_is_told_how_to_name_a_machine(serve):
    rig = serve({"install/deb.cfg.j2": WHO}, DROP_IN.replace('"ip" : "192.0.2.77",', ""))
    answer = rig.get("/install/deb.cfg")
    assert answer.status == 404
    assert "no machine is known at 192.0.2.77" in answer.text
    assert "/install/<mac>/deb.cfg" in answer.text
    (event,) = rig.events
    assert isinstance(event, Refused)
    assert "no machine is known" in event.reason


def test_a_machine_that_dhcp_refuses_gets_no_answer_file(rig):
    answer = rig.get(f"/install/{STRANGER}/deb.cfg")
    assert answer.status == 403
    assert "no machines.default" in answer.text


def test_a_machine_of_the_default_gets_one_made_for_its_mac(serve):
    default = '"default" : { "type" : "nfs", "name" : "a", "disk" : "sdz" },'
    rig = serve({"install/x.j2": "{{ mac.dashed }} {{ disk }}"}, machines=default)
    assert rig.get(f"/install/{STRANGER}/x").text == f"{STRANGER} sdz"


def test_an_armed_boot_is_what_the_file_is_made_for(serve):
    rig = serve({"install/x.j2": "{{ target }} {{ done_url }}"})
    record = rig.live.record
    client = Client(stage=Stage.IPXE, mac=mac.MAC.parse(NODE), address="192.0.2.77")
    key = NODE.replace("-", ":")
    record.put(key, arms(record.of(key), Armed(target="nfs/a")))
    record.begin(key, "nfs/a", armed=True, mac=client.mac, peer=client.address, listed=True)  # fmt: skip
    target, url = rig.get(f"/install/{NODE}/x").text.split()
    assert target == "nfs/a"
    token = url.partition("token=")[2]
    assert record.attempt_of("52:54:00:00:00:01", token) is not None


# -- what it says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.cfg", "text/plain; charset=utf-8"),
        ("a.ks", "text/plain; charset=utf-8"),
        ("user-data", "text/plain; charset=utf-8"),
        ("autoinst.xml", "application/xml"),
        ("a.json", "application/json"),
    ],
)
def test_the_type_goes_by_the_name_without_j2(serve, name, kind):
    rig = serve({f"install/{name}.j2": "x\r\ny\n"})
    for path in (name, f"{name}.j2"):
        answer = rig.get(f"/install/{NODE}/{path}")
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"] == "no-store"
        assert answer.body == b"x\ny\n"  # one kind of line ends, that of installers


def test_head_has_the_headers_of_get_and_no_event(rig):
    path = f"/install/{NODE}/deb.cfg"
    got, head = rig.get(path), rig.ask("HEAD", path)
    assert head.body == b""
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    assert len(rig.events) == 1


def test_an_encoded_byte_beyond_ascii_is_a_name_like_any(serve):
    rig = serve({"install/größe.cfg.j2": "größe {{ mac }}"})
    assert rig.get(f"/install/{NODE}/gr%C3%B6%C3%9Fe.cfg").text == "größe 52:54:00:00:00:01"


def test_a_plain_file_goes_before_a_template(serve):
    rig = serve({"install/a": "plain", "install/a.j2": "template"})
    assert rig.get(f"/install/{NODE}/a").text == "plain"
    assert rig.get("/install/a.j2").text == "template"
    (finding,) = [f for f in rig.live.snapshot.findings if f.code == "template-unused"]
    assert "what is served" in finding.text


# -- what is never sent ----------------------------------------------------------------------------


def test_a_templates_own_text_is_never_sent(serve):
    secret = {"install/a.j2": "{# secret #}{{ mac }}", "install/broken.j2": "secret {{"}
    rig = serve(secret)
    (rig.root / "link").symlink_to("install/a.j2")
    (rig.root / "later.j2").write_text("secret")
    for path in ("install/a.j2", f"{NODE}/install/a.j2", "link", "install/broken.j2", "later.j2",
                 "install/broken", "install//a.j2/", "install/./a.j2", "install%5Ca.j2"):  # fmt: skip
        assert b"secret" not in rig.get(f"/{path}").body, path


def test_a_template_that_fails_is_a_500_whose_reason_is_the_operators(serve):
    rig = serve({"install/bad.j2": "one\n{{ nothing }}\n"})
    answer = rig.get(f"/install/{NODE}/bad")
    assert answer.status == 500
    assert "nothing" not in answer.text
    assert ".j2" not in answer.text
    (event,) = rig.events
    assert (event.status, event.mac.dashed) == (500, NODE)
    assert event.reason == "install/bad.j2:2: 'nothing' is undefined"


def test_what_is_there_for_nobody_stays_404(rig):
    for path in ("install/none", "install/none.j2", f"install/{NODE}/none", "d-i/x/preseed.cfg/y"):
        assert rig.get(f"/{path}").text == "404 Not Found: no such file\n"


# -- seeds of cloud-init, and the path that Debian makes up ----------------------------------------


@pytest.mark.parametrize("user_data", ["install/u/user-data", "install/u/user-data.j2"])
def test_what_a_seed_lacks_is_made_up(serve, user_data):
    rig = serve({user_data: "#cloud-config\n"})
    meta = rig.get(f"/install/{NODE}/u/meta-data")
    assert meta.text == f'instance-id: netbootd-{NODE}\nlocal-hostname: "node1"\n'
    assert meta.headers["content-type"].startswith("text/plain")
    vendor = rig.get(f"/install/{NODE}/u/vendor-data")
    assert (vendor.status, vendor.body) == (200, b"")
    assert rig.get(f"/install/{NODE}/u/network-config").status == 404
    assert rig.get("/install/u/meta-data").text.startswith(f"instance-id: netbootd-{MAC.replace(':', '-')}")  # fmt: skip


def test_what_a_seed_has_is_sent(serve):
    rig = serve({"install/u/user-data.j2": "#cloud-config\n", "install/u/meta-data.j2": "mine\n",
                 "install/u/vendor-data": "also mine\n"})  # fmt: skip
    assert rig.get(f"/install/{NODE}/u/meta-data").text == "mine\n"
    assert rig.get(f"/install/{NODE}/u/vendor-data").text == "also mine\n"


def test_a_folder_that_is_no_seed_gets_nothing_made_up(rig):
    assert rig.get(f"/install/{NODE}/meta-data").status == 404
    assert rig.get(f"/install/{NODE}/u/vendor-data").status == 404


@pytest.mark.parametrize("path", ["/d-i/bookworm/./preseed.cfg", "/d-i/trixie/preseed.cfg"])
def test_a_preseed_without_a_path_is_the_targets_answer(rig, path):
    assert rig.get(path).text == SEVEN
    assert rig.get(f"/{NODE}{path}").text == ONE
    assert rig.get(path).headers["content-type"].startswith("text/plain")


def test_a_preseed_without_a_path_may_be_a_plain_file(serve):
    rig = serve({"install/deb.cfg": "plain\n"})
    assert rig.get("/d-i/bookworm/./preseed.cfg").text == "plain\n"


def test_a_preseed_without_a_path_of_a_target_without_answer_is_404(serve):
    rig = serve({}, "{}")
    assert rig.get("/d-i/bookworm/./preseed.cfg").status == 404
