"""
Hooks that wait for each other, in a queue that has an end.

Of one thing, a machine or an address, they are told in order; one whose hook hangs keeps only its
own waiting.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from netbootd.hooks.hook import Hook

MOST_OF_ONE = 100  # that wait about the same: one whose hooks hang takes nobody else's room


@dataclass(slots=True)
class Lane:
    """
    Hooks that wait for each other: *at_once* hook, *most* wait, *dropped* had no room.

    *quiet*: that one is done is no news.  *of_one* counts those that wait, by what they are about.
    """

    at_once: int
    most: int
    quiet: bool = False
    waiting: deque[Hook] = field(default_factory=deque)
    running: list[Hook] = field(default_factory=list)
    dropped: int = 0
    of_one: Counter[str] = field(default_factory=Counter)

    def has_room_for(self, hook: Hook) -> bool:
        """Whether *hook* need not wait."""
        return len(self.running) < self.at_once and hook.about not in self._busy()

    def put_off(self, hook: Hook) -> str:
        """Have *hook* wait; why not, where too many do."""
        if len(self.waiting) >= self.most:
            return f"{self.most} wait already"
        if self.of_one[hook.about] >= MOST_OF_ONE:
            return f"{MOST_OF_ONE} about {hook.about} wait already"
        self.waiting.append(hook)
        self.of_one[hook.about] += 1
        return ""

    def next(self) -> Hook | None:
        """Take the first of those that wait for no other of their own."""
        busy = self._busy()
        ready = next((hook for hook in self.waiting if hook.about not in busy), None)
        if ready is not None:
            self.waiting.remove(ready)
            self.of_one[ready.about] -= 1
            if not self.of_one[ready.about]:
                del self.of_one[ready.about]
        return ready

    def _busy(self) -> set[str]:
        return {hook.about for hook in self.running}
