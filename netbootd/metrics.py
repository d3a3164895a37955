"""
The numbers for Prometheus: counted as events come, or read at the moment of a scrape.

What labels a number is a word of ours: a stage, a protocol, a code.  Nothing that comes from the
wire becomes a label, no MAC, path or address, and no listed machine's name: two thousand machines
have as many time series as two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from netbootd import __version__
from netbootd.boots.boot import Boot, Outcome, Stage
from netbootd.boots.progression import Progression
from netbootd.events.event import (
    Dropped,
    Event,
    Passed,
    Refused,
    Reported,
    Scripted,
    Served,
    TransferEnded,
    TransferFailed,
    Transferred,
    Unserved,
)
from netbootd.events.lease import AddressInUse, Leased, Naked, NoAddress
from netbootd.vitals import Vitals

_PROTOCOLS = ("tftp", "http")
#: Upper bounds in seconds: from a loader over TFTP to an installer's whole run.
_STAGE_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_BOOT_S = (10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600, 7200)
_TRANSFER_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
#: What a reason for a drop, which may quote the packet, begins with; all else is a malformed one.
_DROPS = {"not sent": "unsendable", "from outside": "stray", "ERROR": "stray", "Ack": "stray"}
#: A client that goes away, or only asks for the size, has ended its transfer.
_RESULTS = ("complete", "ended", "failed")
#: How a boot ends that the node itself tells the end of; the others have no duration.
_ENDS = (Outcome.DONE, Outcome.FAILED)
#: As events.lease has them.
_HOW = ("new", "renewed", "rebound", "init-reboot", "bootp")
_NO_ADDRESS = ("exhausted", "no-pool", "port-limit", "unsaved", "unlisted")
_DHCP = ("discover", "offer", "request", "ack", "nak", "decline", "release", "inform")
_MOST_LABELS = 64
_OTHER = "other"
#: Boots that wait to be counted: a scrape takes no longer than 40 ms for them.
_MOST_CHANGED = 2048
_Count = Callable[[Any, int], None]
_Tell = Callable[[], Vitals]


class _Kind(NamedTuple):
    """Of a kind of events: how often it happened, and what is counted of it beside."""

    happened: Any
    more: _Count | None


class _Words:
    """At most so many different label values; the others are ``other``."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def of(self, word: str) -> str:
        if word not in self._seen and len(self._seen) >= _MOST_LABELS:
            return _OTHER
        self._seen.add(word)
        return word


class Metrics:
    """
    A listener of events (call it) and of boots (``boot``), rendered on demand.

    *tell* gives what is read at the moment of a scrape; *began* is when the daemon started, in Unix
    seconds: what lies before it was counted by the one before.
    """

    def __init__(self, tell: _Tell, began: float) -> None:
        self._registry = CollectorRegistry()
        self._progression = Progression(began)
        self._changed: dict[int, Boot] = {}  # not counted yet, by number
        self._words = _Words()
        self._kinds: dict[type[Event], _Kind] = {}
        self._ended = dict.fromkeys(_PROTOCOLS, 0)
        self._count_boots()
        self._count_events()
        info = Info("netbootd_build", "The version that runs", registry=self._registry)
        info.info({"version": __version__})
        ProcessCollector(registry=self._registry)
        self._registry.register(_Scrape(tell, self._ended))

    def render(self, as_open_metrics: bool) -> bytes:
        """All of it as text; in OpenMetrics or in Prometheus's own format."""
        encode: Callable[[CollectorRegistry], bytes]
        encode = open_metrics if as_open_metrics else generate_latest
        while self._changed:
            self._count_next()
        return encode(self._registry)

    # -- boots ---------------------------------------------------------------------------------

    def _count_boots(self) -> None:
        self._begun = self._counter("boots_begun", "Boots that began")
        self._boots = self._counter("boots", "Boots that ended", "outcome")
        self._boot_s = self._histogram(
            "boot_duration_seconds",
            "From a boot's first packet to the node's report",
            "outcome",
            _BOOT_S,
        )
        self._stages = self._counter("stages", "Boots that came to a stage", "stage")
        self._stage_s = self._histogram(
            "stage_duration_seconds",
            "How long a stage took, from its first sign to its last",
            "stage",
            _STAGE_S,
        )
        for outcome in (*_ENDS, Outcome.OVERDUE, Outcome.AGAIN):
            self._boots(outcome.value)
        for outcome in _ENDS:
            self._boot_s(outcome.value)
        for stage in Stage:
            self._stages(stage)

    def boot(self, boot: Boot) -> None:
        """
        *boot* has changed: that is counted once it has an outcome, or for the next scrape, rather
        than at each of its packets.
        """
        self._changed.pop(boot.number, None)
        if boot.outcome is not Outcome.OPEN:
            self._count_boot(boot)
            return
        self._changed[boot.number] = boot
        if len(self._changed) > _MOST_CHANGED:
            self._count_next()

    def _count_next(self) -> None:
        """Of the boots that have changed, the one that has been as it is for longest."""
        self._count_boot(self._changed.pop(next(iter(self._changed))))

    def _count_boot(self, boot: Boot) -> None:
        news = self._progression.news(boot)
        if news.begun:
            self._begun.inc()
        for stage in news.reached:
            self._stages(stage).inc()
        for step in news.ended:
            self._stage_s(step.stage).observe(step.seconds)
        if news.outcome is not Outcome.OPEN:
            self._boots(news.outcome.value).inc()
        if news.outcome in _ENDS:
            self._boot_s(news.outcome.value).observe(max(0.0, boot.last - boot.began))

    # -- events --------------------------------------------------------------------------------

    def _count_events(self) -> None:
        self._events = self._counter("events", "What happened, by kind", "event")
        self._dropped = self._counter("dropped_packets", "No packets", "protocol", "reason")
        self._unserved = self._counter(
            "unserved", "Netboot clients that got no answer", "protocol", "code"
        )
        self._passed = self._counter("passed", "Packets that are not for us", "protocol")
        self._refused = self._counter("refused", "Paths refused", "protocol", "status")
        self._scripts = self._counter("scripts", "Boot scripts given", "code")
        self._reports = self._counter("reports", "What nodes reported", "outcome")
        self._transfers = self._counter("transfers", "Transfers that ended", "protocol", "result")
        self._leased = self._counter("dhcp_leased", "Leases given", "how")
        self._addressless = self._counter("dhcp_no_address", "Clients that got no address", "code")
        self._naked = self._counter("dhcp_naked", "Clients told that an address is not theirs")
        self._declined = self._counter("dhcp_declined", "Addresses that somebody had already", "by")
        self._resent = self._counter("tftp_resent_blocks", "Blocks sent again")
        self._transfer_s = self._histogram(
            "transfer_duration_seconds", "How long whole files took", "protocol", _TRANSFER_S
        )
        for protocol in _PROTOCOLS:
            self._transfer_s(protocol)
            for result in _RESULTS:
                self._transfers(protocol, result)
        for how in _HOW:
            self._leased(how)
        for code in _NO_ADDRESS:
            self._addressless(code)
        for by in ("arp", "client"):
            self._declined(by)
        for protocol in ("dhcp", "tftp"):
            for code in ("malformed", *_DROPS.values()):
                self._dropped(protocol, code)

    def _counter(self, name: str, text: str, *labels: str) -> Any:
        """With *labels*, what is called with their values: each is looked up once."""
        counter = Counter(f"netbootd_{name}", text, labels, registry=self._registry)
        return cache(counter.labels) if labels else counter

    def _histogram(self, name: str, text: str, label: str, bounds: tuple[float, ...]) -> Any:
        histogram = Histogram(
            f"netbootd_{name}", text, [label], buckets=bounds, registry=self._registry
        )
        return cache(histogram.labels)

    def __call__(self, event: Event, _at: float = 0.0, times: int = 1) -> None:
        """Count *event*, which happened *times*."""
        kind = self._kinds.get(type(event)) or self._meet(type(event))
        kind.happened.inc(times)
        if kind.more is not None:
            kind.more(event, times)

    def _meet(self, kind: type[Event]) -> _Kind:
        """Looked up once for each kind."""
        found = self._kinds[kind] = _Kind(self._events(kind.kind), self._more_of(kind))
        return found

    def _more_of(self, kind: type[Event]) -> _Count | None:
        """What is counted of *kind* beside that it happened; of several, the first that fits."""
        counts: dict[type[Event], _Count] = {
            Transferred: self._fetched,
            TransferEnded: self._ended_early,
            Served: self._served,
            Dropped: lambda event, times: self._dropped(
                event.protocol.lower(), _drop_code(event.reason)
            ).inc(times),
            Unserved: lambda event, times: self._unserved(
                event.protocol.lower(), self._words.of(event.code or _OTHER)
            ).inc(times),
            Passed: lambda event, times: self._passed(event.protocol.lower()).inc(times),
            Refused: lambda event, times: self._refused(
                event.protocol.lower(), str(int(event.status))
            ).inc(times),
            Scripted: lambda event, times: self._scripts(self._words.of(event.code or "boots")).inc(
                times
            ),
            Reported: lambda event, times: self._reports(event.outcome).inc(times),
            Leased: lambda event, times: self._leased(event.how).inc(times),
            NoAddress: lambda event, times: self._addressless(self._words.of(event.code)).inc(
                times
            ),
            Naked: lambda _, times: self._naked.inc(times),
            AddressInUse: lambda event, times: self._declined("arp" if event.by else "client").inc(
                times
            ),
        }
        return next((count for one, count in counts.items() if issubclass(kind, one)), None)

    def _fetched(self, event: Transferred, times: int) -> None:
        self._resent.inc(event.resent * times)
        self._transferred("tftp", "complete", event.size, event.seconds, times)

    def _ended_early(self, event: TransferEnded, times: int) -> None:
        result = "failed" if isinstance(event, TransferFailed) else "ended"
        self._transferred("tftp", result, event.acked, None, times)

    def _served(self, event: Served, times: int) -> None:
        whole = event.sent == event.count
        result = "complete" if whole else "failed" if event.problem else "ended"
        # A block device is read in thousands of ranges, which would hide the files.
        seconds = event.seconds if whole and event.count == event.size > 0 else None
        self._transferred("http", result, event.sent, seconds, times)

    def _transferred(
        self, protocol: str, result: str, size: int, seconds: float | None, times: int
    ) -> None:
        self._transfers(protocol, result).inc(times)
        self._ended[protocol] += size * times
        if seconds is not None:
            for _ in range(times):
                self._transfer_s(protocol).observe(seconds)


def _drop_code(reason: str) -> str:
    for beginning, code in _DROPS.items():
        if reason.startswith(beginning):
            return code
    return "stray" if reason.endswith("outside a transfer") else "malformed"


class _Scrape:
    """What is read at the moment of a scrape; *ended* has the bytes of transfers that ended."""

    def __init__(self, tell: _Tell, ended: dict[str, int]) -> None:
        self._tell = tell
        self._ended = ended
        self._most = dict.fromkeys(ended, 0)

    def collect(self) -> Iterator[Any]:
        """As prometheus_client asks."""
        now = self._tell()
        yield from self._bytes(now)
        yield from _configuration(now)
        yield from _well_being(now)
        yield from _machines(now)
        yield from _pace(now)
        yield from _logs(now)
        yield from _shipping(now)
        yield from _dhcp(now)

    def _bytes(self, now: Vitals) -> Iterator[Any]:
        """
        Those of transfers under way are counted as they go: an initrd takes minutes.

        A counter never falls, though a transfer may count differently at its end.
        """
        sent = CounterMetricFamily(
            "netbootd_sent_bytes", "Bytes of files sent", labels=["protocol"]
        )
        running = GaugeMetricFamily(
            "netbootd_transfers_in_flight", "Transfers under way", labels=["protocol"]
        )
        for protocol, ended in self._ended.items():
            mine = [one for one in now.transfers if one.protocol.lower() == protocol]
            total = ended + sum(one.sent for one in mine)
            self._most[protocol] = max(self._most[protocol], total)
            sent.add_metric([protocol], self._most[protocol])
            running.add_metric([protocol], len(mine))
        yield sent
        yield running


def _pace(now: Vitals) -> Iterator[Any]:
    """Of a storm that is paced; nothing where none is."""
    if now.pace.get("enabled"):
        yield _gauge("pace_waiting", "Machines that wait for their turn", now.pace["waiting"])
        yield _gauge("pace_loading", "Machines that load", now.pace["loading"])
        yield _gauge("pace_at_once", "How many may load at once", now.pace["at_once"])


def _gauge(name: str, text: str, value: float) -> Any:
    return GaugeMetricFamily(f"netbootd_{name}", text, value=value)


def _configuration(now: Vitals) -> Iterator[Any]:
    yield _gauge("config_generation", "Number of the configuration in force", now.generation)
    yield _gauge("config_loaded_timestamp_seconds", "When it was read", now.loaded)
    yield _gauge("config_refused", "1: the newer one on disk was refused", bool(now.refused))
    yield _gauge("config_refused_findings", "What was found wrong with that", now.refused)
    findings = GaugeMetricFamily(
        "netbootd_config_findings", "Findings of the one in force", labels=["level"]
    )
    for level, count in now.findings.items():
        findings.add_metric([level], count)
    yield findings
    yield _gauge("targets", "Targets that the configuration defines", now.targets)


def _well_being(now: Vitals) -> Iterator[Any]:
    yield _gauge("troubles", "What is wrong, as /status says in words", len(now.troubles))
    sockets = GaugeMetricFamily("netbootd_sockets", "Open sockets", labels=["service"])
    for service in {**dict.fromkeys(now.wanted, 0), **now.listening}:
        sockets.add_metric([service], now.listening.get(service, 0))
    yield sockets
    disks = GaugeMetricFamily(
        "netbootd_disk_trouble", "1: it cannot be written or read", labels=["what"]
    )
    for what, trouble in now.disks.items():
        disks.add_metric([what], bool(trouble))
    yield disks


def _machines(now: Vitals) -> Iterator[Any]:
    yield _gauge("machines_listed", "Machines that the configuration lists", now.machines)
    yield _gauge("strangers", "Machines seen that it does not list", now.strangers)
    states = GaugeMetricFamily("netbootd_machines", "Listed machines", labels=["state"])
    for state, count in now.states.items():
        states.add_metric([state], count)
    yield states


def _logs(now: Vitals) -> Iterator[Any]:
    received = CounterMetricFamily(
        "netbootd_log_lines_received", "Lines of logs that came", labels=["dataset"]
    )
    for dataset, count in now.received.items():
        received.add_metric([dataset], count)
    yield received
    yield CounterMetricFamily("netbootd_log_lines_stored", "Lines written", value=now.stored)
    dropped = CounterMetricFamily(
        "netbootd_log_lines_dropped", "Lines that were not kept", labels=["reason"]
    )
    for reason, count in now.dropped.items():
        dropped.add_metric([reason], count)
    yield dropped
    yield CounterMetricFamily(
        "netbootd_syslog_kernel_drops", "Datagrams the kernel had no room for", now.kernel_drops
    )


def _shipping(now: Vitals) -> Iterator[Any]:
    counters = {
        "shipped": "Lines that arrived",
        "rejected": "Lines that the destination will never take, put aside",
        "lost": "Lines deleted before they could be sent",
    }
    for name, text in counters.items():
        family = CounterMetricFamily(f"netbootd_log_lines_{name}", text, labels=["destination"])
        for destination, one in now.shipping.items():
            family.add_metric([destination], getattr(one, name))
        yield family
    gauges = {"lines": "Lines that wait to be sent", "size": "Bytes that wait to be sent"}
    for name, text in gauges.items():
        unit = "bytes" if name == "size" else name
        waiting = GaugeMetricFamily(f"netbootd_spool_{unit}", text, labels=["destination"])
        for destination, one in now.shipping.items():
            waiting.add_metric([destination], getattr(one, name))
        yield waiting


def _dhcp(now: Vitals) -> Iterator[Any]:
    messages = CounterMetricFamily(
        "netbootd_dhcp_messages", "DHCP messages heard and sent", labels=["type"]
    )
    for kind in _DHCP:
        messages.add_metric([kind], now.dhcp.get(kind, 0))
    others = sum(count for kind, count in now.dhcp.items() if kind not in _DHCP)
    messages.add_metric([_OTHER], others)
    yield messages
    leases = GaugeMetricFamily(
        "netbootd_dhcp_leases", "Addresses of pools that cannot be had", labels=["subnet", "state"]
    )
    sizes = GaugeMetricFamily(
        "netbootd_dhcp_pool_addresses", "Addresses that the pools hold", labels=["subnet"]
    )
    for pool in now.pools:
        for state in ("leased", "offered", "declined"):
            leases.add_metric([pool.subnet, state], getattr(pool, state))
        sizes.add_metric([pool.subnet], pool.size)
    yield leases
    yield sizes
    yield CounterMetricFamily(
        "netbootd_dhcp_shed", "Packets of a flood that were not looked at", value=now.shed
    )
    if now.certificate_ends:
        told = "When the certificate of HTTPS expires, in Unix seconds"
        yield _gauge("tls_certificate_expiry_seconds", told, now.certificate_ends)
    yield _gauge("dhcp_foreign_servers", "Other DHCP servers heard where we are one", now.foreign)
