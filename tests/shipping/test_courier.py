"""Outages, restarts, files that go, disks that refuse: nothing is lost unsaid, nothing twice."""

from __future__ import annotations

import gzip
import json
import os
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from netbootd.config import Logs, Ship
from netbootd.logbook import files
from netbootd.logbook.book import Logbook
from netbootd.logbook.files import Place
from netbootd.logbook.line import Line, Source
from netbootd.shipping import courier, kept
from netbootd.shipping.backlog import Backlog
from netbootd.shipping.items import Outcome
from netbootd.shipping.kept import START, Marker, Reached

from .elastic import Answer, Elastic
from .test_logstash import TcpInput
from .writing import SHAPE, until


@pytest.fixture
def away():
    """An Elasticsearch that is not there yet."""
    elastic = Elastic()
    elastic.start()
    elastic.stop()
    yield elastic
    elastic.stop()


def to(elastic, **more):
    return Ship(elasticsearch=(elastic.url,), **more)


# -- restarts --------------------------------------------------------------------------------------


def test_a_restart_goes_on_where_it_was(log, elastic, ship):
    texts = log.say(10)
    first = ship(to(elastic))
    until(lambda: len(elastic.stored) == 10)
    first.stop()
    texts += log.say(10)
    requests = len(elastic.answers)
    ship(to(elastic))
    until(lambda: len(elastic.stored) == 20)
    assert elastic.texts == texts
    assert len(elastic.answers) == requests + 1


def test_a_restart_in_an_outage_loses_nothing(log, away, ship):
    texts = log.say(10)
    ship(to(away)).stop()
    log.cut()
    texts += log.say(10)
    shipper = ship(to(away))
    until(lambda: shipper.depth == 20)
    away.start()
    until(lambda: away.texts == texts)
    assert away.conflicts == 0


def test_a_garbled_place_is_told_and_not_taken_for_the_beginning(log, elastic, ship, tmp_path):
    log.say(3)
    marker = tmp_path / "shipping" / "elasticsearch.json"
    marker.parent.mkdir()
    marker.write_text("{")
    shipper = ship(to(elastic))
    until(lambda: str(marker) in shipper.trouble)
    assert elastic.answers == []
    marker.unlink()
    until(lambda: len(elastic.stored) == 3)


def test_a_place_is_written_whole(tmp_path):
    marker = Marker(tmp_path, "elasticsearch")
    assert marker.read() == START
    reached = Reached(Place("20261121T181032.123Z", 77), 3)
    marker.write(reached)
    assert marker.read() == reached
    assert [one.name for one in tmp_path.iterdir()] == ["elasticsearch.json"]


# -- files that go ---------------------------------------------------------------------------------


def test_what_is_deleted_before_it_was_sent_is_counted_and_told(log, away, ship, monkeypatch):
    monkeypatch.setattr(courier, "_MOST_ITEMS", 4)
    lost = []
    before = log.say(10)[:4]
    first = log.cut()
    log.say(5)
    second = log.cut()
    texts = log.say(3)
    shipper = ship(to(away), lost=lambda name, lines: lost.append((name, lines)))
    until(lambda: shipper.trouble and shipper.depth == 18)
    files.remove(log.folder, first)
    files.remove(log.folder, second)
    until(lambda: lost == [("elasticsearch", 11)])
    assert shipper.depth == 7  # four are in its hands
    away.start()
    until(lambda: shipper.depth == 0)
    assert away.texts == [*before, *texts]
    counts = shipper.counts["elasticsearch"]
    assert (counts.lost, counts.shipped) == (11, 7)


def seen(shipper):
    """Lines that it knows of, sent or not."""
    counts = shipper.counts["elasticsearch"]
    return counts.shipped + counts.lost + counts.lines


@pytest.mark.slow
def test_hours_without_a_destination_keep_what_the_folder_may_hold(
    away, ship, tmp_path, monkeypatch
):
    """The real logbook, with its retention: files are cut, packed, and the oldest removed."""
    monkeypatch.setattr(courier, "_MOST_ITEMS", 50)  # all that it holds in memory
    book = Logbook(tmp_path / "logs", Logs(size=1), SHAPE, lambda: 1e9)
    shipper = ship(to(away))
    book.start()
    for number in range(1, 1501):
        text = f"line {number} " + os.urandom(1500).hex()
        assert book.put(Line(source=Source.SYSLOG, received=1e9, at=1e9, text=text))
        if number % 30 == 0:  # no faster than it is looked at
            until(lambda number=number: seen(shipper) == number)
    assert book.stop()
    again = Logbook(tmp_path / "logs", Logs(size=1), SHAPE, lambda: 1e9)  # tidies at its start
    again.start()
    logs = tmp_path / "logs"
    until(lambda: sum(files.size(logs, one) for one in files.identities(logs)) < 1 << 20)
    assert again.stop()
    assert shipper.trouble
    away.start()
    until(lambda: shipper.depth == 0 and shipper.counts["elasticsearch"].shipped > 0)
    until(lambda: not shipper.trouble)
    numbers = sorted(int(text.split()[1]) for text in away.texts)
    assert len(numbers) == len(set(numbers))
    assert numbers[-1] == 1500
    counts = shipper.counts["elasticsearch"]
    assert counts.shipped == len(numbers)
    assert counts.lost == 1500 - len(numbers) > 100


def test_a_file_that_went_unseen_is_counted_when_it_is_passed_over(log):
    backlog = Backlog(log.folder)
    log.say(4)
    first = log.cut()
    log.say(2)
    backlog.count(START)
    files.remove(log.folder, first)
    second = files.identities(log.folder)[0]
    assert backlog.go_to(second, START) == 4
    assert backlog.count(Reached(Place(second, 0), 0)) == 0
    assert backlog.lines == 2


def test_what_is_under_way_waits_once(log, tmp_path):
    class Questioner:
        name, where = "elasticsearch", "nowhere"

        def send(self, items):
            waiting.append(sender.shipped.lines)
            sender.end()
            return Outcome(items)

        def close(self): ...

    waiting = []
    log.say(5)
    sender = courier.Courier(
        lambda _ends: Questioner(), log.folder, tmp_path / "s", lambda _: None, lambda *_: None
    )
    sender.start()
    sender.join(20)
    assert waiting == [5]


def test_the_backlog_follows_files_that_grow_close_and_go(log):
    backlog = Backlog(log.folder)
    assert backlog.count(START) == 0
    log.say(4)
    first = log.cut()
    log.say(2)
    assert (backlog.count(START), backlog.lines) == (0, 6)
    log.say(3)
    assert (backlog.count(START), backlog.lines) == (0, 9)
    size = files.size(log.folder, first)
    assert backlog.count(Reached(Place(first, size // 2), 2)) == 0
    assert backlog.lines == 7
    files.remove(log.folder, first)
    assert backlog.count(Reached(Place(first, size // 2), 2)) == 2
    assert backlog.lines == 5
    assert backlog.count(Reached(Place(first, size // 2), 2)) == 0


# -- disks -----------------------------------------------------------------------------------------


def test_a_disk_that_does_not_take_the_place_stops_nothing(log, elastic, ship, monkeypatch):
    refusals = []

    def refuse(*_):
        refusals.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Marker, "write", refuse)
    texts = log.say(3)
    shipper = ship(to(elastic))
    until(lambda: elastic.texts == texts and "No space left" in shipper.trouble)
    texts += log.say(3)
    until(lambda: elastic.texts == texts)
    assert elastic.conflicts == 0


def test_nothing_is_put_aside_that_could_not_be_written_down(
    log, elastic, ship, tmp_path, monkeypatch
):
    log.say(2)
    elastic.items[f"boot1-{files.identities(log.folder)[0]}-1"] = [(400, "x")]
    allowed = []
    real = courier.put_aside

    def refuse(*arguments):
        if not allowed:
            raise OSError(28, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(courier, "put_aside", refuse)
    shipper = ship(to(elastic))
    until(lambda: "No space left" in shipper.trouble)
    assert not (tmp_path / "shipping" / "elasticsearch.json").exists()
    allowed.append(1)
    until(lambda: shipper.counts["elasticsearch"].rejected == 1)
    assert len((tmp_path / "shipping" / "rejected.jsonl").read_text().splitlines()) == 1


def test_what_is_put_aside_does_not_fill_the_disk(log, elastic, ship, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_MOST_REJECTED", 5000)
    log.say(1)
    log.append(b'{"no": "line"}\n' * 200)
    log.cut()
    log.say(1)
    shipper = ship(to(elastic))
    until(lambda: len(elastic.stored) == 2)
    log.append(b'{"no": "line"}\n' * 20)
    log.cut()
    until(lambda: shipper.counts["elasticsearch"].rejected == 220)
    shipper.stop()
    folder = tmp_path / "shipping"
    assert len((folder / "rejected.1.jsonl").read_text().splitlines()) in (20, 200)
    assert {one.name for one in folder.iterdir()} <= {
        "elasticsearch.json",
        "rejected.jsonl",
        "rejected.1.jsonl",
    }


# -- settings --------------------------------------------------------------------------------------


def test_both_destinations_have_places_of_their_own(log, away, ship):
    texts = log.say(10)
    server = TcpInput()
    shipper = ship(to(away, logstash=server.where))
    until(lambda: server.lines == texts)
    until(lambda: shipper.depth == 10)
    away.start()
    until(lambda: away.texts == texts)
    until(lambda: shipper.depth == 0)
    server.close()


def test_a_reload_changes_where_lines_go(log, away, elastic, ship):
    texts = log.say(5)
    shipper = ship(to(away))
    until(lambda: shipper.trouble)
    shipper.configure(to(elastic))
    until(lambda: elastic.texts == texts)
    shipper.configure(Ship())
    assert (shipper.depth, shipper.trouble, shipper.counts) == (0, "", {})
    texts += log.say(5)
    shipper.configure(to(elastic))
    until(lambda: elastic.texts == texts)
    assert elastic.conflicts == 0
    until(lambda: shipper.counts["elasticsearch"].shipped == 10)


def test_a_reload_that_changes_nothing_interrupts_nobody(log, elastic, ship):
    shipper = ship(to(elastic))
    before = shipper._couriers["elasticsearch"]
    shipper.configure(replace(to(elastic), namespace="other"))
    assert shipper._couriers["elasticsearch"] is not before
    before = shipper._couriers["elasticsearch"]
    shipper.configure(replace(to(elastic), namespace="other"))
    assert shipper._couriers["elasticsearch"] is before


def test_nothing_runs_where_nothing_is_to_be_sent(ship, tmp_path):
    shipper = ship(Ship())
    assert (shipper.depth, shipper.trouble, shipper.counts) == (0, "", {})
    assert not (tmp_path / "shipping").exists()


def test_a_fault_of_ours_costs_a_pause(log, elastic, ship, monkeypatch):
    texts = log.say(3)
    faults = [ZeroDivisionError("division")]
    real = courier.item_of

    def fails(*arguments):
        if faults:
            raise faults.pop()
        return real(*arguments)

    monkeypatch.setattr(courier, "item_of", fails)
    ship(to(elastic))
    until(lambda: elastic.texts == texts)


# -- TLS -------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}"),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def tls(folder: Path, name: str, address: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(folder, name, address))
    return context


def test_certificates_are_checked_against_the_given_authority(log, ship, tmp_path):
    texts = log.say(3)
    with Elastic(tls=tls(tmp_path, "elastic")) as elastic:
        ship(to(elastic, ca=tmp_path / "elastic.pem"))
        until(lambda: elastic.texts == texts)


@pytest.mark.parametrize("case", ["other authority", "system's", "other address"])
def test_a_certificate_that_proves_nothing_gets_nothing(case, log, ship, tmp_path):
    log.say(3)
    address = "127.0.0.9" if case == "other address" else "127.0.0.1"
    context = tls(tmp_path, "elastic", address)
    certificate(tmp_path, "other")
    ca = {"other authority": "other.pem", "other address": "elastic.pem"}.get(case)
    with Elastic(tls=context) as elastic:
        shipper = ship(to(elastic, ca=tmp_path / ca if ca else None))
        until(lambda: shipper.trouble)
        assert "certificate" in shipper.trouble.lower()
        assert elastic.answers == []


def test_an_authority_that_cannot_be_read_is_told(log, ship, tmp_path):
    log.say(1)
    with Elastic(tls=tls(tmp_path, "elastic")) as elastic:
        shipper = ship(to(elastic, ca=tmp_path / "missing.pem"))
        until(lambda: "missing.pem" in shipper.trouble)


def test_an_answer_tells_how_long_to_wait(log, elastic, ship, monkeypatch):
    """And that is heeded: nobody asks in between."""
    texts = log.say(1)
    elastic.next = [lambda *_: Answer(503, Retry_After="1")]
    pauses = []
    real = courier.Courier._pause
    monkeypatch.setattr(
        courier.Courier, "_pause", lambda self, s: (pauses.append(s), real(self, min(s, 0.05)))[1]
    )
    ship(to(elastic))
    until(lambda: elastic.texts == texts)
    assert 1.0 in pauses
    assert json.loads(json.dumps(elastic.answers)) == [503, 200]


def test_a_file_that_cannot_be_opened_now_is_not_passed_over(log, elastic, ship, monkeypatch):
    texts = log.say(3)
    log.cut()
    texts += log.say(3)
    refusals = [1, 2]
    real = files.opened

    def opened(folder, identity):
        if refusals and identity == files.identities(folder)[0]:
            refusals.pop()
            raise OSError(24, "Too many open files")
        return real(folder, identity)

    monkeypatch.setattr(files, "opened", opened)
    monkeypatch.setattr(courier.Backlog, "count", lambda *_: 0)
    told = []
    ship(to(elastic), told=told.append)
    until(lambda: elastic.texts == texts)
    assert any("Too many open files" in one for one in told)


@pytest.mark.parametrize("damage", ["cut", "garbled", "empty"])
def test_a_damaged_file_costs_only_what_is_damaged(damage, log, elastic, ship, tmp_path):
    first = log.say(400)
    identity = log.cut()
    packed = gzip.compress(files.plain(log.folder, identity).read_bytes())
    files.plain(log.folder, identity).unlink()
    ruined = {"cut": packed[: len(packed) // 2], "garbled": b"x" * len(packed), "empty": b""}
    files.closed(log.folder, identity).write_bytes(ruined[damage])
    Marker(tmp_path / "shipping", "elasticsearch").write(Reached(Place(identity, 1), 0))
    second = log.say(3)
    shipper = ship(to(elastic))
    until(lambda: set(second) <= set(elastic.texts))
    assert set(elastic.texts) <= {*first, *second}
    until(lambda: shipper.depth == 0)
