"""
What the world is told of a request that came in by DHCPv6 and named no boot file.

A machine that boots is told of in the words of DHCP, whatever the family: its timeline is one.
"""

from __future__ import annotations

from netbootd.boot.decision import Decision, Refusal
from netbootd.dhcp6 import boot
from netbootd.dhcp6.given import Arrival, Ignored
from netbootd.dhcp6.message import Message
from netbootd.events.event import Event, Loaderless, Passed, Unserved

#: Characters kept of a client's own words.
LONGEST = 255


def ignored(request: Message, arrival: Arrival, answer: Ignored) -> Event:
    """The event of what was not answered."""
    if answer.unserved:
        return unserved(request, arrival, answer.reason, answer.code, answer.decision)
    return Passed(
        mac=boot.mac_of(request, arrival.source),
        peer=str(arrival.source),
        protocol="DHCPv6",
        reason=answer.reason,
    )


def unserved(
    request: Message, arrival: Arrival, reason: str, code: str, decision: Decision | None
) -> Unserved:
    """A netboot client was told no boot file."""
    step = decision.step if decision else None
    machine = decision.machine if decision else None
    stage = boot.stage_of(request)
    kind = Loaderless if isinstance(step, Refusal) and step.missing else Unserved
    return kind(
        mac=boot.mac_of(request, arrival.source),
        target=machine.title if machine else "",
        peer=str(arrival.source),
        protocol="DHCP",
        reason=reason,
        code=code,
        stage=stage.value if stage else "",
        interface=arrival.interface,
        arch=str(request.arch or ""),
        vendor_class=next(iter(request.vendor_classes), "")[:LONGEST],
        relay=str(arrival.source) if request.relays else "",
    )
