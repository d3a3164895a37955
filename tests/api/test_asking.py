"""Who may ask, what for, and what a "no" looks like."""

from __future__ import annotations

import json
import os
import pwd

import pytest

from netbootd.boots.boot import Boot, Outcome, Stage, Step
from netbootd.http.sessions import LIFE_S

from .rig import TOKEN

MAC = "52:54:00:12:34:56"
FREE = "52:54:00:12:34:99"


def session(rig):
    """The cookie of a new one, as a browser sends it back."""
    opened = rig.ask("POST", "/session")
    assert opened.status == 204
    return opened.headers["set-cookie"].partition(";")[0]


# -- who may ask -----------------------------------------------------------------------------------


def test_nobody_is_told_anything_without_the_token(rig):
    for path in ("/machines", "/status", f"/machines/{MAC}", "/events", "/findings"):
        no = rig.get(path, token="")
        assert (no.status, no.code) == (401, "token-missing")
        assert no.headers["www-authenticate"] == 'Bearer realm="netbootd"'


def test_the_description_is_for_everybody(rig):
    assert rig.get("/openapi.json", token="").json["openapi"].startswith("3.1")


def test_whoever_has_the_token_may_ask(rig):
    assert rig.get("/machines").status == 200


@pytest.mark.parametrize("given", ["a-token", TOKEN + "x", "\xff", ""])
def test_another_token_is_refused(rig, given):
    no = rig.raw("GET", "/machines", Authorization=f"Bearer {given}")
    assert (no.status, no.code) == (401, "token-wrong" if given else "token-missing")


def test_without_a_token_of_our_own_nobody_has_it(rig):
    rig.use_token("")
    assert rig.raw("GET", "/machines", Authorization="Bearer ").status == 503


def test_wrong_tokens_without_end_do_not_shut_out_the_right_one_of_the_same_address(rig):
    """Behind a gateway all have one address."""
    for number in range(500):
        no = rig.raw("GET", "/machines", Authorization=f"Bearer {number}")
        assert (no.status, no.code) == (401, "token-wrong")
        assert rig.get("/machines").status == 200
    assert len(rig.audited) == 20  # and how many more there were, once a minute


def test_a_browser_gets_a_session_for_the_token(rig):
    opened = rig.ask("POST", "/session")
    attributes = opened.headers["set-cookie"].partition("; ")[2]
    assert {"HttpOnly", "SameSite=Strict", "Path=/api"} <= set(attributes.split("; "))
    assert TOKEN not in opened.headers["set-cookie"]
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 200


def test_no_session_without_the_token(rig):
    assert rig.raw("POST", "/session").status == 401
    assert rig.raw("POST", "/session", Authorization="Bearer no").status == 401


@pytest.mark.parametrize(
    "cookie",
    ["netbootd_session=", "netbootd_session=x", "a=b", ";;;=", 'netbootd_session="', "\xff"],
)
def test_a_made_up_cookie_is_none(rig, cookie):
    session(rig)
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401


def test_a_session_ends_when_it_is_closed(rig):
    cookie = session(rig)
    closed = rig.raw("DELETE", "/session", Cookie=cookie, X_Requested_With="netbootd")
    assert closed.status == 204
    assert "Max-Age=0" in closed.headers["set-cookie"]
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401


def test_a_session_ends_by_itself(rig):
    cookie = session(rig)
    rig.reactor.advance(LIFE_S + 1)
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401


def test_another_token_ends_the_sessions_of_the_old_one(rig):
    cookie = session(rig)
    rig.use_token("another")
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401
    rig.use_token(TOKEN)
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 401


def test_a_session_counts_from_the_first_request_on(rig):
    rig.use_token("read-after-the-start")
    opened = rig.ask("POST", "/session", token="read-after-the-start")
    cookie = opened.headers["set-cookie"].partition(";")[0]
    assert rig.raw("GET", "/machines", Cookie=cookie).status == 200


def test_sessions_are_bounded_and_the_oldest_gives_way(rig):
    first = session(rig)
    for _ in range(256):
        session(rig)
    assert rig.raw("GET", "/machines", Cookie=first).status == 401


def test_with_a_cookie_a_change_must_come_from_our_own_page(rig):
    cookie = session(rig)
    path = f"/machines/{MAC}/release"
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    for headers in ({}, form, {"Content_Type": "text/plain"}):
        no = rig.raw("POST", path, Cookie=cookie, **headers)
        assert (no.status, no.code) == (403, "not-from-our-page")
    assert rig.raw("POST", path, Cookie=cookie, X_Requested_With="netbootd").status == 200
    assert rig.raw("POST", path, Cookie=cookie, Content_Type="application/json").status == 200


def test_without_the_web_only_the_socket_answers(make_rig):
    rig = make_rig(netbootd='"web" : false')
    assert rig.get("/machines").status == 404
    assert rig.get("/openapi.json").status == 404
    assert rig.local("GET", "/machines").status == 200


def test_the_socket_has_the_api_and_the_status_and_nothing_else(rig):
    assert rig.raw("GET", "/status", local=True, prefix="").status == 200
    assert rig.local("GET", "/machines").status == 200
    for path in ("/", f"/boot/{MAC}", "/ui/", "/metrics", "/files/x", "/../etc/passwd"):
        assert rig.raw("GET", path, local=True, prefix="").status == 404


def test_the_kernel_says_who_is_at_the_socket(rig):
    rig.local("POST", "/machines", {"mac": FREE, "target": "nfs/a"})
    (name,) = rig.written()
    me = pwd.getpwuid(os.getuid()).pw_name
    assert f"for {me} at" in (rig.drop_ins / name).read_text()


# -- pages and methods -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/boots", "/boots/1/2", "/v2"])
def test_a_page_that_is_not_there_is_said_in_json(rig, path):
    no = rig.get(path)
    assert no.status == 404
    assert no.headers["content-type"] == "application/json"
    assert no.code == "not-found"


@pytest.mark.parametrize("name", ["a/b/c", f"{MAC}/nothing", f"{MAC}/why/not"])
def test_whatever_is_no_page_of_a_machine_may_be_its_name(rig, name):
    no = rig.get(f"/machines/{name}")
    assert (no.status, no.code) == (404, "no-such-machine")
    assert f'"{name}"' in no.message


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/status", "GET, HEAD, OPTIONS"),
        ("DELETE", "/machines", "GET, HEAD, POST, OPTIONS"),
        ("GET", "/reload", "POST, OPTIONS"),
        ("POST", f"/machines/{MAC}", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
    ],
)
def test_another_method_is_told_which_there_are(rig, method, path, allow):
    no = rig.ask(method, path, {})
    assert (no.status, no.headers["allow"], no.code) == (405, allow, "method-not-allowed")


def test_options_tells_the_methods(rig):
    told = rig.ask("OPTIONS", "/machines")
    assert (told.status, told.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")


def test_head_is_get_without_the_body(rig):
    head, get = rig.ask("HEAD", "/machines"), rig.get("/machines")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_nothing_is_kept_by_browsers(rig):
    told = rig.get("/machines")
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["x-content-type-options"] == "nosniff"


def test_our_own_faults_are_said_in_json_and_logged(rig, monkeypatch):
    from twisted.logger import globalLogPublisher

    logged = []
    globalLogPublisher.addObserver(logged.append)
    monkeypatch.setattr(rig.desk, "status", lambda: 1 / 0)
    no = rig.get("/status")
    globalLogPublisher.removeObserver(logged.append)
    assert (no.status, no.code) == (500, "our-fault")
    assert any("log_failure" in event for event in logged)


# -- what is told ----------------------------------------------------------------------------------


def boot(number, key, began, seconds, outcome=Outcome.OPEN, stage=Stage.KERNEL, peer=""):
    step = Step(stage=stage, at=began, until=began + seconds, size=100, sent=50)
    return Boot(
        number=number,
        key=key,
        macs=(key,),
        began=began,
        last=began + seconds,
        outcome=outcome,
        steps=(step,),
        peer=peer,
        target="nfs/a",
    )


def test_the_list_has_every_machine_once(rig):
    told = rig.get("/machines").json
    assert [one["key"] for one in told["machines"]] == [
        MAC,
        "52:54:00:12:34:57",
        "52:54:00:12:34:58",
        "board",
    ]
    assert told["generation"] == 1
    first = told["machines"][0]
    assert first["hostname"] == "n1"
    assert first["groups"] == ["rack1"]
    assert first["target"] == "nfs/a"
    assert first["state"] == "unknown"
    assert (first["known"], first["enabled"]) == (True, True)
    assert told["machines"][2]["enabled"] is False
    assert told["machines"][2]["state"] == "disabled"


def test_a_machine_with_several_cards_is_one(make_rig):
    rig = make_rig(machines='"52:54:00:12:34:70" : { "macs" : ["52:54:00:12:34:71"] },')
    told = rig.machine("525400123471")
    assert told["key"] == "52:54:00:12:34:70"
    assert told["macs"] == ["52:54:00:12:34:70", "52:54:00:12:34:71"]
    assert sum(one["key"] == told["key"] for one in rig.get("/machines").json["machines"]) == 1


def test_the_latest_boot_shows_in_the_list(rig):
    rig.chronicle._follower.remember(boot(7, MAC, rig.now - 30, 20, peer="192.0.2.56"))
    told = rig.machine("n1")
    assert (told["boot"], told["reached"], told["state"]) == (7, "kernel", "booting")
    assert (told["bytes_sent"], told["bytes_size"]) == (50, 100)
    assert told["seconds"] == 30.0
    assert told["address"] == "192.0.2.56"


def test_a_stranger_with_the_default_is_listed_as_unlisted(make_rig):
    rig = make_rig(machines='"default" : { "type" : "localboot", "name" : "disk" },')
    assert len(rig.get("/machines").json["machines"]) == 4
    rig.chronicle._follower.remember(boot(1, FREE, rig.now - 5, 1))
    told = rig.get("/machines").json["machines"][-1]
    assert (told["key"], told["known"], told["target"]) == (FREE, False, "localboot/disk")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?state=unknown", 3),
        ("?state=up", 0),
        ("?group=rack1", 1),
        ("?q=twin", 2),
        ("?q=525400123457", 1),
        ("?q=34:5", 3),
        ("?q=localboot&state=unknown", 1),
        ("?q=%20", 4),
    ],
)
def test_the_list_can_be_cut_down(rig, query, count):
    assert len(rig.get(f"/machines{query}").json["machines"]) == count


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/machines?state=sleepy", "state"),
        (f"/machines/{MAC}/boots?limit=0", "limit"),
        (f"/machines/{MAC}/boots?limit=-1", "limit"),
        (f"/machines/{MAC}/boots?limit=99999999999999999999999", "limit"),
        (f"/machines/{MAC}/boots?limit=%C2%B2", "limit"),
        pytest.param(f"/machines/{MAC}/boots?limit={'0' * 19}1{'9' * 60}", "limit", id="zeros"),
        pytest.param(f"/machines/{MAC}/boots?limit={'0' * 20}{'9' * 5000}", "limit", id="longer"),
        ("/events?topics=weather", "topic"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_what_would(rig, path, word):
    no = rig.get(path)
    assert no.status == 400
    assert word in no.message


@pytest.mark.parametrize(
    "who", ["52:54:00:12:34:56", "52-54-00-12-34-56", "525400123456", "5254.0012.3456", "n1"]
)
def test_a_machine_is_found_by_any_of_its_names(rig, who):
    assert rig.machine(who)["key"] == MAC


def test_a_machine_is_found_by_the_name_of_its_entry(rig):
    assert rig.machine("board")["written"]["type"] == "localboot"


def test_a_host_name_of_two_is_nobodys(rig):
    no = rig.get("/machines/twin")
    assert (no.status, no.code) == (404, "no-such-machine")
    assert "52:54:00:12:34:57, 52:54:00:12:34:58" in no.message


def test_a_misspelt_name_is_told_the_nearest(rig):
    assert 'did you mean "board"' in rig.get("/machines/bord").message


def test_an_entry_is_told_as_it_is_written_and_as_it_counts(rig):
    told = rig.machine("n1")
    assert told["written"] == {"type": "nfs", "name": "a", "hostname": "n1", "group": "rack1"}
    assert told["variables"] == {"hostname": "n1", "rack": 1}
    assert told["managed"] is False
    assert (told["file"], told["line"]) == (str(rig.file), 9)


def test_an_entry_that_has_gone_from_its_file_is_told_as_none(rig):
    rig.file.write_text("{")
    assert rig.machine("n1")["written"] is None


def test_boots_of_a_machine_that_nobody_listed_are_told(rig):
    rig.chronicle._follower.remember(boot(3, FREE, rig.now - 5, 1))
    assert rig.get(f"/machines/{FREE}/timeline").json["boot"]["number"] == 3
    assert rig.get(f"/machines/{FREE}/boots").json["boots"][0]["key"] == FREE
    assert rig.get(f"/machines/{FREE}").status == 404


def test_a_boot_is_found_by_its_number(rig):
    rig.chronicle._follower.remember(boot(3, MAC, rig.now - 5, 1))
    assert rig.get("/boots/3").json["reached"] == "kernel"
    for number in ("4", "x", "-1", "9" * 40):
        assert rig.get(f"/boots/{number}").status == 404


def test_why_is_told_of_machines_and_of_cards_that_nobody_listed(rig):
    assert rig.get("/machines/n1/why").json["machine"] == MAC
    causes = rig.get(f"/machines/{FREE}/why").json["causes"]
    assert causes


def test_the_fleet_has_the_slowest_first_and_times_of_stages(rig):
    rig.chronicle._follower.remember(boot(1, MAC, rig.now - 10, 4))
    rig.chronicle._follower.remember(boot(2, "52:54:00:12:34:57", rig.now - 25, 8))
    rig.chronicle._follower.remember(boot(3, "board", rig.now - 90, 2, Outcome.DONE, Stage.DONE))
    told = rig.get("/fleet").json
    assert [one["key"] for one in told["booting"]] == ["52:54:00:12:34:57", MAC]
    assert told["stages"]["kernel"] == {"count": 2, "p50": 4.0, "p90": 8.0, "p99": 8.0}
    assert told["counts"]["booting"] == 2
    assert told["counts"]["up"] == 1
    assert sum(told["counts"].values()) == 4


def test_names_of_targets_and_groups_are_told(rig):
    assert "nfs/a" in rig.get("/targets").json["targets"]
    assert rig.get("/groups").json == {"groups": ["rack1", "rack2"]}


def test_the_status_is_that_of_the_page_and_more(rig):
    told = rig.get("/status").json
    assert told["counts"]["disabled"] == 1
    assert told["now"] == rig.now
    assert told["refused"] == []
    assert told["version"]


def test_findings_name_file_and_line(rig):
    told = rig.get("/findings").json
    worst = told["findings"][0]
    assert worst["level"] == "target error"
    assert worst["file"] == str(rig.file)
    assert worst["line"] == 5


def test_a_reload_that_is_refused_says_why_and_changes_nothing(rig):
    good = rig.file.read_text()
    rig.file.write_text(good.replace('"targets" :', '"targets"'))
    no = rig.ask("POST", "/reload")
    assert (no.status, no.code) == (409, "reload-refused")
    assert no.json["error"]["findings"][0]["code"] == "json-syntax"
    assert rig.get("/findings").json["refused"][0]["line"] == 2
    rig.file.write_text(good)
    done = rig.ask("POST", "/reload")
    told = {key: done.json[key] for key in ("generation", "changes")}
    assert told == {"generation": 2, "changes": "0 added, 0 removed, 0 changed"}
    assert rig.get("/findings").json["refused"] == []


def test_a_reload_tells_the_errors_that_stand(rig):
    done = rig.ask("POST", "/reload").json
    assert done["errors"] == len(done["findings"]) > 0
    assert {one["level"] for one in done["findings"]} == {"target error"}
    assert done["findings"][0] == rig.get("/findings").json["findings"][0]


def test_no_answer_has_what_json_has_not(rig):
    for path in ("/machines", "/fleet", "/status", "/findings", "/machines/n1"):
        json.loads(rig.get(path).body, parse_constant=pytest.fail)
