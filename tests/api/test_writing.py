"""Machines that are added, changed and taken away, over HTTP and on a real disk."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd import mac
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify
from netbootd.errors import ConfigErrors
from netbootd.registry.load import load

from .rig import TOKEN

MAC = "52:54:00:12:34:56"
FREE = "52:54:00:12:34:99"
FILE = "managed-52-54-00-12-34-99.json"


def raw(rig, method, path, body, kind="application/json"):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    return rig.raw(method, path, body, **headers)


def booting(rig, card):
    """What the next DISCOVER of *card* would be answered for."""
    found = identify(Client(stage=Stage.IPXE, mac=mac.MAC.parse(card)), rig.live.snapshot)
    return found and found.title


# -- adding ----------------------------------------------------------------------------------------


def test_an_added_machine_is_served_when_the_answer_is_there(rig):
    assert booting(rig, FREE) is None
    done = rig.ask("POST", "/machines", {"mac": "525400123499", "type": "nfs", "name": "a"})
    assert done.status == 201
    assert done.json["key"] == FREE
    assert done.json["findings"] == []
    assert booting(rig, FREE) == "nfs/a"
    assert rig.reloads == 1
    assert rig.written() == [FILE]


def test_the_file_says_who_and_when_and_can_be_read_by_people(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a", "hostname": "wörk"})
    text = (rig.drop_ins / FILE).read_text()
    first, *_ = text.splitlines()
    assert first == (
        "# Written by netbootd for API token ops, 192.0.2.77 at 2023-11-14T22:13:20Z, by command."
    )
    assert '"hostname" : "wörk"' in text


@pytest.mark.parametrize("extra", ["", "\u009b2J\u202e\u2028\U000e0001"], ids=["ascii", "more"])
def test_the_file_can_be_shown_on_a_terminal(rig, extra):
    """U+009B is CSI to a terminal, as ESC [ is; U+202E turns the line around."""
    note = f"a\x1b[2J\x7f{extra}"
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a", "vars": {"note": note}})
    text = (rig.drop_ins / FILE).read_text()
    assert all(one.isprintable() or one == "\n" for one in text)
    assert rig.machine(FREE)["written"]["vars"] == {"note": note}


def test_what_a_browser_writes_is_by_web(rig):
    opened = rig.ask("POST", "/session")
    cookie = opened.headers["set-cookie"].partition(";")[0]
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"}, token="", Cookie=cookie)
    assert "by web." in (rig.drop_ins / FILE).read_text()


def test_a_machine_without_a_card_is_added_by_a_name(rig):
    said = {"key": "rack 4/node 7", "serial": "ABC0815", "target": "nfs/a"}
    assert rig.ask("POST", "/machines", said).status == 201
    assert rig.live.snapshot.by_mark("serial", "abc0815").named == "rack 4/node 7"
    assert rig.written() == ["managed-rack 4%2Fnode 7.json"]


@pytest.mark.parametrize("name", ["rack 4/node 7", "rack 4/2/node 7"])
def test_a_name_with_slashes_is_asked_for_as_any_other(rig, name):
    rig.ask("POST", "/machines", {"key": name, "serial": "ABC0815", "target": "nfs/a"})
    path = f"/machines/{quote(name, safe='')}"
    assert rig.get(path).json["key"] == name
    assert rig.get(f"{path}/boots").json == {"boots": []}
    assert rig.ask("PATCH", path, {"target": "localboot/disk"}).json["target"] == "localboot/disk"
    assert rig.ask("DELETE", path).status == 204
    assert rig.written() == []


def test_a_machine_that_is_listed_is_not_added_again(rig):
    no = rig.ask("POST", "/machines", {"mac": MAC.upper(), "target": "localboot/disk"})
    assert (no.status, no.code) == (409, "listed-already")
    assert f"{rig.file}:9" in no.message
    assert rig.written() == []


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({}, '"mac" is missing'),
        ({"mac": "52:54"}, "must be a MAC"),
        ({"mac": 7}, "must be a MAC"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "broadcast"),
        ({"mac": "01:00:5e:00:00:01"}, "multicast"),
        ({"key": "default", "uuid": "x"}, "more than one machine"),
        ({"key": "52:54:00:*", "uuid": "x"}, "more than one machine"),
        ({"key": "52:54:00:12:34:56x", "uuid": "x"}, "or for none"),
        ({"key": "name"}, "must hold one of"),
        ({"key": ""}, "must be a name"),
        ({"key": "a\nb", "uuid": "x"}, "must be a name"),
        ({"key": "..", "serial": "0815"}, "cannot be asked for"),
        ({"key": "a/../b", "serial": "0815"}, "cannot be asked for"),
        ({"key": "a\\b", "serial": "0815"}, "cannot be asked for"),
        ({"key": "import", "serial": "0815"}, "cannot be asked for"),
        ({"key": "x" * 300, "serial": "0815-4711"}, "too long"),
        ({"mac": FREE, "target": "nfs"}, "TYPE/NAME"),
        ({"mac": FREE, "target": 7}, "TYPE/NAME"),
        ({"mac": FREE, "target": "nfs/a", "type": "nfs"}, "one or the other"),
        ({"mac": FREE, "target": "nfs/b"}, 'no target "b" of type "nfs"'),
        ({"mac": FREE, "type": 7, "name": "a"}, '"type" must be a string'),
        ({"mac": FREE, "group": "rack9"}, 'no group "rack9"'),
        ({"mac": FREE, "enabled": "no"}, '"enabled" must be true or false'),
        ({"mac": FREE, "target": "nfs/a", "macs": [MAC]}, "stands at"),
    ],
)
def test_an_entry_that_would_be_wrong_is_refused_and_nothing_is_written(rig, said, word):
    no = rig.ask("POST", "/machines", said)
    assert no.status == 422
    assert word in no.message
    assert rig.written() == []
    assert rig.reloads == 0


def test_what_only_the_new_machine_has_wrong_is_found_too(rig):
    """A reload tries one of each kind, and n1 is one of the same."""
    said = {"mac": FREE, "target": "nfs/a", "hostname": "bad\u001bname", "group": "rack1"}
    no = rig.ask("POST", "/machines", said)
    assert (no.status, no.code) == (422, "refused")
    assert "control character" in no.message
    assert rig.written() == []


def test_a_refusal_names_the_place_in_the_file_that_would_be(rig):
    no = rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/b"})
    (finding,) = no.json["error"]["findings"]
    assert finding["code"] == "target-unknown"
    assert finding["file"] == str(rig.drop_ins / FILE)
    assert finding["path"] == f'machines."{FREE}".name'


def test_an_unknown_key_is_noted_as_in_the_configuration(rig):
    done = rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a", "bot_args": "x"})
    assert done.status == 201
    assert [one["code"] for one in done.json["findings"]] == ["key-misspelt"]


# -- changing --------------------------------------------------------------------------------------


def test_some_keys_are_set_and_others_taken_away(rig):
    done = rig.ask("PATCH", "/machines/n1", {"hostname": "n9", "group": None, "vars": {"a": 1}})
    assert done.status == 200
    told = rig.machine(MAC)
    assert told["written"] == {"type": "nfs", "name": "a", "hostname": "n9", "vars": {"a": 1}}
    assert told["managed"] is True
    rig.ask("PATCH", "/machines/n9", {"vars": {"a": None, "b": 2}})
    assert rig.machine(MAC)["written"]["vars"] == {"b": 2}


def test_the_hand_written_entry_stays_and_is_told_of(rig):
    before = rig.file.read_bytes()
    rig.ask("PATCH", "/machines/n1", {"hostname": "n9"})
    assert rig.file.read_bytes() == before
    text = (rig.drop_ins / "managed-52-54-00-12-34-56.json").read_text()
    assert f"# It counts over the entry at {rig.file}:9" in text


def test_the_whole_entry_is_replaced(rig):
    rig.ask("PUT", "/machines/n1", {"mac": MAC, "target": "localboot/disk"})
    told = rig.machine(MAC)
    assert told["written"] == {"type": "localboot", "name": "disk"}
    assert booting(rig, MAC) == "localboot/disk"


def test_an_entry_in_any_drop_in_by_hand_is_overridden(rig):
    rig.drop_ins.mkdir()
    late = rig.drop_ins / "zz.json"
    late.write_text('{"machines" : {"52-54-00-12-34-99" : {"type" : "nfs", "name" : "a"}}}')
    rig.ask("POST", "/reload")
    rig.ask("PATCH", f"/machines/{FREE}", {"target": "localboot/disk"})
    assert booting(rig, FREE) == "localboot/disk"


def test_a_machine_that_is_switched_off_by_its_key_stays_so_when_it_is_changed(make_rig):
    rig = make_rig(machines='"52:54:00:12:34:60x" : { "type" : "nfs", "name" : "a" },')
    done = rig.ask("PATCH", "/machines/52:54:00:12:34:60", {"hostname": "n60"})
    assert (done.status, done.json["enabled"]) == (200, False)
    done = rig.ask("PATCH", "/machines/n60", {"enabled": True})
    assert (done.json["enabled"], done.json["target"]) == (True, "nfs/a")


@pytest.mark.parametrize(
    "value",
    [
        {"secret_file": "key"},
        {"secret_file": "other"},
        {"secret_credential": "key"},
        [{"deep": {"secret_file": "key"}}],
        "STAND-IN",
    ],
)
def test_who_may_change_machines_reads_no_file_by_it(make_rig, tmp_path, value):
    (tmp_path / "key").write_text("canary")
    (tmp_path / "key").chmod(0o600)
    rig = make_rig(
        machines='"52:54:00:12:34:70" : { "pw" : { "secret_file" : "key" },'
        ' "hostname" : "n70", "type" : "nfs", "name" : "a" },'
    )
    value = f"<secret:{tmp_path}/key>" if value == "STAND-IN" else value
    entry = {"type": "nfs", "name": "a", "pw": value, "boot_args": "__pw__"}
    for method, path, said in (
        ("POST", "/machines", {"mac": FREE, **entry}),
        ("PUT", "/machines/n1", entry),
        ("PATCH", "/machines/n1", {"vars": {"pw": value}}),
    ):
        no = rig.ask(method, path, said)
        assert (no.status, no.code) == (403, "secret-by-hand")
    assert not rig.written()
    assert rig.ask("PATCH", "/machines/n70", {"hostname": "n71"}).status == 200  # its own stays
    assert rig.machine("n71")["written"]["pw"] == {"secret_file": "key"}


@pytest.mark.parametrize("stand_in", ["<secret:%s/later>", "<credential:later>", "<secret:\n>"])
def test_what_stands_for_a_secret_that_nobody_has_named_yet_waits_for_none(
    make_rig, tmp_path, stand_in
):
    said = stand_in % tmp_path if "%" in stand_in else stand_in
    no = make_rig().ask("PATCH", "/machines/n1", {"vars": {"deep": [said]}})
    assert (no.status, no.code) == (403, "secret-by-hand")


def test_a_second_card_is_changed_with_its_machine(make_rig):
    rig = make_rig(
        machines='"52:54:00:12:34:70" : { "macs" : ["52:54:00:12:34:71"], %s },'
        % ('"type" : "nfs", "name" : "a"')
    )
    rig.ask("PATCH", "/machines/52:54:00:12:34:71", {"hostname": "both"})
    assert rig.written() == ["managed-52-54-00-12-34-70.json"]
    assert rig.machine("both")["macs"] == ["52:54:00:12:34:70", "52:54:00:12:34:71"]


def test_a_machine_of_another_name_cannot_be_made_by_changing_one(rig):
    for method in ("PUT", "PATCH"):
        no = rig.ask(method, "/machines/n1", {"mac": FREE, "target": "nfs/a"})
        assert no.status == 422
        assert "add it as another one" in no.message


def test_who_only_has_the_default_has_no_entry_to_change(make_rig):
    rig = make_rig(machines='"default" : { "type" : "localboot", "name" : "disk" },')
    for method in ("PUT", "PATCH", "DELETE"):
        no = rig.ask(method, f"/machines/{FREE}", {})
        assert (no.status, no.code) == (404, "not-listed")
    assert rig.ask("PATCH", "/machines/default", {}).status == 404


# -- taking away -----------------------------------------------------------------------------------


def test_what_we_wrote_goes_and_the_hand_written_entry_counts_again(rig):
    rig.ask("PUT", "/machines/n1", {"target": "localboot/disk"})
    gone = rig.ask("DELETE", f"/machines/{MAC}")
    assert (gone.status, gone.body) == (204, b"")
    assert booting(rig, MAC) == "nfs/a"
    assert rig.written() == []


def test_an_added_machine_is_gone_when_it_is_deleted(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    assert rig.ask("DELETE", f"/machines/{FREE}").status == 204
    assert booting(rig, FREE) is None
    assert rig.ask("DELETE", f"/machines/{FREE}").status == 404


def test_what_is_written_by_hand_is_not_deleted(rig):
    no = rig.ask("DELETE", "/machines/n1")
    assert (no.status, no.code) == (409, "hand-written")
    assert f"{rig.file}:9" in no.message


def test_a_file_of_ours_that_was_renamed_by_hand_is_not_deleted(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    (rig.drop_ins / FILE).rename(rig.drop_ins / "managed-n9.json")
    rig.ask("POST", "/reload")
    no = rig.ask("DELETE", f"/machines/{FREE}")
    assert (no.status, no.code) == (409, "changed-by-hand")
    assert "managed-n9.json" in no.message


def test_what_was_removed_by_hand_just_now_is_gone_when_it_is_deleted(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    (rig.drop_ins / FILE).unlink()
    assert rig.ask("DELETE", f"/machines/{FREE}").status == 204
    assert booting(rig, FREE) is None


# -- what is there already -------------------------------------------------------------------------


def test_an_error_elsewhere_that_was_there_before_is_no_hindrance(rig):
    # The configuration of these tests has a broken target.
    assert any(one.code == "kernel-missing" or one.level == 3 for one in rig.live.snapshot.findings)
    assert rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"}).status == 201


def test_an_error_by_hand_since_the_last_reload_is_no_hindrance_if_it_can_be_loaded(rig):
    text = rig.file.read_text()
    rig.file.write_text(text.replace('"name" : "a", "hostname" : "n1"', '"name" : "typo"'))
    assert rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"}).status == 201


def test_a_file_that_cannot_be_read_has_to_be_mended_first(rig):
    rig.file.write_text(rig.file.read_text().replace('"targets" :', '"targets"'))
    no = rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    assert (no.status, no.code) == (409, "configuration-broken")
    assert f"{rig.file}:2" in no.message
    assert rig.written() == []
    assert booting(rig, MAC) == "nfs/a"


def test_an_edit_that_mends_the_configuration_is_taken(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    # A duplicate that another file brings: the whole configuration is refused for it.
    (rig.drop_ins / "a.json").write_text(
        '{"machines" : {"52:54:00:12:34:98" : {"macs" : ["%s"], "type" : "nfs", "name" : "a"}}}'
        % FREE
    )
    assert rig.ask("POST", "/reload").status == 409
    assert rig.ask("DELETE", f"/machines/{FREE}").status == 204
    assert rig.machine(FREE)["key"] == "52:54:00:12:34:98"


def test_a_drop_in_of_ours_with_more_in_it_by_hand_is_left_alone(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    file = rig.drop_ins / FILE
    file.write_text(
        '{"vars" : {"x" : 1}, "machines" : {"%s" : {"type" : "nfs", "name" : "a"}}}' % FREE
    )
    before = file.read_bytes()
    for method in ("PUT", "PATCH", "DELETE"):
        no = rig.ask(method, f"/machines/{FREE}", {})
        assert (no.status, no.code) == (409, "changed-by-hand")
    assert file.read_bytes() == before


def test_a_drop_in_of_ours_that_was_changed_by_hand_is_changed_on_top_of_that(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    file = rig.drop_ins / FILE
    file.write_text(file.read_text().replace('"name"', '"rack" : 7, "name"'))
    rig.ask("PATCH", f"/machines/{FREE}", {"hostname": "n9"})
    assert rig.machine(FREE)["written"] == {"type": "nfs", "name": "a", "rack": 7, "hostname": "n9"}


def test_a_drop_in_of_ours_that_is_broken_is_left_to_be_mended(rig):
    rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    (rig.drop_ins / FILE).write_text("{ half")
    no = rig.ask("PUT", f"/machines/{FREE}", {"target": "nfs/a"})
    assert (no.status, no.code) == (409, "changed-by-hand")
    assert no.json["error"]["findings"][0]["line"] == 1


def test_a_pipe_in_the_place_of_ours_holds_up_nobody(rig):
    rig.drop_ins.mkdir()
    os.mkfifo(rig.drop_ins / FILE)
    no = rig.ask("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    assert (no.status, no.code) == (409, "changed-by-hand")


def test_a_file_that_is_half_written_is_no_drop_in(rig):
    rig.drop_ins.mkdir()
    (rig.drop_ins / ".netbootd-new-managed-x.json").write_text('{"mach')
    assert rig.ask("POST", "/reload").status == 200


# -- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no-body"),
        (b"   ", "no-body"),
        (b"{", "no-json"),
        (b"[]", "no-object"),
        (b"null", "no-object"),
        (b'{"mac": "a", "mac": "b"}', "duplicate-key"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate-key"),
        (b'{"a": NaN}', "no-json"),
        (b'{"a": -Infinity}', "no-json"),
        (b'{"a": 1e999}', "no-json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no-json"),
        (b'{"a": "\\ud800"}', "no-json"),
        (b'{"\\udfff": 1}', "no-json"),
        (b'{"a": "\xff"}', "not-utf-8"),
        (b"\xef\xbb\xbf{}", "no-json"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "too-deep"),
        (b'{"a": ' * 100_000, "too-deep"),
        (b"[" * 200_000, "too-deep"),
        (b'{"a": 1,}', "no-json"),
        (b'{"a": 1} # comment', "no-json"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(rig, body, code):
    no = raw(rig, "POST", "/machines", body)
    assert (no.status, no.code) == (400, code)


def test_a_body_that_is_too_long_is_refused(rig):
    no = raw(rig, "POST", "/machines", b'{"a": "' + b"x" * (1 << 20) + b'"}')
    assert (no.status, no.code) == (413, "too-long")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/csv", ""]
)
def test_a_body_of_another_type_is_refused(rig, kind):
    no = raw(rig, "POST", "/machines", b"{}", kind)
    assert (no.status, no.code) == (415, "content-type")


def test_a_body_may_say_its_charset(rig):
    body = json.dumps({"mac": FREE, "target": "nfs/a"}).encode()
    assert raw(rig, "POST", "/machines", body, "Application/JSON; charset=utf-8").status == 201


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entry=st.dictionaries(st.text(max_size=20), JSON, max_size=5))
def test_whatever_an_entry_holds_what_is_written_loads_or_nothing_is_written(rig, entry):
    said = {"type": "nfs", "name": "a", **entry, "mac": FREE}
    done = rig.ask("POST", "/machines", said)
    assert done.status in (201, 400, 422)
    try:
        registry = load(rig.file)
    except ConfigErrors as problem:  # nothing that we wrote may break the configuration
        pytest.fail(str(problem))
    if done.status == 201:
        assert mac.MAC.parse(FREE) in registry.machines
        assert rig.ask("DELETE", f"/machines/{FREE}").status == 204
    assert rig.written() == []


# -- orders ----------------------------------------------------------------------------------------


def test_an_order_is_carried_out_and_on_disk_before_the_answer(rig, tmp_path):
    from netbootd.record import outside

    until = rig.now + 3600
    done = rig.ask(
        "PUT", "/machines/n1/next", {"target": "localboot/disk", "times": 2, "until": until}
    )
    armed = {"target": "localboot/disk", "times": 2, "until": until}
    assert (done.status, done.json["armed"]) == (200, armed)
    kept = outside.read(tmp_path / "state")[MAC].armed
    assert (kept.target, kept.times, kept.until) == ("localboot/disk", 2, until)
    again = rig.ask("PUT", "/machines/n1/next", {"target": "localboot/disk"})
    assert again.json["armed"]["times"] == 1
    assert outside.read(tmp_path / "state")[MAC].armed.order > kept.order
    back = rig.ask("DELETE", "/machines/n1/next")
    assert back.json["armed"] is None
    assert outside.read(tmp_path / "state")[MAC].armed is None


def test_an_order_without_a_target_is_for_the_machine_s_own(rig):
    done = rig.ask("PUT", "/machines/n1/next", {})
    assert (done.status, done.json["armed"]["target"]) == (200, "nfs/a")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"target": 7}, 400),
        ({"target": "nfs/b"}, 422),
        ({"target": "install/broken"}, 422),
        ({"target": "nfs/a", "times": 0}, 400),
        ({"target": "nfs/a", "times": True}, 400),
        ({"target": "nfs/a", "times": 1.5}, 400),
        ({"target": "nfs/a", "times": 10**9}, 400),
        ({"target": "nfs/a", "until": 5}, 400),
        ({"target": "nfs/a", "until": "tomorrow"}, 400),
        ({"target": "nfs/a", "until": -1}, 400),
        ({"target": "nfs/a", "until": 1e300}, 400),
        pytest.param({"target": "nfs/a", "until": 10**400}, 400, id="no float"),
        ({"target": "nfs/a", "untill": 0}, 400),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(rig, said, status):
    assert rig.ask("PUT", "/machines/n1/next", said).status == status
    assert rig.machine("n1")["armed"] is None


def test_a_held_machine_is_released(rig):
    from netbootd.record.standing import FRESH, holds

    rig.live.record.put(MAC, holds(FRESH, "it went in a circle"))
    told = rig.machine("n1")
    assert (told["state"], told["held"]) == ("held", "it went in a circle")
    done = rig.ask("POST", "/machines/n1/release")
    assert (done.status, done.json["held"], done.json["state"]) == (200, "", "unknown")


def test_an_order_for_nobody_is_refused(rig):
    assert rig.ask("POST", f"/machines/{FREE}/release").status == 404
    assert rig.ask("PUT", f"/machines/{FREE}/next", {"target": "nfs/a"}).status == 404
