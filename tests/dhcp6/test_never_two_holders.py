"""
Whatever clients ask for, in whatever order, with restarts between: no address has two holders.

A holder is who got a REPLY with a lifetime for it that is not over, and has neither released nor
declined it.  A restart loses what was not written down; a reply leaves after that.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd.dhcp6 import server
from netbootd.dhcp6.given import Given
from netbootd.dhcp6.message import MessageType as M
from netbootd.leases.lease import State
from netbootd.leases.table import Leases
from netbootd.mac import MAC

from .registries import FIRST, NODE, OUR_DUID, RESERVED, arrival, duid, registry, request

MACS = [NODE, *(MAC(b"\x52\x54\x00\0\0" + bytes((number,))) for number in range(6))]
ADDRESSES = [*(FIRST + number for number in range(4)), RESERVED]
KINDS = [M.SOLICIT, M.REQUEST, M.RENEW, M.REBIND, M.RELEASE, M.DECLINE]

asking = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(MACS),
    st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True),
    st.integers(0, 1),  # the association
    st.booleans(),  # whether its link-local address tells the card
)
steps = st.lists(st.one_of(asking, st.integers(1, 900), st.just("restart")), max_size=40)


class World:
    def __init__(self) -> None:
        self.registry = registry(macs=[NODE], ip6=str(RESERVED))
        self.leases = Leases()
        self.written = {}
        self.now = 1000.0
        self.holders = {}

    def restart(self) -> None:
        self.leases = Leases(sorted(self.written.values(), key=lambda lease: lease.until))

    def wait(self, seconds: int) -> None:
        self.now += seconds
        for lease in self.leases.expire(self.now):
            self.written[lease.address] = lease

    def ask(self, kind, mac, addresses, iaid, plain) -> None:
        message = request(kind, *addresses, who=duid(mac), iaid=iaid)
        came = arrival(mac if plain else None)
        answer = server.answer(
            message, came, self.registry, self.leases, duid=OUR_DUID, now=self.now
        )
        if not isinstance(answer, Given):
            return
        for lease in answer.write:
            assert lease.state is not State.OFFERED
            self.written[lease.address] = lease
        who = (mac, None if plain else iaid)
        if kind in (M.RELEASE, M.DECLINE):
            for lease in answer.write:
                self.holders.pop(lease.address, None)
        elif answer.reply.type == M.REPLY:
            self.take(who, answer)

    @staticmethod
    def one_card(holder, who) -> bool:
        """Firmware shows its card, and the system after it perhaps does not."""
        return holder[0] == who[0] and None in (holder[1], who[1])

    def take(self, who, answer: Given) -> None:
        for one in answer.reply.associations:
            for address, (_, valid) in zip(one.addresses, one.lifetimes, strict=True):
                holder, until = self.holders.get(address, (None, 0.0))
                if not valid:
                    if holder == who:
                        del self.holders[address]
                    continue
                same = holder in (None, who) or self.one_card(holder, who)
                assert same or until <= self.now, f"{address}: {holder} and {who}"
                self.holders[address] = (who, self.now + valid)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_no_address_has_two_holders(asked):
    world = World()
    for step in asked:
        if step == "restart":
            world.restart()
        elif isinstance(step, int):
            world.wait(step)
        else:
            world.ask(*step)
