"""
Why a request gets no file: what is told to the client, and what to us.
"""

from __future__ import annotations

from netbootd.errors import Forbidden, NotFound, OptionRefused
from netbootd.tftp import wire


class NoRoomError(Exception):
    """A request not to be answered now; the text says what is used up."""


class RefusedError(Exception):
    """A request to be answered with an ERROR packet: *told* to the client, *reason* to us."""

    def __init__(self, code: wire.ErrorCode, reason: str, told: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.told = told or reason


def known_refusal(problem: Exception) -> RefusedError | None:
    """The ERROR for *problem*, None for a bug; the client is not told what our folders are like."""
    match problem:
        case RefusedError():
            return problem
        case NotFound():
            return RefusedError(wire.ErrorCode.NOT_FOUND, "not found", "file not found")
        case Forbidden():
            return RefusedError(wire.ErrorCode.ACCESS_VIOLATION, str(problem), "access violation")
        case OptionRefused():
            return RefusedError(wire.ErrorCode.OPTION_REFUSED, str(problem))
    return None
