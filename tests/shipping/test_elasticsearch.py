"""To Elasticsearch: each line once, whatever it answers."""

from __future__ import annotations

import json

import pytest

from netbootd.config import Ship
from netbootd.logbook import files
from netbootd.logbook.line import Source

from .elastic import Answer, Elastic
from .writing import until


def identity(log, number):
    """The ``_id`` of a line of the log's first file."""
    return f"boot1-{files.identities(log.folder)[0]}-{number}"


def rejected(tmp_path):
    file = tmp_path / "shipping" / "rejected.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def reached(tmp_path):
    """The number of the last line that is known to have arrived, 0 for none."""
    file = tmp_path / "shipping" / "elasticsearch.json"
    return json.loads(file.read_text())["line"] if file.exists() else 0


def test_every_line_goes_to_the_data_stream_that_it_names(log, elastic, ship):
    log.say(3)
    log.say(2, source=Source.BOOT)
    ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 5)
    assert elastic.streams == {"logs-netbootd.syslog-default": 3, "logs-netbootd.boot-default": 2}
    assert elastic.complaints == []


def test_lines_that_come_later_follow_over_a_cut(log, elastic, ship):
    texts = log.say(3)
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 3)
    log.cut()
    texts += log.say(3)
    until(lambda: shipper.counts["elasticsearch"].shipped == 6)
    assert elastic.texts == texts


def test_each_answer_that_there_may_be_ends_with_every_line_once(log, elastic, ship, tmp_path):
    texts = log.say(8)
    busy, wrong, there = identity(log, 2), identity(log, 4), identity(log, 6)
    elastic.stored[there] = {"message": texts[5]}
    elastic.items[busy] = [(429, "es_rejected_execution_exception")] * 2
    elastic.items[wrong] = [(400, "document_parsing_exception")]
    elastic.next = [
        lambda *_: Answer(503),
        lambda *_: Answer(429, Retry_After="0"),
        lambda _, headers, actions: Answer(413) if len(actions) == 8 else None,
    ]
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: reached(tmp_path) == 8)
    assert sorted(elastic.texts) == sorted(set(texts) - {texts[3]})
    assert elastic.conflicts == 1
    assert elastic.complaints == []
    assert elastic.answers[:3] == [503, 429, 413]
    (aside,) = rejected(tmp_path)
    assert json.loads(aside["document"])["message"] == texts[3]
    assert aside["reason"].startswith("400 document_parsing_exception")
    assert (aside["id"], aside["line"]) == (wrong, 4)
    counts = shipper.counts["elasticsearch"]
    assert (counts.shipped, counts.rejected, counts.lost, counts.lines) == (7, 1, 0, 0)
    until(lambda: shipper.trouble == "")


def test_only_what_was_not_taken_is_sent_again(log, elastic, ship):
    log.say(5)
    elastic.items[identity(log, 3)] = [(503, "unavailable_shards_exception")]
    sent = []
    elastic.next = [lambda _, headers, actions: sent.append(len(actions))] * 2
    ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 5)
    assert sent == [5, 1]


def test_an_answer_that_was_lost_stores_nothing_twice(log, elastic, ship):
    """The cluster did it all, and its answer did not arrive."""
    texts = log.say(4)

    def stores_and_fails(server, _headers, actions):
        for action in actions:
            server._store(action)
        return Answer(504)

    elastic.next = [stores_and_fails]
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: shipper.counts["elasticsearch"].shipped == 4)
    assert elastic.texts == texts
    assert elastic.conflicts == 4


def test_a_line_that_is_too_large_alone_is_put_aside(log, elastic, ship, tmp_path):
    elastic.most = 20_000
    before = log.say(2)
    log.say(1, text="x" * 50_000)
    after = log.say(2)
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: shipper.counts["elasticsearch"].rejected == 1 and len(elastic.stored) == 4)
    assert elastic.texts == before + after
    assert rejected(tmp_path)[0]["reason"] == "413 it is too large, even alone"


def test_what_is_no_line_of_the_log_is_put_aside(log, elastic, ship, tmp_path):
    log.say(1)
    log.append(b'\xff\xfe rubbish\n[1, 2]\n{"@timestamp": "2026-11-21T00:00:00Z"}\n\n')
    log.cut()
    log.say(1)
    ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 2)
    assert len(rejected(tmp_path)) == 4
    assert elastic.complaints == []


def test_a_request_has_a_thousand_lines_at_most(log, elastic, ship):
    log.say(2500)
    ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 2500)
    assert len(elastic.sizes) == 3


def test_a_request_has_five_megabytes_at_most(log, elastic, ship):
    log.say(200, text="y" * 60_000)
    ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: len(elastic.stored) == 200)
    assert len(elastic.sizes) == 3
    assert max(elastic.sizes) < 5_200_000


# -- who asks, and who answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("ApiKey aWQ6a2V5", "ApiKey aWQ6a2V5"),
        ("shipper:se cret:x", "Basic c2hpcHBlcjpzZSBjcmV0Ong="),
    ],
    ids=["key", "password"],
)
def test_credentials_are_those_of_the_file(line, header, log, ship, tmp_path):
    (tmp_path / "key").write_text(line + "\n")
    log.say(1)
    with Elastic(authorization=header) as elastic:
        ship(Ship(elasticsearch=(elastic.url,), credentials=tmp_path / "key"))
        until(lambda: len(elastic.stored) == 1)


def test_credentials_may_stand_in_the_address_and_are_never_shown(log, ship):
    log.say(1)
    with Elastic(authorization="Basic dTpwdw==") as elastic:
        shipper = ship(Ship(elasticsearch=(elastic.url.replace("//", "//u:pw@"),)))
        until(lambda: len(elastic.stored) == 1)
        elastic.authorization = "other"
        log.say(1)
        until(lambda: shipper.trouble)
        assert "pw" not in shipper.trouble


def test_wrong_credentials_keep_everything_until_they_are_mended(log, ship, tmp_path):
    key = tmp_path / "key"
    key.write_text("ApiKey old")
    texts = log.say(3)
    with Elastic(authorization="ApiKey new") as elastic:
        shipper = ship(Ship(elasticsearch=(elastic.url,), credentials=key))
        until(lambda: "401" in shipper.trouble)
        assert "are the credentials right?" in shipper.trouble
        key.write_text("ApiKey new")
        until(lambda: elastic.texts == texts)
        until(lambda: not shipper.trouble)
    assert rejected(tmp_path) == []


@pytest.mark.parametrize("content", [None, "", "no colon", "ApiKey a\nb"])
def test_credentials_that_cannot_be_used_are_told(content, log, ship, tmp_path):
    if content is not None:
        (tmp_path / "key").write_text(content)
    log.say(1)
    with Elastic() as elastic:
        shipper = ship(Ship(elasticsearch=(elastic.url,), credentials=tmp_path / "key"))
        until(lambda: str(tmp_path / "key") in shipper.trouble)
        assert elastic.answers == []


@pytest.mark.parametrize("status", [400, 404, 405, 302])
def test_a_server_that_is_none_of_ours_costs_no_line(status, log, elastic, ship, tmp_path):
    texts = log.say(2)
    elastic.next = [lambda *_: Answer(status, Location="http://192.0.2.1/")] * 3
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: str(status) in shipper.trouble)
    until(lambda: elastic.texts == texts)
    assert rejected(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"errors": True},
        {"errors": True, "items": []},
        {"errors": True, "items": [7]},
    ],
    ids=repr,
)
def test_an_answer_that_makes_no_sense_confirms_nothing(body, log, elastic, ship):
    texts = log.say(2)
    elastic.next = [lambda *_: Answer(200, body)]
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: elastic.texts == texts)
    until(lambda: shipper.counts["elasticsearch"].shipped == 2)


def test_a_stream_that_may_not_be_written_keeps_its_lines(log, elastic, ship, tmp_path):
    texts = log.say(2)
    elastic.items[identity(log, 1)] = [(404, "index_not_found_exception")]
    elastic.items[identity(log, 2)] = [(403, "security_exception")]
    shipper = ship(Ship(elasticsearch=(elastic.url,)))
    until(lambda: sorted(elastic.texts) == sorted(texts))
    assert shipper.counts["elasticsearch"].rejected == 0
    assert rejected(tmp_path) == []


def test_of_several_addresses_the_next_is_tried(log, elastic, ship):
    texts = log.say(2)
    with Elastic() as gone:
        dead = gone.url
    shipper = ship(Ship(elasticsearch=(dead, elastic.url)))
    until(lambda: elastic.texts == texts)
    log.say(1)
    until(lambda: len(elastic.stored) == 3)
    assert elastic.answers == [200, 200]
    assert shipper.trouble == ""


def test_what_keeps_lines_waiting_is_told_and_is_over_later(log, ship):
    told = []
    texts = log.say(2)
    elastic = Elastic()
    elastic.start()
    elastic.stop()
    shipper = ship(Ship(elasticsearch=(elastic.url,)), told=told.append)
    until(lambda: shipper.trouble)
    assert elastic.url in shipper.trouble
    assert "Connection refused" in shipper.trouble
    until(lambda: shipper.depth == 2)
    elastic.start()
    until(lambda: elastic.texts == texts)
    until(lambda: told[-1:] == [""])
    assert len(told) == 2
    until(lambda: shipper.depth == 0)
    elastic.stop()
