# mypy: allow-untyped-calls
"""
What is secret, between a request and the page that makes it: only a good claim gets through, and
once.  ``record.claims`` judges; here the kernel is asked who it is, what was judged is written to
disk before a byte leaves, and a second claimant freezes the machine.

::

    request -> seal_of: secret? -> the kernel's neighbour -> judge -> page -> on disk -> sent
                   |no                                        |No         |no     |       |
                 page                                        403         its own  503    arrived
                                                     Later: 503
                                                     Alarm: held, 403

A HEAD is judged and counts for nothing.  Nothing here is kept by a cache, compared or sent in part.
From when it is judged until its receipt ends, nobody else is given the same.
(The first line is for twisted.internet.threads, which has no annotations.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from twisted.internet.threads import deferToThread

from netbootd.answers import asks_for
from netbootd.api.no import No
from netbootd.boot.client import Stage
from netbootd.boot.history import provided
from netbootd.content import parts_of
from netbootd.errors import Forbidden, NotFound
from netbootd.events.event import Claimed, Contested, Refused
from netbootd.events.stream import Stream
from netbootd.http import answers
from netbootd.http.authority import given_by
from netbootd.http.bootscript import base_of
from netbootd.http.receipt import Receipt
from netbootd.http.resource import LATER, METHODS, NO_STORE, Answer, Asked, Part, Reply, no, refused
from netbootd.http.vms import Shelf
from netbootd.mac import MAC
from netbootd.neighbours import Tie, card_at
from netbootd.record import claims
from netbootd.record.claims import (
    MOST_BEGUN,
    SECOND,
    Alarm,
    Claim,
    Give,
    Later,
    Rules,
    Verdict,
    arrived,
    judge,
)
from netbootd.record.record import Record
from netbootd.record.standing import Standing, holds
from netbootd.registry import secrecy
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.rendering import SUFFIX
from netbootd.urls import Kind, Route

#: Conditions and parts mean nothing for what is given once.
_UNHEARD = frozenset(
    {"range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}
)
_TAKEN = "it is secret and has been claimed; the machine is held, the boot server's log says why"
_CONTESTED = "it is secret, and another card has this address at the moment; the log says which"


@dataclass(frozen=True, slots=True)
class Seal:
    """
    *what* is secret of *machine*, None if nobody knows whose it is; it is read *times* times.
    *named*: only for machines that are made to ask for it.
    """

    what: str
    machine: Machine | None
    times: int = 1
    named: bool = False


class Vault:
    """*events* are told of second claimants; *who_has* says which card has an address."""

    def __init__(self, record: Record, shelf: Shelf, events: Stream) -> None:
        self._record = record
        self._shelf = shelf
        self._events = events
        self._under_way: dict[tuple[str, int, str], Receipt] = {}
        self.who_has: Callable[[str], Tie] = card_at

    # -- what is secret ------------------------------------------------------------------------

    def seal_of(self, asked: Asked, route: Route, registry: Registry) -> Seal | None:
        """What *asked* wants is secret, or None; raises NotFound."""
        match route:
            case Route(kind=Kind.NODE_SCRIPT, mac=MAC() as mac):
                return self._made("script", self._running(asked, mac, registry), registry)
            case Route(kind=Kind.OVERLAY, mac=MAC() as mac):
                return self._made("overlay", self._running(asked, mac, registry), registry)
            case Route(kind=Kind.FILE):
                return self._file(asked, route, registry)
            case Route(kind=Kind.MACHINE_VMS | Kind.VMS) if asked.method in METHODS:
                return None if self._may_read(asked) else self._vms(asked, route, registry)
        return None

    def _may_read(self, asked: Asked) -> bool:
        """Whether it comes with an API token."""
        if not given_by(asked):
            return False
        try:
            self._shelf.authority.must_have_token(asked)
        except No:
            return False
        return True

    def _running(self, asked: Asked, mac: MAC, registry: Registry) -> Machine | None:
        """The machine *mac* with the target that it runs."""
        client = asked.client(Stage.HTTP_BOOT, mac)
        found = provided(client, registry, self._record, base_of(asked, registry))
        return found[0] if found else None

    @staticmethod
    def _made(what: str, machine: Machine | None, registry: Registry) -> Seal | None:
        sealed = machine is not None and secrecy.is_sealed(machine, registry)
        return Seal(what, machine) if sealed else None

    def _file(self, asked: Asked, route: Route, registry: Registry) -> Seal | None:
        path = "/".join(parts_of(route.path)).removesuffix(SUFFIX)
        secret = secrecy.secret_name(path, registry)
        if not secret and not answers.answers(route, registry):
            return None
        path = secret or path
        machine = answers.machine_of(asked, route, registry, self._record)
        if machine is not None and machine.mac is not None:
            machine = self._running(asked, machine.mac, registry)
            path = answers.meant(path, machine) if machine else path
        if not secrecy.is_secret_file(path, machine, registry):
            return None
        by_loader = machine is not None and path == secrecy.read_by_loader(machine.target)
        times = MOST_BEGUN if by_loader else machine.target.reads if machine else 1
        return Seal(path, machine, times, named=bool(secret))

    def _vms(self, asked: Asked, route: Route, registry: Registry) -> Seal | None:
        if route.mac is not None:
            return self._made("vms", self._running(asked, route.mac, registry), registry)
        vm = self._shelf.find(route.path.removesuffix(".json"), registry)
        if vm is None or not any(secrecy.is_secret_vm(name, registry) for name in vm.names):
            return None
        token = asked.query.get("token", "")
        users = (user for name in vm.names for user in secrecy.users_of(name, registry))
        whose = next((user for user in users if self._record.proven(user.key, token)), None)
        return Seal(f"vms/{vm.key}", whose)

    # -- giving it -----------------------------------------------------------------------------

    async def give(
        self, asked: Asked, seal: Seal, registry: Registry, page: Callable[[Asked], Reply]
    ) -> Answer:
        """What *page* answers, or why not."""
        machine = seal.machine
        given = self._given(asked, seal, machine) if machine else 0
        tie = await deferToThread(self.who_has, asked.peer)
        if machine is None:
            return self._refuse(asked, None, "it is secret, and nobody knows for whom it is asked")
        if self._record.unread:
            told = f"it is secret, and may have been given already: {self._record.unread}"
            return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, told, LATER, mac=machine.mac)
        verdict = self._judge(asked, seal, machine, tie, registry, given)
        if isinstance(verdict, Alarm) and asked.method != "HEAD":
            return await self._freeze(asked, machine, verdict.reason)
        if isinstance(verdict, Later):
            return self._put_off(asked, machine, verdict)
        if not isinstance(verdict, Give):
            return self._refuse(asked, machine, verdict.reason)
        if seal.named and not asks_for(seal.what, machine, registry):
            told = f"it is secret, and {machine.title}, which it boots, does not name it"
            return self._refuse(asked, machine, told)
        answer = self._made_by(page, asked, machine)
        if answer.status != HTTPStatus.OK or asked.method == "HEAD":
            return answer
        receipt = self._begin(seal, machine, verdict.standing)
        try:
            return await self._send(asked, machine, replace(answer, receipt=receipt))
        except BaseException:
            receipt.end(whole=False)
            raise

    def _judge(
        self, asked: Asked, seal: Seal, machine: Machine, tie: Tie, registry: Registry, given: int
    ) -> Verdict:
        """*given* is how often it had arrived when it was asked for."""
        settings, record = registry.config.secrets, self._record
        cards, own = secrecy.cards_of(machine), machine.address
        address = str(own) if own else None
        rules = Rules(cards, settings.window, seal.times, settings.armed, address)
        attempt = record.proven(machine.key, asked.query.get("token", ""))
        under_way = self._given(asked, seal, machine) > given or (
            attempt is not None and (machine.key, attempt.number, seal.what) in self._under_way
        )
        claim = Claim(seal.what, attempt, asked.peer, tie.card, tie.why, under_way)
        return judge(record.of(machine.key), claim, rules, record.now())

    def _given(self, asked: Asked, seal: Seal, machine: Machine) -> int:
        """How often it has arrived so far, after a look at what is on its way."""
        attempt = self._record.proven(machine.key, asked.query.get("token", ""))
        if attempt is None:
            return 0
        if before := self._under_way.get((machine.key, attempt.number, seal.what)):
            before.look()
            attempt = self._record.proven(machine.key, asked.query.get("token", "")) or attempt
        given = claims.of(attempt, seal.what)
        return given.whole if given else 0

    def _begin(self, seal: Seal, machine: Machine, standing: Standing) -> Receipt:
        """It leaves, and *standing* says so."""
        assert standing.latest is not None, "a claim is good for the last boot"
        key, number = machine.key, standing.latest.number
        self._record.put(key, standing, listed=machine.known)

        def ended(whole: bool) -> None:
            del self._under_way[key, number, seal.what]
            if whole:
                after = arrived(self._record.of(key), number, seal.what)
                self._record.put(key, after, listed=machine.known)

        receipt = self._under_way[key, number, seal.what] = Receipt(ended)
        return receipt

    @staticmethod
    def _made_by(page: Callable[[Asked], Reply], asked: Asked, machine: Machine) -> Answer:
        headers = {name: text for name, text in asked.headers.items() if name not in _UNHEARD}
        try:
            answer = page(replace(asked, headers=headers))
        except (NotFound, Forbidden):
            return refused(asked, HTTPStatus.NOT_FOUND, "no such file", mac=machine.mac)
        assert isinstance(answer, Answer), "no page of secrets takes its time"
        kind = {name: text for name, text in answer.headers.items() if name == "Content-Type"}
        return replace(answer, headers={**kind, **NO_STORE})

    async def _send(self, asked: Asked, machine: Machine, answer: Answer) -> Answer:
        """*answer*, once it is on disk that it leaves."""
        record, key = self._record, machine.key
        kept = record.settle is None or await deferToThread(record.settle)
        latest, held = record.of(key).latest, record.of(key).held
        if not kept or held or latest is None:
            if isinstance(answer.body, Part):
                answer.body.content.close()
            if answer.receipt is not None:
                answer.receipt.end(whole=False)
            if held:
                return self._refuse(
                    asked, machine, f"it is secret, and the machine is held: {held}"
                )
            told = "it is secret, and cannot be noted on disk as given: the state folder is broken"
            return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, told, LATER, mac=machine.mac)
        return answer

    async def _freeze(self, asked: Asked, machine: Machine, reason: str) -> Answer:
        record = self._record
        held = holds(record.of(machine.key), f"{SECOND}: {reason}")
        record.put(machine.key, held, listed=machine.known)
        self._events.publish(
            Claimed(mac=machine.mac, target=machine.title, peer=asked.peer, says=reason)
        )
        if record.settle is not None:
            await deferToThread(record.settle)
        return self._refuse(asked, machine, f"second claimant: {reason}", _TAKEN)

    @staticmethod
    def _put_off(asked: Asked, machine: Machine, verdict: Later) -> Answer:
        contested = isinstance(verdict, claims.Contested)
        kind = Contested if contested else Refused
        event = kind(
            mac=machine.mac,
            peer=asked.peer,
            protocol="HTTP",
            path=asked.path,
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            reason=verdict.reason,
        )
        return no(event, _CONTESTED if contested else verdict.reason, LATER)

    @staticmethod
    def _refuse(asked: Asked, machine: Machine | None, reason: str, words: str = "") -> Answer:
        mac = machine.mac if machine else None
        return refused(asked, HTTPStatus.FORBIDDEN, reason, mac=mac, words=words)
