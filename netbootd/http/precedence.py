"""
Small answers go before large files, also where both want the same processor.

A thread's priority would do it, too, but sandboxes forbid to change one, as that of our unit does.
So the thread that sends bodies asks before each of its turns whether the reactor has something to
read that it has not come to, and rests then: half of the processor would be its own otherwise.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

#: Seconds of the first rest, and how many there are at most, each twice as long as the last.  A
#: reactor that has soon done is not waited for; one that never has leaves a tenth to files.
FIRST_REST_S = 0.0001
RESTS = 6


def giving_way(reactor: Any, sleep: Callable[[float], None] = time.sleep) -> Callable[[], None]:
    """
    What another thread calls to let *reactor* go first, for a few milliseconds at most.

    An epoll can itself be polled (epoll(7)).  A reactor that has none is not waited for.
    """
    epoll = getattr(reactor, "_poller", None)  # Twisted has no other name for it
    if not isinstance(epoll, select.epoll):
        return lambda: None
    waiting = select.poll()
    waiting.register(epoll.fileno(), select.POLLIN)

    def give_way() -> None:
        for number in range(RESTS):
            if not waiting.poll(0):
                return
            sleep(FIRST_REST_S * (1 << number))

    return give_way
