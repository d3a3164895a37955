"""
How long a transfer waits for an answer before it sends again.  Pure; all times in seconds.

Four smoothed round trips, as RFC 6298 smooths them but without the variance; the wait doubles with
each repetition.  After six it pauses for longer than clients wait: atftp answers a duplicate once,
begins its own 5 s anew with each further one, and would wait for ever for us to be quiet.
"""

from __future__ import annotations

#: Longer than the way round the earth, and than a busy host takes to begin: at a second OACK atftp
#: and tftpy give up, and curl goes back to block 0.
FIRST_WAIT_S = 0.5
_SHORTEST_WAIT_S = 0.02  # at 3 % loss lock step is 2.5 times as fast as with 50 ms
_LONGEST_WAIT_S = 4.0
_REPETITIONS = 6  # one after the other, before a pause
_PAUSE_S = 6.0  # atftp and tftp clients wait 5 s, firmware 4 to 6
_ROUND_TRIPS_WAITED = 4
_SAMPLE_WEIGHT = 1 / 8


class Pace:
    """
    The waits of one transfer.

    A client that named a ``timeout`` (RFC 2349) is not kept waiting longer than that, but for the
    pause, which must be longer than its own timer.
    """

    __slots__ = (
        "_longest_s",
        "_pause_s",
        "_repetitions",
        "_round_trip_s",
        "shortest_trip_s",
        "wait_s",
    )

    def __init__(self, timeout_s: int | None) -> None:
        self._longest_s = min(_LONGEST_WAIT_S, timeout_s or _LONGEST_WAIT_S)
        self._pause_s = min(timeout_s + 1.0, _PAUSE_S) if timeout_s else _PAUSE_S
        self._round_trip_s: float | None = None
        #: The shortest round trip seen: what comes sooner is no answer to what was just sent.
        self.shortest_trip_s = 0.0
        self.begin()

    def begin(self) -> None:
        """Nothing is known yet of how fast the client answers."""
        self._repetitions = 0
        self.wait_s = FIRST_WAIT_S

    def answered(self) -> None:
        """The client confirmed something."""
        self._repetitions = 0

    def sample(self, seconds: float) -> float:
        """A round trip took *seconds*; not to be told of what was sent twice (Karn).  The wait."""
        smoothed = self._round_trip_s
        if smoothed is None:
            smoothed = self.shortest_trip_s = seconds
        elif seconds < self.shortest_trip_s:
            self.shortest_trip_s = seconds
        self._round_trip_s = smoothed = smoothed + (seconds - smoothed) * _SAMPLE_WEIGHT
        wait_s = smoothed * _ROUND_TRIPS_WAITED  # as settle has it: this is done for each ACK
        most_s = self._longest_s if wait_s > self._longest_s else wait_s
        self.wait_s = most_s = most_s if most_s > _SHORTEST_WAIT_S else _SHORTEST_WAIT_S
        return most_s

    def settle(self) -> None:
        """Wait by the round trip again, however far the wait has grown."""
        if self._round_trip_s is not None:
            wait_s = max(self._round_trip_s * _ROUND_TRIPS_WAITED, _SHORTEST_WAIT_S)
            self.wait_s = min(wait_s, self._longest_s)

    def back_off(self) -> float:
        """The wait after a repetition."""
        self._repetitions += 1
        self.wait_s = min(self.wait_s * 2, self._longest_s)
        return self._pause_s if self._repetitions >= _REPETITIONS else self.wait_s
