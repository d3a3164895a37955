"""Leases as the desk has them, in memory alone; its clock runs beside that of the wall."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from twisted.internet.defer import fail, succeed

from netbootd.leases.lease import Lease, State
from netbootd.mac import MAC


class LeaseBook:
    """``full`` is a disk on which nothing can be written."""

    def __init__(self, now, behind=1_699_999_000.0):
        self._now = now
        self._behind = behind
        self._by_address = {}
        self._listeners = []
        self.pools = ()
        self.others = ()
        self.trouble = ""
        self.full = False
        self.released = []

    def clock(self):
        return self._now() - self._behind

    def items(self):
        return tuple(self._by_address.values())

    def usage(self):
        return self.pools

    def foreign(self):
        return self.others

    def release(self, address, who):
        if self.full:
            return fail(OSError(28, "No space left on device"))
        lease = self._by_address.get(address)
        if lease is None or lease.state is State.FREE:
            return succeed(None)
        self.put(replace(lease, state=State.FREE))
        self.released.append((str(address), who))
        return succeed(lease)

    def subscribe(self, callback):
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def put(self, lease):
        self._by_address[lease.address] = lease
        for listener in list(self._listeners):
            listener(lease)

    def give(self, address, mac="", *, seconds=3600, state=State.LEASED, **facts):
        """A lease from now on."""
        now, card = self.clock(), MAC.parse(mac) if mac else None
        facts = {"key": mac or "id:00", "port": "eth1", **facts}
        times = {"since": now, "until": now + seconds}
        self.put(Lease(address=ip_address(address), state=state, mac=card, **times, **facts))
