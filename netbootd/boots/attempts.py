"""
Which boot a sign belongs to, and what comes of the one before when another begins.

A script alone may have been looked at by somebody with a browser.  So a boot that begins with one
that no loader asked for is hidden, and has no number, until something follows that only a machine
does.  Pure, and bounded: the hidden one that changed longest ago is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from netbootd.boots.altered import altered
from netbootd.boots.begins import Sign, goes_on, has_script, is_again
from netbootd.boots.boot import Boot, Outcome
from netbootd.boots.identity import MOST_CARDS, Identities
from netbootd.boots.shelf import Shelf
from netbootd.boots.turn import Outside, Turn

_MOST_HIDDEN = 1024


class Attempts:
    """The boots on the shelf, and those that are hidden."""

    def __init__(self, outside: Outside, identities: Identities) -> None:
        self.shelf = Shelf()
        self._outside = outside
        self._identities = identities
        self._hidden: OrderedDict[str, Boot] = OrderedDict()

    def current(self, turn: Turn, sign: Sign = Sign.LATER, *, note: str = "") -> Boot | None:
        """The boot that is on and that *sign* belongs to; *note* is what firmware says it is."""
        for boots in (self._hidden, self.shelf.latest):
            boot = boots.get(turn.key)
            if boot is not None and goes_on(boot, sign, turn.now, mac=turn.mac, note=note):
                return boot
        return None

    def last(self, key: str) -> Boot | None:
        """The last boot of *key*, hidden or not, whether it is on or over."""
        return self._hidden.get(key) or self.shelf.latest.get(key)

    def with_script(self, key: str) -> Boot | None:
        """The last one that got a script; the machine may have begun another already."""
        boots = (self._hidden.get(key), *self.shelf.recent(key))
        return next((boot for boot in boots if boot and has_script(boot)), None)

    def keep(self, boot: Boot, turn: Turn, *, hidden: bool = False, **more: Any) -> list[Boot]:
        """
        *boot* with *more* changed; all boots that have changed by it.

        *hidden*: nobody but its machine need have done this.
        """
        macs = boot.macs
        if turn.mac and turn.mac not in macs and len(macs) < MOST_CARDS:
            macs = (*macs, turn.mac)
        number = boot.number or (0 if hidden else self._outside.number())
        changed = altered(
            boot,
            number=number,
            macs=macs,
            uuid=turn.uuid or boot.uuid,
            generation=turn.generation,
            last=max(boot.last, turn.now),
            **more,
        )
        if not number:
            self._hide(changed)
            return []
        if not boot.number:
            return self._show(changed, turn)
        self.shelf.put(changed, known=turn.known)
        return [changed]

    def put(self, boot: Boot) -> list[Boot]:
        """*boot*, which was shown before, as it is now."""
        self.shelf.put(boot, known=self.shelf.is_listed(boot.key))
        return [boot]

    def rename(self, old: str, new: str) -> None:
        """The machine *old* is called *new* now; the boots of both are its."""
        boots = [*self.shelf.take(old), *self.shelf.take(new)]
        for boot in sorted(boots, key=lambda boot: boot.number):
            self.shelf.put(altered(boot, key=new))
        self._hidden.pop(old, None)

    def _hide(self, boot: Boot) -> None:
        self._hidden[boot.key] = boot
        self._hidden.move_to_end(boot.key)
        if len(self._hidden) > _MOST_HIDDEN:
            self._hidden.popitem(last=False)

    def _show(self, boot: Boot, turn: Turn) -> list[Boot]:
        """A boot that is new; with it the one before is over."""
        changed = []
        self._hidden.pop(turn.key, None)
        self._identities.learn(boot.peer, turn)
        before = self.shelf.latest.get(turn.key)
        if before is not None:
            reports = self._outside.reports(before.target)
            if is_again(before, boot.began, reports):
                changed.append(altered(before, outcome=Outcome.AGAIN))
        changed.append(boot)
        for one in changed:
            self.shelf.put(one, known=turn.known)
        return changed
