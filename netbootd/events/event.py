"""
What can happen to a machine, as frozen values; published once, at the edge where it happened.

An event prints as its log line: the machine first, then what, then where.  Plain values only: this
room knows no protocol's types.  Text that came from the wire is escaped where it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from netbootd.mac import MAC
from netbootd.printable import printable

_NOT_MODIFIED = 304  # RFC 9110, 15.4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    The common part: who, and from where.

    *target* is ``type/name``, empty for a machine nobody knows; *peer* the address it used;
    *asker* who it is that is no machine and has neither.
    """

    level: ClassVar[str] = "info"
    kind: ClassVar[str] = "event"
    """Its name, for counters."""

    mac: MAC | None = None
    target: str = ""
    peer: str = ""
    asker: str = ""

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__.lower()

    @property
    def who(self) -> str:
        """The machine as log lines begin: ``00:25:90:27:db:b4 (nfs/Centos6.2_x64)``."""
        known = f" ({printable(self.target)})" if self.target else ""
        return f"{self.mac or self.peer or self.asker or 'somebody'}{known}"

    def __str__(self) -> str:
        return f"{self.who} {self.what}"

    @property
    def what(self) -> str:
        """The rest of the log line."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Event):
    """Bytes that are no packet of the protocol, or a packet we could not send."""

    level: ClassVar[str] = "debug"
    protocol: str
    reason: str

    @property
    def what(self) -> str:
        return f"{self.protocol} packet dropped: {printable(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed(Event):
    """More came by *protocol* than could be looked at: *count* packets were turned away."""

    level: ClassVar[str] = "warn"
    protocol: str
    count: int

    @property
    def who(self) -> str:
        return self.protocol

    @property
    def what(self) -> str:
        return (
            f"is flooded: {self.count} requests of unknown or too busy addresses were turned away"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed(Event):
    """A packet that was understood and deliberately left unanswered."""

    level: ClassVar[str] = "debug"
    protocol: str
    reason: str

    @property
    def what(self) -> str:
        return f"{self.protocol} request not answered: {printable(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved(Passed):
    """
    A netboot client that got no answer: somebody will ask why.

    *code* is the reason for programs: ``unknown``, ``subnet``, ``no-loader``,
    ``relay`` (it came through one that does not say so), ``proxyless`` (firmware that heeds no
    proxy), ``no-arch``, ``reserved`` (its MAC is nobody's), ``boot-server``, ``credentials``,
    ``unsent``; of TFTP ``no-room``.  *arch*, *stage*, *vendor_class* and *relay* are the client's,
    as in Offered, each empty where it is not known.  *answered*: it got an answer, such as an
    address, and no boot file.
    """

    level: ClassVar[str] = "info"
    code: str = ""
    stage: str = ""
    interface: str = ""
    arch: str = ""
    vendor_class: str = ""
    relay: str = ""
    answered: bool = False

    @property
    def what(self) -> str:
        return f"{self._came} {printable(self.reason)}"

    @property
    def _came(self) -> str:
        return "got no boot file:" if self.answered else f"{self.protocol} request not answered:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaderless(Unserved):
    """A netboot client that got no answer because a file is missing here: the reason is long."""

    level: ClassVar[str] = "error"

    @property
    def what(self) -> str:
        return f"{self._came} {printable(self.reason, 800)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered(Event):
    """
    A boot file or script was named to a client; *message* is ``offered`` or ``acknowledged``,
    *style* the reply style of an offer.  *warning* is what may go wrong all the same.  *stage* is
    the client's: ``firmware``, ``HTTP boot`` or ``iPXE``, *vendor_class* what it calls itself
    (option 60).  *relay* is the address of the relay that it came through, if it did.
    """

    arch: str
    file: str
    server: str
    interface: str
    message: str = "offered"
    because: str = ""
    style: str = ""
    warning: str = ""
    stage: str = "firmware"
    vendor_class: str = ""
    relay: str = ""

    @property
    def level(self) -> str:  # type: ignore[override]
        """By whether it will do."""
        return "warn" if self.warning else "info"

    @property
    def what(self) -> str:
        but = f", but {printable(self.warning)}" if self.warning else ""
        return (
            f"{self.arch} {self.message} {printable(self.file)} "
            f"from {self.server} on {self.interface}{but}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Restyled(Event):
    """
    An offer in style *before* was not followed: neither a file nor port 4011 was asked for after
    it.  *style* is the next; *again*: all of them were tried, and only the DHCP server can help, by
    naming *server* and *file*.
    """

    before: str
    style: str
    again: bool = False
    server: str = ""
    file: str = ""

    @property
    def level(self) -> str:  # type: ignore[override]
        """A firmware that follows none of them says so at every boot: once is enough to look."""
        return "info" if self.again else "warn"

    @property
    def what(self) -> str:
        told = f"got an offer in style {self.before}, and nothing followed; trying {self.style}"
        if not self.again:
            return told
        return (
            f"{told} again: none was followed so far, so let the DHCP server that gives it its "
            f"address name the boot file (next-server {self.server}, file {printable(self.file)})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleFound(Event):
    """A reply style was followed, and is what machines of the same *like* begin with now."""

    style: str
    like: str
    first: str = ""

    @property
    def level(self) -> str:  # type: ignore[override]
        """The usual style is no news for a quiet day's log."""
        return "debug" if self.style == self.first else "info"

    @property
    def what(self) -> str:
        other = f" (and not {self.first})" if self.first != self.style else ""
        return f"follows offers in style {self.style}{other}: so begin all like {self.like}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Event):
    """A TFTP transfer ended well; *size* in bytes, *seconds* of wall time, *resent* in blocks."""

    path: str
    size: int
    seconds: float
    resent: int = 0

    @property
    def what(self) -> str:
        again = f", {self.resent} blocks sent again" if self.resent else ""
        return (
            f"fetched {printable(self.path)} by TFTP, "
            f"{self.size} bytes in {self.seconds:.2f} s{again}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEnded(Event):
    """
    A TFTP transfer that did not complete, such as the size probe every firmware makes.

    *end* is the name of a ``tftp.outcome.End`` in lower case (``unheard``, ``lost``, ``aborted``
    …); *acked* of *size* bytes were acknowledged, in blocks of *blksize*, within *seconds*.  *size*
    is 0 where it is not known.  *oack*: options were granted; *confirmed*: the client acknowledged
    these, or a block.  So one that is ``unheard`` never acknowledged the options, one that is
    ``lost`` with nothing *acked* did, but not the first block; and who asks for the size alone
    aborts before anything is *confirmed*.
    """

    level: ClassVar[str] = "debug"
    path: str
    reason: str
    end: str = ""
    size: int = 0
    acked: int = 0
    blksize: int = 0
    seconds: float = 0.0
    oack: bool = False
    confirmed: bool = False

    @property
    def what(self) -> str:
        return f"TFTP of {printable(self.path)} ended: {printable(self.reason)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFailed(TransferEnded):
    """A TFTP transfer that was given up in the middle."""

    level: ClassVar[str] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """A path that was not there, or not to be given; *status* in the protocol's own numbers."""

    protocol: str
    path: str
    status: int
    reason: str

    @property
    def what(self) -> str:
        return (
            f"refused {printable(self.path)} by {self.protocol} "
            f"({self.status}: {printable(self.reason)})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable(Refused):
    """A file that is there and could not be given: the disk, or a limit of ours."""

    level: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested(Refused):
    """A secret was not given since the machine's own address is at another card at the moment."""

    level: ClassVar[str] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted(Event):
    """
    A boot script went out; *says* is its meaning in a word or two.

    *code* is empty for one that boots; else ``first`` (first contact), ``menu``, ``held``,
    ``unknown``, ``subnet``, ``secret`` or ``broken`` (a notice that says why not).  *path* is what
    was asked for, *memory* the machine's main memory in MiB where it says so, else 0.  *surely*: a
    loader asked; else it may have been somebody with a browser.
    """

    says: str
    code: str = ""
    path: str = ""
    memory: int = 0
    surely: bool = False

    @property
    def what(self) -> str:
        return f"got its boot script: {printable(self.says)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Scripted):
    """A machine is held from now on, and its console says why."""

    level: ClassVar[str] = "warn"

    @property
    def what(self) -> str:
        return f"is held until it is released: {printable(self.says)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Event):
    """A secret had a second claimant: *says* which, and who; its machine is held from now on."""

    level: ClassVar[str] = "warn"
    says: str

    @property
    def what(self) -> str:
        return f"has a secret that somebody else wants, and is held: {printable(self.says, 300)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits(Scripted):
    """
    A machine is to wait for its turn, and asks again by itself; *place* is where it stands, *again*
    that it has asked before.
    """

    place: str
    again: bool = False

    @property
    def level(self) -> str:  # type: ignore[override]
        """Once is enough for a quiet day's log."""
        return "debug" if self.again else "info"

    @property
    def what(self) -> str:
        return f"{printable(self.says)}: {printable(self.place)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Event):
    """
    A node said how its boot or installation went: *outcome* ``done`` or ``failed``; ``overdue``
    where it said nothing in time.

    *status* and *output* are the node's own words.
    """

    outcome: str
    status: str = ""
    output: str = ""

    @property
    def level(self) -> str:  # type: ignore[override]
        """By how it went."""
        return "info" if self.outcome == "done" else "warn"

    @property
    def what(self) -> str:
        if self.outcome == "done":
            return "reported that it is up"
        if self.outcome == "overdue":
            return "is overdue: it has not reported that it is up"
        last = self.output.strip().rpartition("\n")[2]
        status = f" with status {printable(self.status)}" if self.status else ""
        return f"reported a failure{status}" + (f": {printable(last)}" if last else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeScripted(Event):
    """A node asked for what it is to run; *says* names the pieces."""

    says: str

    @property
    def what(self) -> str:
        return f"got its node script: {printable(self.says)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(Event):
    """
    An HTTP body ended: *sent* of *count* bytes wanted, from byte *first* of *size*, in *seconds*.

    *problem* is why we could not send them all; where it is empty and bytes are missing, the client
    went away.  Of a short one *sent* is what arrived, as far as TCP knows.  A block device is read
    in thousands of ranges: only one from its beginning is for a quiet day's log.
    """

    path: str
    status: int
    size: int
    first: int = 0
    count: int
    sent: int
    seconds: float
    problem: str = ""

    @property
    def level(self) -> str:  # type: ignore[override]
        """By how it went."""
        if self.sent < self.count:
            return "warn" if self.problem else "info"
        return "debug" if self.first or self.status == _NOT_MODIFIED else "info"

    @property
    def what(self) -> str:
        fetched = f"fetched {printable(self.path)} by HTTP ({self.status})"
        if self.sent < self.count:
            why = printable(self.problem) or "the client went away"
            return f"{fetched}, {self.sent} of {self.count} bytes, {why} after {self.seconds:.2f} s"
        return f"{fetched}, {self.sent} bytes in {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looped(Event):
    """The same loader again and again with no script in between: it loads itself."""

    level: ClassVar[str] = "warn"
    file: str
    times: int

    @property
    def what(self) -> str:
        return (
            f"fetched {printable(self.file)} {self.times} times without asking for its script: "
            "another DHCP server names the loader to iPXE as well; see 'The loader loads itself' "
            "in the README"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent(Event):
    """Nothing came of a machine for *seconds* after it had its loader: a port that blocks."""

    level: ClassVar[str] = "warn"
    seconds: float

    @property
    def what(self) -> str:
        return (
            f"{self.seconds:.0f} s between its loader and iPXE's first packet: "
            "its switch port blocked? spanning tree wants portfast there, LACP its fallback"
        )
