"""
``GET /healthz``: whether netbootd can do its work, for load balancers and whoever restarts it.

200 as long as machines can boot: ``ok``, or ``degraded:`` and what is not as it should be, line by
line (a disk that does not take the record, a reload that was refused, a port of several that is
taken).  503 where they cannot, since something that is configured is not listened on at all.

No event: somebody asks every ten seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from netbootd.http.resource import Answer, text
from netbootd.printable import printable

_LONGEST = 500  # characters of a line


@dataclass(frozen=True, slots=True)
class Health:
    """*down* is what keeps machines from booting, *degraded* what else is wrong; texts."""

    down: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


def answer(health: Health) -> Answer:
    """*health* as a status for programs and lines for people."""
    lines = [f"down: {printable(one, _LONGEST)}" for one in health.down]
    lines += [f"degraded: {printable(one, _LONGEST)}" for one in health.degraded]
    status = HTTPStatus.SERVICE_UNAVAILABLE if health.down else HTTPStatus.OK
    return text(status, "\n".join([*lines, ""]) if lines else "ok\n")
