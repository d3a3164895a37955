"""What is secret over HTTP, without a socket: threads run at once, and the kernel says who it is."""

from __future__ import annotations

import errno
import json

import pytest
from twisted.internet.defer import Deferred, execute

from netbootd.apitoken import Tokens
from netbootd.errors import Forbidden
from netbootd.events.event import Claimed, Contested
from netbootd.http import receipt, vault
from netbootd.http import site as site_module
from netbootd.http.resource import Awaited, Part, asked_of
from netbootd.mac import MAC
from netbootd.neighbours import Tie
from netbootd.record.standing import Armed, arms
from netbootd.registry.load import load
from netbootd.tftp.made import check_open

from .inmemory import HERE, Rig

TOKEN = "a-token"
NODE, OTHER = "52:54:00:12:34:60", "52:54:00:12:34:61"
AT, ELSEWHERE = "192.0.2.60", "192.0.2.61"
CARDS = {AT: NODE, ELSEWHERE: OTHER}


class Secretive(Rig):
    """A site with a secret machine, whose boot is armed."""

    def __init__(self, folder):
        install = folder / "files" / "install"
        install.mkdir(parents=True)
        (install / "node.cfg.j2").write_text("{{ script_url }}\n")
        super().__init__(folder)
        written = (folder / "c.json").read_text()
        head, _, tail = written.partition('"machines" : {')
        sections = head[: head.index('"targets"')]
        targets = (
            '"targets" : { "install" : { "a" : { "kernel" : "/images/vmlinuz", "os" : "debian",'
            ' "answer" : "install/node.cfg" } }, "nfs" : { "a" : { "kernel" : "/images/vmlinuz" },'
            ' "broken" : { "kernel" : 7 } } }, "vms" : { "web" : { "brand" : "joyent" } },'
        )
        machines = "".join(
            f'"{mac}" : {{ "type" : "install", "name" : "a", "vms" : [ "web" ], {more} }},'
            for mac, more in ((NODE, '"secret" : true'), (OTHER, ""))
        )
        (folder / "c.json").write_text(f'{sections}{targets} "machines" : {{ {machines}{tail}')
        self.live.swap(load(folder / "c.json"))
        self.site.vault.who_has = lambda peer: (
            Tie(MAC.parse(CARDS[peer]))
            if peer in CARDS
            else (Tie(None, "it is behind the router 192.0.2.254"))
        )
        self.arm()

    def arm(self):
        record = self.live.record
        record.put(NODE, arms(record.of(NODE), Armed(target="install/a")))

    def answer(self, target, peer=AT, method="GET", **headers):
        named = [(k.replace("_", "-").encode(), (v.encode(),)) for k, v in headers.items()]
        here = (HERE.host, HERE.port)
        asked = asked_of(method.encode(), target.encode(), named, here, peer)
        reply = self.site.answer(asked)
        if not isinstance(reply, Awaited):
            return reply
        results = []
        Deferred.fromCoroutine(reply.coming).addBoth(results.append)
        (answer,) = results
        return answer

    def boot(self):
        """The token of a boot."""
        script = self.answer(f"/boot/{NODE}", User_Agent="iPXE/1.21")
        return script.body.decode().partition("/token-")[2][:32]


def text(answer):
    body = answer.body
    return (body.content.read(0, 9999) if isinstance(body, Part) else body).decode()


@pytest.fixture
def site(tmp_path, monkeypatch):
    for module in (vault, site_module):
        monkeypatch.setattr(module, "deferToThread", execute)
    return Secretive(tmp_path)


def urls(token):
    proof = f"?token={token}"
    return (f"/install/{NODE}/token-{token}/node.cfg", f"/install/{NODE}/node.cfg{proof}",
            f"/scripts/{NODE}{proof}", f"/overlay/{NODE}.cpio{proof}",
            f"/machines/{NODE}/vms{proof}", f"/vms/web.json{proof}")  # fmt: skip


def test_each_is_given_to_its_machine_and_never_kept_by_a_cache(site):
    token = site.boot()
    for url in urls(token)[1:]:
        answer = site.answer(url, If_None_Match="*", Range="bytes=0-1")
        assert answer.status == 200, url
        assert answer.headers["Cache-Control"] == "no-store"
        assert not answer.headers.keys() & {"ETag", "Last-Modified", "Accept-Ranges"}
        answer.receipt.end(whole=True)
    given = site.live.record.of(NODE).latest.given
    assert [one.what for one in given] == [
        "install/node.cfg", "script", "overlay", "vms", "vms/web"
    ]  # fmt: skip
    assert {(one.mac, one.peer, one.begun, one.whole) for one in given} == {(NODE, AT, 1, 1)}


@pytest.mark.parametrize("number", range(6))
def test_a_second_claimant_is_told_to_everybody(site, number):
    url = urls(site.boot())[number]
    site.answer(url).receipt.end(whole=True)
    assert site.answer(url, method="HEAD").status == 403
    assert not site.live.record.of(NODE).held
    assert site.answer(url, ELSEWHERE).status == 403
    assert ELSEWHERE in site.live.record.of(NODE).held
    (alarm,) = [event for event in site.events if isinstance(event, Claimed)]
    assert str(alarm.mac) == NODE
    assert OTHER in str(alarm)
    assert site.answer(url).status == 403
    assert len([event for event in site.events if isinstance(event, Claimed)]) == 1


@pytest.mark.parametrize("number", range(6))
def test_one_at_a_time_is_given_it(site, number):
    url = urls(site.boot())[number]
    first = site.answer(url)
    for _ in range(9):
        later = site.answer(url)
        assert (later.status, later.headers["Retry-After"]) == (503, "5")
        assert later.receipt is None
    assert not site.live.record.of(NODE).held
    assert site.live.record.of(NODE).latest.given[0].begun == 1
    first.receipt.end(whole=False)  # it broke off
    again = site.answer(url)
    assert again.status == 200
    again.receipt.end(whole=True)
    assert site.answer(url).status == 403
    assert site.live.record.of(NODE).held


def test_an_answer_that_is_not_sent_keeps_nobody_from_the_next(site):
    url = urls(site.boot())[0]

    def broken():
        raise OSError("no threads")

    site.live.record.settle = lambda: False
    assert site.answer(url).status == 503
    site.live.record.settle = broken
    with pytest.raises(AttributeError):
        site.answer(url).status  # noqa: B018  the failure
    site.live.record.settle = None
    assert site.answer(url).status == 200


def test_what_cannot_be_watched_is_not_sent_and_keeps_nobody_from_the_next(site, monkeypatch):
    def no_descriptor(_):
        raise OSError(errno.EMFILE, "Too many open files")

    url = urls(site.boot())[0]
    monkeypatch.setattr(receipt, "_plain", no_descriptor)
    site.site.vault.who_has = lambda _: Tie(MAC.parse(NODE))
    for _ in range(3):
        refusal = site.get(url)
        assert refusal.status == 503
        assert "scripts/" not in refusal.text
    assert site.answer(url).status == 200


def test_another_card_at_its_address_is_told_and_freezes_nobody(site):
    url = urls(site.boot())[0]
    for card in (Tie(MAC.parse(OTHER)), Tie(None, "the kernel has no card for it")):
        whole, site.site.vault.who_has = site.site.vault.who_has, lambda _, card=card: card
        answer = site.answer(url)
        site.site.vault.who_has = whole
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert isinstance(answer.event, Contested)
        assert answer.event.level == "warn"
        assert str(card.card or card.why) in str(answer.event)
        assert NODE in answer.event.reason
        assert OTHER not in text(answer)
    assert not site.live.record.of(NODE).held
    assert site.answer(url).status == 200


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("peer", [AT, ELSEWHERE, "198.51.100.1"])
def test_without_the_token_there_is_nothing_and_no_alarm(site, number, peer):
    site.boot()
    for token in ("", "0" * 32, "../..", "é"):
        answer = site.answer(urls(token)[number], peer)
        assert answer.status in (400, 403, 404)
        assert "scripts/" not in text(answer)
    assert not site.live.record.of(NODE).held


def test_a_caller_behind_a_router_is_a_second_claimant_too(site):
    url = urls(site.boot())[0]
    assert site.answer(url, "198.51.100.1").status == 403
    assert "behind the router" in site.live.record.of(NODE).held


def test_a_machine_that_names_the_same_file_or_vm_needs_a_claim_of_its_own(site):
    for path in (f"/install/{OTHER}/node.cfg", f"/machines/{OTHER}/vms", f"/scripts/{OTHER}"):
        assert site.answer(path, ELSEWHERE).status == 403
    token = site.boot()
    for path in (f"/install/{OTHER}/node.cfg", f"/scripts/{OTHER}"):
        assert site.answer(f"{path}?token={token}", ELSEWHERE).status == 403
    assert not site.live.record.of(NODE).held


def test_the_api_token_reads_descriptions_without_a_claim(site):
    site.site.authority.keyring.tokens = Tokens().having("ops", TOKEN)
    answer = site.answer("/vms/web.json", ELSEWHERE, Authorization=f"Bearer {TOKEN}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert site.answer("/vms/web.json", ELSEWHERE).status == 403
    wrong = site.answer("/vms/web.json", ELSEWHERE, Authorization=f"Bearer {TOKEN}x")
    assert wrong.status == 403


def test_what_cannot_be_made_is_not_used_up(site):
    token = site.boot()
    (site.root / "install" / "node.cfg.j2").write_text("{{ nobody_has_this }}\n")
    site.live.swap(load(site.root.parent / "c.json"))
    assert site.answer(urls(token)[0]).status == 500
    assert site.live.record.of(NODE).latest.given == ()


def test_a_record_that_could_not_be_read_may_know_more(site):
    token = site.boot()
    site.live.record.unread = "it is locked"
    assert site.answer(urls(token)[0]).status == 503


def test_who_is_frozen_while_its_claim_is_written_gets_nothing(site):
    url = urls(site.boot())[0]

    def settle():
        site.live.record.settle = None
        assert site.answer(url, ELSEWHERE).status == 403
        return True

    site.live.record.settle = settle
    assert site.answer(url).status == 403
    site.live.record.settle = lambda: False
    assert site.live.record.of(NODE).held


def test_a_script_goes_to_the_machine_alone_and_waits_for_the_disk_as_any_other(site):
    assert site.answer(f"/boot/{NODE}", ELSEWHERE).status == 403
    assert site.answer(f"/boot/{NODE}", method="HEAD").status == 200
    shown = site.answer(f"/boot/{NODE}", ELSEWHERE, User_Agent="iPXE/1.21")
    assert shown.status == 200
    assert "token" not in shown.body.decode()
    assert site.live.record.of(NODE).latest is None
    asked = []
    site.live.record.settle = lambda: not asked.append(1)
    assert len(site.boot()) == 32
    assert asked


def test_by_a_link_there_is_no_other_way_to_a_secret(site, tmp_path):
    install = tmp_path / "files" / "install"
    (install / "link.cfg.j2").symlink_to("node.cfg.j2")
    (install / "plain.cfg").write_text("secret\n")
    (install / "plain-link.cfg").symlink_to("plain.cfg")
    written = (tmp_path / "c.json").read_text()
    plain = (
        '"p" : { "kernel" : "/images/vmlinuz", "answer" : "install/plain.cfg", "secret" : true }'
    )
    (tmp_path / "c.json").write_text(
        written.replace('"targets" : { "install" : {', f'"targets" : {{ "install" : {{ {plain},')
    )
    site.live.swap(load(tmp_path / "c.json"))
    for path in ("link.cfg", f"{NODE}/link.cfg", f"{OTHER}/link.cfg", "plain-link.cfg",
                 f"{OTHER}/plain-link.cfg"):  # fmt: skip
        answer = site.answer(f"/install/{path}", ELSEWHERE)
        assert answer.status == 403, path
    with pytest.raises(Forbidden, match="HTTP alone"):
        check_open("install/plain-link.cfg", site.live.snapshot)
    token = site.boot()
    site.answer(f"/install/{NODE}/token-{token}/link.cfg").receipt.end(whole=True)
    assert site.answer(f"/install/{NODE}/token-{token}/node.cfg").status == 403
    assert site.live.record.of(NODE).held  # it was the same one


@pytest.mark.parametrize("stopping", [False, True])
def test_no_log_has_a_token_whatever_is_asked_with_it(site, stopping):
    token = site.boot()
    site.site.stopping = stopping
    told = [
        site.answer(url, ELSEWHERE, method=method).event
        for method in ("POST", "PUT", "FOO", "GET")
        for url in urls(token)
    ]
    assert all(told)
    assert not [event for event in (*told, *site.events) if token in f"{event} {event!r}"]


def test_the_index_of_descriptions_has_nothing_to_try_guesses_with(site):
    (row,) = json.loads(site.answer("/vms/", ELSEWHERE).make().body)
    assert (row["key"], row["etag"]) == ("web", "")
