"""
Asking a network by ARP whether somebody has an address, before it is given to somebody else
(RFC 2131, section 2.2; RFC 5227).

One packet socket for each interface.  While nothing is asked the kernel lets nothing through to it,
so the chatter of a large network costs nothing.  What was found out is good for ``FRESH_S``: the
next addresses of a pool are asked for ahead, so that a rack that is switched on waits once.

A reply that is lost, in a flood of ARP above all, makes an address look free.  The client asks once
more (RFC 2131, section 3.1, step 5) and declines it.
"""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from netbootd.dhcp import arp, filters
from netbootd.errors import WireError
from netbootd.interfaces import Interface
from netbootd.mac import MAC
from netbootd.opener.client import packet_socket

log = logging.getLogger(__name__)

#: Seconds from a question until silence is an answer; the question is said again half way.
WAIT_S = 0.3
#: Seconds for which an answer, or silence, is remembered.
FRESH_S = 120.0
#: Addresses that are asked for at one time.
MOST_ASKED = 512
_MOST_KNOWN = 4096
_ONE_TURN = 256  # packets read before the reactor serves others
_ETH_P_ARP = 0x0806  # linux/if_ether.h
_EVERY_CARD = b"\xff" * 6


class _Known(NamedTuple):
    """What was found out *until* when it counts: the *card* that answered, None for silence."""

    until: float
    card: bytes | None


def open_prober(interface: str) -> socket.socket:
    """A packet socket that is given nothing yet; raises OSError."""
    opened = packet_socket()
    try:
        filters.attach(opened, filters.nothing())
        opened.bind((interface, _ETH_P_ARP))
    except OSError:
        opened.close()
        raise
    return opened


class Prober:
    """
    One packet socket, as the reactor reads it (IReadDescriptor).

    *interface* is replaced when its addresses change, and so is *host*, which says nothing here.
    """

    host: Collection[IPv4Address] = ()

    def __init__(self, descriptor: socket.socket, interface: Interface, reactor: Any) -> None:
        self.interface = interface
        self._socket = descriptor
        self._reactor = reactor
        self._asked: dict[IPv4Address, list[Callable[[], None]]] = {}
        self._known: OrderedDict[IPv4Address, _Known] = OrderedDict()
        self._timers: set[Any] = set()
        self.closed = False

    def seconds(self) -> float:
        """What the reactor's clock says."""
        return self._reactor.seconds()  # type: ignore[no-any-return]

    def silent(self, address: object) -> bool:
        """Whether *address* was asked for a moment ago, and nobody said that he has it."""
        known = self._of(address)
        return known is not None and known.card is None

    def holder(self, address: object) -> bytes | None:
        """The card that answered for *address* a moment ago."""
        known = self._of(address)
        return known.card if known else None

    def forget(self, address: object) -> None:
        """*address* has a holder now: what was found out is no longer so."""
        self._known.pop(address, None)  # type: ignore[call-overload]

    def ask(self, address: IPv4Address, then: Callable[[], None], *, urgent: bool = False) -> bool:
        """
        Call *then* once it is known who has *address*; False where too much is asked already.

        For what is *urgent* there is as much room again.
        """
        if self._of(address) is not None:
            then()
            return True
        if address in self._asked:
            self._asked[address].append(then)
            return True
        return self.ask_ahead([address], then, 2 * MOST_ASKED if urgent else MOST_ASKED)

    def ask_ahead(
        self,
        addresses: Iterable[IPv4Address],
        then: Callable[[], None] | None = None,
        most: int = MOST_ASKED,
    ) -> bool:
        """Find out about those of *addresses* that nothing is known of; False for too many."""
        new = [one for one in addresses if one not in self._asked and self._of(one) is None]
        del new[max(0, most - len(self._asked)) :]
        if not new:
            return False
        if not self._asked:
            self._let_in(filters.claims())
        self._asked.update((one, [then] if then else []) for one in new)
        self._say(new)
        self._after(WAIT_S / 2, self._say, new)
        self._after(WAIT_S, self._conclude, new)
        return True

    def _of(self, address: object) -> _Known | None:
        known = self._known.get(address)  # type: ignore[call-overload]
        if known is not None and known.until <= self._reactor.seconds():
            return None
        return known  # type: ignore[no-any-return]

    def _after(self, seconds: float, then: Callable[[list[IPv4Address]], None], of: Any) -> None:
        def due() -> None:
            self._timers.discard(timer)
            then(of)

        timer = self._reactor.callLater(seconds, due)
        self._timers.add(timer)

    def _say(self, addresses: list[IPv4Address]) -> None:
        """Ask for those that nobody answered for; a device that is down hears no question."""
        card = MAC.maybe(self.interface.mac or "")
        if card is None:
            return
        to = (self.interface.name, _ETH_P_ARP, 0, 0, _EVERY_CARD)
        for address in addresses:
            if address in self._asked and self._of(address) is None:
                try:
                    self._socket.sendto(arp.probe(address, bytes(card)), to)
                except OSError as problem:
                    log.debug("no ARP on %s: %s", self.interface.name, problem)
                    return

    def _conclude(self, addresses: list[IPv4Address]) -> None:
        """Silence is an answer, once what came while the reactor was busy has been heard."""
        self.doRead()
        for address in addresses:
            if self._of(address) is None:
                self._learn(address, None)
        waiting = [then for address in addresses for then in self._asked.pop(address, ())]
        if not self._asked:
            self._let_in(filters.nothing())
        for then in waiting:
            then()

    def _learn(self, address: IPv4Address, card: bytes | None) -> None:
        self._known[address] = _Known(self._reactor.seconds() + FRESH_S, card)
        self._known.move_to_end(address)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def _let_in(self, program: bytes) -> None:
        try:
            filters.attach(self._socket, program)
        except OSError as problem:
            log.warning("ARP on %s is not heard: %s", self.interface.name, problem)

    # -- as the reactor reads it ---------------------------------------------------------------

    def doRead(self) -> None:
        """Take what has arrived, up to a turn's worth."""
        for _ in range(_ONE_TURN):
            try:
                packet = self._socket.recv(64)
            except OSError:  # empty, or the device is going
                return
            self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        """Nothing that a packet holds can raise.  Who asks on gets the answer at once."""
        try:
            claim = arp.claim(packet)
        except WireError:
            return
        if claim is None or claim.address not in self._asked:
            return
        if self.interface.mac and claim.card == bytes(MAC.parse(self.interface.mac)):
            return
        self._learn(claim.address, claim.card)
        waiting, self._asked[claim.address] = self._asked[claim.address], []
        for then in waiting:
            then()

    def close(self) -> None:
        """Ask no more; who waits is called, and finds it *closed*.  Twice does no harm."""
        self.closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        waiting = [then for thens in self._asked.values() for then in thens]
        self._asked.clear()
        self._socket.close()
        for then in waiting:
            then()

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"ARP on {self.interface.name}"

    def connectionLost(self, reason: Any) -> None:
        """The device went down (packet(7), ENETDOWN): the same socket hears when it is up again."""
        if self.fileno() >= 0:
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # reading it clears it
            self._reactor.addReader(self)
