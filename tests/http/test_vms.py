"""The pages of VM descriptions: what is read, who may write, and what is said to whom may not."""

from __future__ import annotations

import errno
import json
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings

from netbootd.apitoken import Tokens
from netbootd.errors import NotFound
from netbootd.events.audit import Audited
from netbootd.events.event import Refused
from netbootd.http import vms
from netbootd.http.authority import Authority
from netbootd.http.resource import Asked, Part, Work
from netbootd.http.vms import Shelf
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.urls import Kind, Route
from netbootd.vms import store as storing
from netbootd.vms.store import Store
from tests.http.inmemory import Rig
from tests.vms.descriptions import IMAGE, WEB, texts

NODE, OTHER, STRANGER = (MAC.parse(f"52:54:00:12:34:{n}") for n in ("56", "57", "58"))
TOKEN = "a-token"
CONFIG = """{
  "targets" : { "localboot" : { "disk" : {} } },
  "machines" : {
     "default" : { "type" : "localboot", "name" : "disk" },
     "52:54:00:12:34:56" : { "vms" : [ "stored", "www", "%s", "none" ], "ip" : "192.0.2.56" },
     "52:54:00:12:34:57" : { "vms" : [ "other" ] },
  },
  "vms" : { "fixed" : { "alias" : "www", "uuid" : "%s" } },
  "netbootd" : { "state" : "state", "private" : %s },
}"""


class Pages:
    """The pages over a real store; ``ask`` gives an answer, doing its work if it has any."""

    def __init__(self, folder, private="false"):
        (folder / "c.json").write_text(CONFIG % (IMAGE, IMAGE, private))
        self.registry = load(folder / "c.json")
        self.record = Record(lambda: 0.0)
        authority = Authority(LiveRegistry(self.registry, self.record))
        authority.keyring.tokens = Tokens().having("ops", TOKEN)
        self.shelf = Shelf(Store(self.registry.config.state / "vms"), self.record, authority)

    def ask(self, method, name, body=b"", peer="192.0.2.9", token=TOKEN, **headers):
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        if token:
            named["authorization"] = f"Bearer {token}"
        asked = Asked(method=method, path=f"/vms/{name}", headers=named, body=body, peer=peer)
        route = Route(Kind.VMS, path=name)
        answer = vms.answer(asked, route, self.registry, self.shelf)
        return answer.make() if isinstance(answer, Work) else answer

    def get(self, name, **other):
        return self.ask("GET", name, token="", **other)

    def put(self, key, body=b"{}", **other):
        return self.ask("PUT", f"{key}.json", body, **other)

    def of(self, mac, **other):
        asked = Asked(method="GET", path=f"/machines/{mac}/vms", **other)
        return vms.answer(asked, Route(Kind.MACHINE_VMS, mac), self.registry, self.shelf)

    def booted(self, mac, peer):
        key = self.registry.machine(mac).key
        self.record.begin(key, "nfs/a", armed=False, mac=mac, peer=peer, listed=True)

    def index(self):
        return {row["key"]: row for row in json.loads(self.get("").body)}


@pytest.fixture
def pages(tmp_path):
    return Pages(tmp_path)


@pytest.fixture
def private(tmp_path):
    return Pages(tmp_path, "true")


def body(answer):
    assert isinstance(answer.body, Part)
    return answer.body.content.read(0, answer.body.count)


# -- bytes -----------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=texts)
def test_bytes_in_are_bytes_out_over_a_restart(pages, text):
    put = pages.put("web", text)
    assert put.status in (HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.NO_CONTENT)
    got = pages.get("web.json")
    assert body(got) == text
    assert got.headers["ETag"] == put.headers["ETag"]
    restarted = Store(pages.shelf.store.folder)
    restarted.read()
    pages.shelf.store = restarted
    again = pages.get("web.json")
    assert (body(again), again.headers) == (text, got.headers)


def test_a_description_is_json_with_an_etag(pages):
    pages.put("web")
    got = pages.get("web.json")
    assert got.headers["Content-Type"] == "application/json"
    same = pages.get("web.json", if_none_match=got.headers["ETag"])
    assert (same.status, same.body) == (HTTPStatus.NOT_MODIFIED, b"")
    assert pages.get("web.json", if_match='"x"').status == HTTPStatus.PRECONDITION_FAILED


def test_one_is_found_by_uuid_and_alias_too(pages):
    assert body(pages.get("www.json")) == body(pages.get(f"{IMAGE}.json"))
    assert pages.get("none.json").status == HTTPStatus.NOT_FOUND
    with pytest.raises(NotFound):
        pages.get("www")


def test_a_machine_gets_its_own_as_one_array(pages):
    text = b'{ "b":512.0,"b" : 2 }\n\n'
    pages.put("stored", text)
    pages.put("other", b'{"not": "mine"}')
    got = pages.of(NODE)
    assert body(got) == b"[" + text + b"," + body(pages.get("fixed.json")) + b"]\n"
    assert len(json.loads(body(got))) == 2
    same = pages.of(NODE, headers={"if-none-match": got.headers["ETag"]})
    assert same.status == HTTPStatus.NOT_MODIFIED
    assert got.event.mac == NODE


def test_a_stranger_gets_none_and_a_machine_without_any_an_empty_array(pages):
    assert pages.of(STRANGER).status == HTTPStatus.NOT_FOUND
    assert body(pages.of(OTHER)) == b"[]\n"


def test_the_index_says_who_has_what(pages):
    pages.put("other", json.dumps({**WEB, "foo": 1}).encode())
    index = pages.index()
    assert list(index) == ["fixed", "other"]
    assert index["fixed"]["machines"] == [str(NODE)]
    assert index["fixed"]["source"] == "configuration"
    size = len(pages.shelf.store.vms.get("other").text)
    etag = index["other"].pop("etag")
    assert pages.get("other.json").headers["ETag"] == f'"{etag}"'
    assert index["other"] == {
        "key": "other",
        "alias": "web01",
        "uuid": "",
        "brand": "joyent",
        "size": size,
        "source": "stored",
        "machines": [str(OTHER)],
        "advice": 1,
    }
    assert pages.ask("PUT", "").status == HTTPStatus.METHOD_NOT_ALLOWED


def test_the_index_of_nothing_is_json(tmp_path):
    pages = Pages(tmp_path)
    pages.registry = load_nothing(tmp_path)
    assert json.loads(pages.get("").body) == []


def load_nothing(folder):
    (folder / "n.json").write_text("{}")
    return load(folder / "n.json")


# -- who may ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer"}, 401),
        ({"authorization": "Basic YTpi"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 403),
        ({"authorization": "Bearer \xff"}, 403),
    ],
)
def test_nobody_changes_anything_without_the_token(pages, method, headers, status):
    pages.put("web", b'{"a": 1}')
    answer = pages.ask(method, "web.json", b"{}", token="", **headers)
    assert answer.status == status
    assert (answer.headers.get("WWW-Authenticate", "")[:6] == "Bearer") is (status == 401)
    assert isinstance(answer.event, Refused)
    assert body(pages.get("web.json")) == b'{"a": 1}'


@pytest.mark.parametrize("given", ["", "x"])
def test_nobody_changes_anything_while_there_is_no_token(pages, given):
    pages.shelf.authority.keyring.tokens = Tokens()
    assert pages.put("web", token=given).status == HTTPStatus.SERVICE_UNAVAILABLE
    assert len(pages.shelf.store.vms) == 0


def test_the_scheme_may_be_written_in_any_case(pages):
    answer = pages.put("web", token="", authorization=f"bearer  {TOKEN} ")
    assert answer.status == HTTPStatus.CREATED


def test_private_ones_are_for_their_machine_and_the_token(private):
    private.put("stored")
    private.put("other")
    assert private.get("stored.json").status == HTTPStatus.UNAUTHORIZED
    assert private.get("none.json").status == HTTPStatus.UNAUTHORIZED
    assert private.get("").status == HTTPStatus.UNAUTHORIZED
    assert private.ask("GET", "stored.json").status == HTTPStatus.OK
    assert private.ask("GET", "").status == HTTPStatus.OK
    assert private.get("stored.json", peer="192.0.2.56").status == HTTPStatus.OK
    assert private.get("other.json", peer="192.0.2.56").status == HTTPStatus.UNAUTHORIZED
    assert private.of(NODE, peer="192.0.2.56").status == HTTPStatus.OK
    assert private.of(OTHER, peer="192.0.2.56").status == HTTPStatus.UNAUTHORIZED
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert private.of(OTHER, peer="192.0.2.9", headers=bearer).status == HTTPStatus.OK


def test_an_address_that_fetched_a_script_counts_only_where_none_is_configured(private):
    private.put("stored")
    private.put("other")
    private.booted(OTHER, "192.0.2.9")
    private.booted(NODE, "192.0.2.8")
    assert private.get("other.json").status == HTTPStatus.OK
    assert private.of(OTHER, peer="192.0.2.9").status == HTTPStatus.OK
    assert private.get("stored.json", peer="192.0.2.8").status == HTTPStatus.UNAUTHORIZED
    assert private.of(NODE, peer="192.0.2.8").status == HTTPStatus.UNAUTHORIZED


def test_the_token_of_its_boot_is_good_for_a_machine_s_own_list(private):
    private.put("other")
    private.booted(OTHER, "192.0.2.9")
    key = private.registry.machine(OTHER).key
    token = private.record.token(key, private.record.of(key).latest)
    for shown, status in ((token, HTTPStatus.OK), ("0" * 32, HTTPStatus.UNAUTHORIZED)):
        answer = private.of(OTHER, peer="192.0.2.66", query={"token": shown})
        assert answer.status == status


# -- writing ---------------------------------------------------------------------------------------


def test_what_is_put_is_answered_with_the_advice(pages):
    created = pages.put("web", json.dumps({**WEB, "foo": 1, "max_swap": 5}).encode())
    assert created.status == HTTPStatus.CREATED
    told = created.body.decode()
    assert told.startswith("created VM description web; 3 remarks\n")
    assert "foo: unknown property" in told
    assert "max_swap: bad value" in told
    assert isinstance(created.event, Audited)
    assert pages.put("web", b"{}").status == HTTPStatus.OK
    replaced = pages.put("web", json.dumps(WEB).encode())
    assert (replaced.status, replaced.body) == (HTTPStatus.NO_CONTENT, b"")
    said = "audit: API token ops from 192.0.2.9: replaced VM description web: done"
    assert str(replaced.event) == said


def test_what_is_deleted_is_gone(pages):
    pages.put("web", b'{"alias": "w"}')
    removed = pages.ask("DELETE", "w.json")
    assert (removed.status, removed.body) == (HTTPStatus.NO_CONTENT, b"")
    assert pages.get("web.json").status == HTTPStatus.NOT_FOUND
    assert pages.ask("DELETE", "web.json").status == HTTPStatus.NOT_FOUND
    restarted = Store(pages.shelf.store.folder)
    restarted.read()
    assert len(restarted.vms) == 0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", "web.json:1:1"),
        (b"[]", "web.json:1:1"),
        (b'{\n "a": 1,\n}', "web.json:2:8"),
        (b'{"a": NaN}', "web.json:1:7"),
        (b'{"a": "\xff\xfe"}', "web.json:1:8"),
        (b"[" * 10_000, "web.json:1:513"),
        (b'{"a":' * 10_000, "web.json:1:2561"),
    ],
)
def test_what_is_no_strict_object_is_refused_with_its_place(pages, text, place):
    pages.put("web", b'{"a": 1}')
    answer = pages.put("web", text)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert place in answer.body.decode()
    assert body(pages.get("web.json")) == b'{"a": 1}'


@pytest.mark.parametrize("key", [".", "..", ".x", "a b", "ä", "x" * 129, "a\\b", "\udcff", ""])
def test_a_key_that_could_be_a_path_is_refused(pages, key):
    answer = pages.put(key)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert not pages.shelf.store.folder.exists()


def test_a_part_of_a_description_is_refused(pages):
    answer = pages.put("web", content_range="bytes 0-1/2")
    assert answer.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("key", ["fixed", "www", IMAGE])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_the_configurations_own_are_not_changed_here(pages, method, key):
    answer = pages.ask(method, f"{key}.json", b"{}")
    assert answer.status == HTTPStatus.CONFLICT
    assert "c.json" in answer.body.decode()


@pytest.mark.parametrize("taken", [IMAGE, IMAGE.replace("6", "7")])
def test_a_uuid_belongs_to_one(pages, taken):
    pages.put("one", b'{"uuid": "%s"}' % IMAGE.replace("6", "7").encode())
    answer = pages.put("two", b'{"uuid": "%s"}' % taken.encode())
    assert answer.status == HTTPStatus.CONFLICT
    assert pages.get("two.json").status == HTTPStatus.NOT_FOUND


def test_conditions_keep_two_writers_apart(pages):
    failed = HTTPStatus.PRECONDITION_FAILED
    assert pages.put("web", if_match="*").status == failed
    first = pages.put("web", b'{"n": 1}', if_none_match="*")
    assert first.status == HTTPStatus.CREATED
    assert pages.put("web", b'{"n": 2}', if_none_match="*").status == failed
    etag = first.headers["ETag"]
    assert pages.put("web", b'{"n": 3}', if_none_match=f"W/{etag}").status == failed
    assert pages.put("web", b'{"n": 3}', if_match=f"W/{etag}").status == failed
    assert pages.put("web", b'{"n": 3}', if_match=f'"x", {etag}').status == HTTPStatus.OK
    assert pages.put("web", b'{"n": 4}', if_match=etag).status == failed
    assert pages.ask("DELETE", "web.json", if_match=etag).status == failed
    assert body(pages.get("web.json")) == b'{"n": 3}'
    assert pages.ask("DELETE", "web.json", if_match="*").status == HTTPStatus.NO_CONTENT


@pytest.mark.parametrize(
    ("problem", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EIO, 500)]
)
def test_a_disk_that_takes_nothing_is_told_and_nothing_changes(pages, monkeypatch, problem, status):
    pages.put("web", b'{"n": 1}')

    def broken(_descriptor):
        raise OSError(problem, "the disk says no")

    monkeypatch.setattr("os.fsync", broken)
    answer = pages.put("web", b'{"n": 2}')
    assert answer.status == status
    assert "the disk says no; nothing has changed" in answer.body.decode()
    assert body(pages.get("web.json")) == b'{"n": 1}'


def test_there_may_not_be_too_many(pages, monkeypatch):
    monkeypatch.setattr(storing, "MOST", 1)
    pages.put("one")
    assert pages.put("two").status == HTTPStatus.INSUFFICIENT_STORAGE


# -- through the site ------------------------------------------------------------------------------


def test_the_site_has_the_pages(rig):
    rig.site.shelf.store.put(storing.make("web", b'{"a": 1}', "stored"), lambda _: None)
    assert rig.get("/vms/web.json").body == b'{"a": 1}'
    assert rig.ask("HEAD", "/vms/web.json").headers["content-length"] == "8"
    assert rig.get("/machines/52:54:00:12:34:56/vms").body == b"[]\n"
    assert rig.get("/machines/52-54-00-12-34-58/vms").status == 404
    assert rig.get("/machines/x/vms").status == 404
    assert rig.ask("POST", "/vms/web.json").status == 405
    assert rig.ask("PUT", "/vms/web.json").status == 503  # there is no token
    assert rig.ask("PUT", "/machines/52-54-00-12-34-56/vms").status == 405


@pytest.mark.parametrize("path", ["/vms/../x.json", "/vms/%2e%2e%2fx.json", "/vms/a%5c..%5cx.json"])
def test_paths_out_of_the_folder_are_refused(rig, path):
    rig.site.authority.keyring.tokens = Tokens().having("ops", TOKEN)
    assert rig.ask("PUT", path, Authorization=f"Bearer {TOKEN}").status == 403


def test_a_body_that_is_too_long_is_told_so(tmp_path):
    rig = Rig(tmp_path, netbootd='"admin_networks" : "192.0.2.77"')
    rig.site.authority.keyring.tokens = Tokens().having("ops", TOKEN)
    size = (1 << 20) + 1
    head = (
        f"PUT /vms/web.json HTTP/1.1\r\nContent-Length: {size}\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n"
    )
    assert rig.raw(head.encode() + b" " * (size - 2) + b"{}").startswith(b"HTTP/1.1 413 ")
    assert isinstance(rig.events[-1], Refused)


# -- secret values ---------------------------------------------------------------------------------


@pytest.fixture
def valued(tmp_path):
    (tmp_path / "pw").write_text("hunter2")
    (tmp_path / "pw").chmod(0o600)
    pages = Pages(tmp_path)
    inner = '"fixed" : { "customer_metadata" : { "pw" : { "secret_file" : "pw" } },'
    (tmp_path / "c.json").write_text(
        (CONFIG % (IMAGE, IMAGE, "false")).replace('"fixed" : {', inner)
    )
    pages.registry = load(tmp_path / "c.json")
    assert not [one for one in pages.registry.findings if one.code.startswith("secret")]
    return pages


def test_secret_values_are_for_a_machine_that_has_the_description(valued, tmp_path):
    for answer in (valued.get("fixed.json"), valued.of(NODE, peer="192.0.2.9")):
        assert answer.status == HTTPStatus.UNAUTHORIZED
    stand_in = f"<secret:{tmp_path}/pw>"
    looked_at = json.loads(body(valued.ask("GET", "fixed.json")))
    assert looked_at["customer_metadata"]["pw"] == stand_in
    got = json.loads(body(valued.get("fixed.json", peer="192.0.2.56")))
    assert got["customer_metadata"]["pw"] == "hunter2"
    (its_own,) = json.loads(body(valued.of(NODE, peer="192.0.2.56")))
    assert its_own["customer_metadata"]["pw"] == "hunter2"
    valued.booted(NODE, "192.0.2.77")
    key = valued.registry.machine(NODE).key
    token = valued.record.token(key, valued.record.of(key).latest)
    (its_own,) = json.loads(body(valued.of(NODE, peer="192.0.2.9", query={"token": token})))
    assert its_own["customer_metadata"]["pw"] == "hunter2"
    assert "hunter2" not in valued.get("").body.decode()


def test_who_may_write_descriptions_cannot_have_secret_values_put_in(valued, tmp_path):
    text = json.dumps({"a": f"<secret:{tmp_path}/pw>", "b": {"secret_file": "pw"}}).encode()
    assert valued.put("stored", text).status == HTTPStatus.CREATED
    assert body(valued.get("stored.json", peer="192.0.2.56")) == text


def test_a_description_without_its_value_is_not_given(valued, tmp_path):
    (tmp_path / "pw").chmod(0o644)
    valued.registry = load(tmp_path / "c.json")
    for answer in (valued.get("fixed.json", peer="192.0.2.56"), valued.of(NODE, peer="192.0.2.56")):
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
