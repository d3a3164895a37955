"""The stream of events: what is told, to whom, how often, and when somebody is cut off."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from netbootd.boots.boot import Boot, Outcome, Stage, Step
from netbootd.events.progress import Progress
from netbootd.http.eventstream import MOST_OVER_TCP
from netbootd.http.listener import MOST_HELD
from netbootd.logbook.line import Filing, Line, Source
from netbootd.mac import MAC
from netbootd.record.standing import FRESH, holds

from .rig import TOKEN

N1, TWIN = "52:54:00:12:34:56", "52:54:00:12:34:57"


class Listening:
    """One open stream; ``events`` gives what has come since the last time."""

    def __init__(self, rig, query="", *, local=False, **headers):
        if not local:
            headers.setdefault("Authorization", f"Bearer {TOKEN}")
        sent = rig.send("GET", f"/api/v1/events{query}", b"", headers, local=local)
        self.channel, self.transport = sent
        self.head, _, rest = self.transport.value().partition(b"\r\n\r\n")
        self.transport.clear()
        self._first = rest

    @property
    def status(self):
        return int(self.head.split()[1])

    def raw(self):
        """The text of the stream, out of its chunks (RFC 9112, 7.1)."""
        rest, text = self._first + self.transport.value(), b""
        self._first = b""
        self.transport.clear()
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            text += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return text.decode()

    def events(self, *names):
        found = []
        for block in self.raw().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
            if "event" in fields and (not names or fields["event"] in names):
                found.append((fields["event"], json.loads(fields["data"])))
        return found


class Book:
    """Lines that come, to whoever listens."""

    def __init__(self):
        self.callbacks = []

    def subscribe(self, callback):
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def put(self, line):
        for callback in list(self.callbacks):
            callback(line)


def boot(rig, key=N1, number=1, **said):
    step = Step(stage=Stage.SCRIPT, at=rig.now, until=rig.now)
    made = Boot(number=number, key=key, macs=(key,), began=rig.now, last=rig.now, steps=(step,))
    return replace(made, **said)


def tell(rig, *boots):
    for one in boots:
        rig.chronicle._follower.remember(one)
    rig.chronicle._tell(list(boots))


def ticks(rig, seconds=0.5):
    for _ in range(round(seconds / 0.05)):
        rig.reactor.advance(0.05)


def line(key, text="panic"):
    return Line(
        source=Source.NETCONSOLE, received=1.0, at=1.0, text=text, filing=Filing(key=key, name="n1")
    )


# -- what is told ----------------------------------------------------------------------------------


def test_a_stream_begins_with_how_the_daemon_is(rig):
    listening = Listening(rig)
    assert listening.status == 200
    assert b"text/event-stream" in listening.head
    ((name, told),) = listening.events()
    assert name == "status"
    assert told["generation"] == 1


def test_a_boot_that_changes_is_told_as_the_line_of_its_machine(rig):
    listening = Listening(rig)
    tell(rig, boot(rig))
    ticks(rig)
    ((_, told),) = listening.events("machine")
    assert (told["key"], told["state"], told["reached"]) == (N1, "booting", "script")
    assert listening.events() == []


def test_a_machine_is_told_of_at_most_twice_a_second(rig):
    listening = Listening(rig)
    for number in range(200):
        tell(rig, boot(rig, number=number))
        ticks(rig, 0.05)
    assert 10 <= len(listening.events("machine")) <= 20


def test_hundreds_of_machines_are_told_of_a_few_at_a_time(make_rig):
    macs = [f"52:54:00:12:40:{n:02x}" for n in range(200)]
    rig = make_rig(
        machines="".join(f'"{mac}" : {{ "type" : "nfs", "name" : "a" }},' for mac in macs)
    )
    listening = Listening(rig)
    tell(rig, *(boot(rig, mac) for mac in macs))
    rig.reactor.advance(0.25)
    assert len(listening.events("machine")) == 40
    ticks(rig)
    assert len(listening.events("machine")) == 160


def test_an_order_and_a_hold_are_told(rig):
    listening = Listening(rig)
    rig.ask("PUT", "/machines/n1/next", {"target": "nfs/a"})
    ticks(rig)
    ((_, told),) = listening.events("machine")
    assert told["armed"]["target"] == "nfs/a"
    rig.live.record.put(N1, holds(FRESH, "a circle"))
    ticks(rig)
    ((_, told),) = listening.events("machine")
    assert told["state"] == "held"


def test_that_nothing_comes_any_more_is_told_as_well(rig):
    listening = Listening(rig)
    tell(rig, boot(rig))
    ticks(rig)
    listening.events()
    rig.now += 3600
    ticks(rig, 6)
    ((_, told),) = listening.events("machine")
    assert told["state"] == "stuck"


def test_who_listens_to_one_machine_hears_of_that_alone_and_more_of_it(rig):
    rig.desk.logs = Book()
    one, every = Listening(rig, "?machine=n1"), Listening(rig)
    tell(rig, boot(rig), boot(rig, TWIN, 2))
    rig.desk.logs.put(line(N1))
    rig.desk.logs.put(line(TWIN))
    ticks(rig)
    assert [(name, told["key"]) for name, told in one.events("machine", "boot")] == [
        ("machine", N1),
        ("boot", N1),
    ]
    assert [told["key"] for _, told in every.events("machine", "boot", "log")] == [N1, TWIN]


def test_lines_of_a_machine_come_at_once(rig):
    rig.desk.logs = Book()
    listening = Listening(rig, "?machine=n1&topics=logs")
    rig.desk.logs.put(line(N1, "Oops: \x1b[31m\n\u2028 ärger"))
    rig.desk.logs.put(line(TWIN))
    ((name, told),) = listening.events()
    assert name == "log"
    assert told["message"] == "Oops: \x1b[31m\n\u2028 ärger"
    assert told["netbootd"]["machine"] == N1


def test_only_the_topics_that_are_asked_for_are_told(rig):
    listening = Listening(rig, "?topics=status")
    tell(rig, boot(rig))
    rig.ask("POST", "/reload")
    ticks(rig)
    assert {name for name, _ in listening.events()} == {"status", "reload"}


def test_a_reload_and_its_refusal_are_told(rig):
    listening = Listening(rig, "?topics=status")
    ticks(rig)
    listening.events()
    rig.file.write_text("{")
    rig.ask("POST", "/reload")
    ticks(rig)
    ((_, told),) = listening.events("reload")
    assert told["generation"] == 1
    assert told["refused"][0]["code"] == "json-syntax"


def test_transfers_are_told_each_second_and_their_end_once(rig):
    running = []
    rig.desk.transfers = lambda: running
    listening = Listening(rig, "?topics=transfers")
    ticks(rig, 3)
    assert listening.events() == []
    one = Progress(
        protocol="TFTP", path="k", peer="p", mac=MAC.parse(N1), size=9, sent=3, began=rig.now
    )
    running.append(one)
    ticks(rig, 3)
    told = listening.events()
    assert 2 <= len(told) <= 4
    assert told[0][1]["transfers"][0]["key"] == N1
    running.clear()
    ticks(rig, 4)
    assert listening.events() == [("transfers", {"total": 0, "transfers": []})]


def test_of_very_many_transfers_those_furthest_behind_are_told_and_all_counted(rig):
    running = [
        Progress(protocol="HTTP", path=f"{n}", peer="p", mac=None, size=2000, sent=n, began=rig.now)
        for n in reversed(range(1500))
    ]
    rig.desk.transfers = lambda: running
    listening = Listening(rig, "?topics=transfers")
    ticks(rig, 3)
    told = listening.events()[0][1]
    assert told["total"] == 1500
    assert [one["sent"] for one in told["transfers"]] == list(range(200))


def test_silence_is_broken_now_and_then(rig):
    listening = Listening(rig)
    listening.raw()
    ticks(rig, 31)
    assert listening.raw().count(": still here\n\n") == 2


def test_what_nobody_listens_to_is_not_collected(rig):
    listening = Listening(rig)
    listening.channel.connectionLost(Failure(ConnectionDone()))
    ticks(rig)
    tell(rig, boot(rig))
    assert len(rig.api.streams) == 0
    assert not rig.api.streams._changed
    assert not rig.reactor.getDelayedCalls() or all(
        "_each_tick" not in str(call) for call in rig.reactor.getDelayedCalls()
    )


def test_a_machine_that_nobody_knows_has_no_stream(rig):
    listening = Listening(rig, "?machine=nobody")
    assert listening.status == 404


# -- who does not read -----------------------------------------------------------------------------


def test_who_does_not_read_is_held_back_and_gets_all_when_it_reads_again(rig):
    rig.desk.logs = Book()
    listening = Listening(rig, "?machine=n1&topics=logs")
    listening.channel.pauseProducing()
    for number in range(50):
        rig.desk.logs.put(line(N1, str(number)))
    assert listening.events() == []
    listening.channel.resumeProducing()
    assert [told["message"] for _, told in listening.events()] == [str(n) for n in range(50)]


def test_who_never_reads_is_cut_off_and_nobody_else_is(rig):
    rig.desk.logs = Book()
    deaf, awake = (Listening(rig, "?machine=n1&topics=logs") for _ in range(2))
    deaf.channel.pauseProducing()
    for _ in range(MOST_HELD // 1000):
        rig.desk.logs.put(line(N1, "x" * 1000))
    assert deaf.transport.disconnected or deaf.transport.disconnecting or deaf.transport.aborting
    assert deaf.transport.value() == b""
    assert len(rig.api.streams) == 1
    rig.desk.logs.put(line(N1, "more"))
    assert awake.events()[-1][1]["message"] == "more"


def test_who_reads_nothing_for_a_minute_is_cut_off_though_little_is_said(rig):
    """A window of zero would hold a place for ever."""
    deaf, awake = (Listening(rig, "?topics=logs") for _ in range(2))
    deaf.channel.pauseProducing()
    for _ in range(90 * 4):
        rig.reactor.advance(0.25)
    assert deaf.transport.disconnected or deaf.transport.disconnecting or deaf.transport.aborting
    assert not awake.transport.disconnecting
    assert not awake.transport.disconnected
    assert len(rig.api.streams) == 1


def test_streams_over_tcp_are_bounded_and_those_of_the_socket_are_not_taken_from(rig):
    for _ in range(MOST_OVER_TCP):
        assert Listening(rig).status == 200
    refused = Listening(rig)
    assert refused.status == 503
    assert b"Retry-After" in refused.head
    assert Listening(rig, local=True).status == 200


def test_a_stream_ends_with_its_session(rig):
    cookie = rig.ask("POST", "/session").headers["set-cookie"].partition(";")[0]
    sent = rig.send("GET", "/api/v1/events", b"", {"Cookie": cookie}, local=False)
    assert sent[1].value().startswith(b"HTTP/1.1 200")
    rig.raw("DELETE", "/session", Cookie=cookie, X_Requested_With="netbootd")
    ticks(rig, 16)
    assert sent[1].value().endswith(b"0\r\n\r\n")
    assert len(rig.api.streams) == 0


@pytest.mark.parametrize("by", ["token", "session"])
def test_a_stream_ends_with_the_token_that_opened_it(rig, by):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if by == "session":
        opened = rig.ask("POST", "/session").headers["set-cookie"]
        headers = {"Cookie": opened.partition(";")[0]}
    _, transport = rig.send("GET", "/api/v1/events", b"", headers, local=False)
    ticks(rig, 16)
    assert len(rig.api.streams) == 1
    rig.use_token("another")
    ticks(rig, 16)
    assert transport.value().endswith(b"0\r\n\r\n")
    assert len(rig.api.streams) == 0


def test_streams_over_the_network_end_when_the_page_is_switched_off(rig):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    _, transport = rig.send("GET", "/api/v1/events", b"", headers, local=False)
    rig.send("GET", "/api/v1/events", b"", {}, local=True)
    rig.file.write_text(
        rig.file.read_text().replace('"files" : "files"', '"files" : "files", "web" : false')
    )
    rig.local("POST", "/reload", {})
    ticks(rig, 16)
    assert transport.value().endswith(b"0\r\n\r\n")
    assert len(rig.api.streams) == 1


def test_all_streams_end_when_the_daemon_stops(rig):
    listening = [Listening(rig) for _ in range(3)]
    rig.api.stop()
    assert all(one.transport.value().endswith(b"0\r\n\r\n") for one in listening)


def test_head_has_no_stream(rig):
    done = rig.ask("HEAD", "/events")
    assert (done.status, done.body) == (200, b"")
    assert len(rig.api.streams) == 0


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
def test_the_end_of_a_boot_is_told(rig, outcome):
    listening = Listening(rig)
    tell(rig, boot(rig, outcome=outcome))
    ticks(rig)
    ((_, told),) = listening.events("machine")
    assert told["state"] == {"done": "up", "failed": "failed"}[outcome]
