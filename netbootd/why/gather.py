"""
What is known of one machine, put together as Evidence: from the registry, the record, the boots.

``gather`` only looks things up, and may be called in the reactor.  ``look_closer`` reads a few
bytes of files on disk, and is for a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from netbootd import bzimage, urls
from netbootd.boot.history import machine_of
from netbootd.boots.boot import Boot, Stage
from netbootd.errors import NetbootdError
from netbootd.events.progress import Progress
from netbootd.loaderfile import Format, inspect
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.record.standing import Standing
from netbootd.registry.facts import server_of
from netbootd.registry.machine import Machine
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry
from netbootd.targets.base import Target
from netbootd.targets.install import Install
from netbootd.targets.linux import Linux
from netbootd.targets.notice import Notice
from netbootd.why.evidence import Company, Evidence, Held, LoaderFacts, TargetFacts
from netbootd.why.patience import asks_dhcp, expects_report, is_off

#: Seconds: a machine that followed an offer within them tells that offers arrive.
_LATELY_S = 86400.0
_MOST_CONSOLE = 50
_DIGITS = "0123456789abcdef"
_TEXT = 48  # bytes that are letters in a text alone
#: An archive of cpio(5) has digits first, a script is for iPXE.
_BINARY_FOR_ALL_THAT = (b"07070", b"#!")
#: The most of a configuration file that is looked through for a machine.
_MOST_READ = 16 << 20


class Asked(Protocol):
    """A card that asks and is not listed (``boots.strangers``)."""

    @property
    def mac(self) -> MAC: ...


def gather(
    key_or_mac: str,
    registry: Registry,
    record: Record,
    sightings: Sightings,
    boots: Sequence[Boot],
    console: Iterable[tuple[float, str]],
    refused: Iterable[object],
    heard: Mapping[str, float],
    strangers: Iterable[Asked],
    now: float,
    others: Iterable[Boot] = (),
    transfers: Iterable[Progress] = (),
    lease: Held | None = None,
    leases: int = 0,
) -> Evidence:
    """
    What is known of the machine *key_or_mac* at *now*.

    *boots* are its own, newest first, *others* the latest of every machine; *console* its last
    lines with their times; *refused* the findings of a configuration that was not taken; *heard*
    tells for each interface when a DHCP client was last heard there; *transfers* are all that are
    under way; *lease* and *leases* as in Evidence.
    """
    machine = find(key_or_mac, registry, sightings)
    mac = MAC.maybe(key_or_mac)
    key = machine.key if machine and machine.key else str(mac or key_or_mac)
    known = machine is not None and machine.known
    standing = record.of(key)
    target = _target_of(machine, boots, registry)
    name = machine.variables.get("hostname") if machine and known else None
    macs = _macs(machine if known else None, mac, boots)
    others = tuple(others)
    return Evidence(
        key=key,
        name=name if isinstance(name, str) else machine.named if machine and known else "",
        macs=macs,
        machine=machine,
        known=known,
        enabled=not (machine is not None and is_off(machine)),
        groups=registry.groups,
        standing=standing,
        boots=tuple(boots),
        target=_target_facts(target, registry, standing, boots) if target else TargetFacts(),
        loader=_loader_facts(boots, registry),
        company=_company(key, boots, others, now),
        console=tuple(console)[-_MOST_CONSOLE:],
        refused=tuple(map(str, refused)),
        generation=registry.generation,
        heard=dict(heard) or _heard_of(others),
        transfers=tuple(one for one in transfers if str(one.mac or "") in macs),
        lease=lease,
        leases=leases,
        near=_near(machine, mac, boots, registry, record, strangers),
        now=now,
    )


def find(key_or_mac: str, registry: Registry, sightings: Sightings) -> Machine | None:
    """The machine by its key, a MAC, or its host name where only one has it."""
    if named := registry.named.get(key_or_mac):
        return named
    if mac := MAC.maybe(key_or_mac):
        return machine_of(mac, registry, sightings)
    alike = [one for one in registry.known if one.variables.get("hostname") == key_or_mac]
    return alike[0] if len({one.key for one in alike}) == 1 else None


def _macs(machine: Machine | None, mac: MAC | None, boots: Sequence[Boot]) -> tuple[str, ...]:
    macs = [str(one) for one in machine.macs] if machine else []
    macs += [str(mac)] if mac else []
    macs += [one for boot in boots[:1] for one in boot.macs]
    return tuple(dict.fromkeys(macs))


# -- the target ------------------------------------------------------------------------------------


def _target_of(machine: Machine | None, boots: Sequence[Boot], registry: Registry) -> Target | None:
    """What its last boot was of, else what it would boot."""
    title = boots[0].target if boots else ""
    if machine is not None and title in ("", machine.title):
        return machine.target
    return registry.targets.get(title) or (machine.target if machine else None)


def _target_facts(
    target: Target, registry: Registry, standing: Standing, boots: Sequence[Boot]
) -> TargetFacts:
    files = tuple(one for one in target.fetched if one.startswith("/"))
    elsewhere = tuple(one for one in target.fetched if "://" in one)
    ours = server_of(registry, "", boots[0].peer if boots else "") if files else ""
    linux = target if isinstance(target, Linux) else None
    return TargetFacts(
        title=target.title,
        kind=target.title.partition("/")[0],
        files=files,
        elsewhere=elsewhere,
        names=tuple(dict.fromkeys(filter(None, map(_host_name, (ours, *elsewhere))))),
        kernel=linux.kernel if linux else "",
        initrds=linux.initrds if linux else (),
        answer=target.answer if isinstance(target, Install) else "",
        is_install=isinstance(target, Install),
        calls_back=target.common.calls_back,
        expected=expects_report(target, standing),
        asks_dhcp=asks_dhcp(target),
        up_within=target.common.up_within,
        broken=target.reason if isinstance(target, Notice) else "",
    )


def _host_name(url: str) -> str:
    """The host of *url*, where that is a name."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return "" if ":" in host or host.replace(".", "").isdigit() else host


# -- the loader ------------------------------------------------------------------------------------


def _loader_facts(boots: Sequence[Boot], registry: Registry) -> LoaderFacts:
    """What is known of the loader that was offered, or fetched, in the boot that came to one."""
    for boot in boots[:3]:
        step = boot.step(Stage.LOADER) or boot.step(Stage.OFFER)
        if step is not None and step.path:
            return _of_program(step.path, registry)
    return LoaderFacts()


def _of_program(path: str, registry: Registry) -> LoaderFacts:
    plain = urls.split_mac(urlsplit(path).path if "://" in path else path)[1].lstrip("/")
    program = registry.library.program(plain) or registry.library.program(plain.rpartition("/")[2])
    if program is None:
        return LoaderFacts(name=plain.rpartition("/")[2])
    seen = inspect(program.data)
    return LoaderFacts(
        name=program.name,
        there=True,
        family=seen.family,
        signed=seen.signed,
        signers=seen.signers,
        cut=seen.cut,
        is_efi=seen.format is Format.PE,
    )


# -- others ----------------------------------------------------------------------------------------


def _company(key: str, boots: Sequence[Boot], others: Iterable[Boot], now: float) -> Company:
    """Who else followed an offer of ours, where this machine asks."""
    if not boots:
        return Company()
    where, arch = _interface(boots[0]), boots[0].arch
    followed = [
        one
        for one in others
        if one.key != key
        and now - one.last < _LATELY_S
        and _interface(one) == where
        and one.reached is not None
        and one.reached.rank > Stage.OFFER.rank
    ]
    return Company(followed=len(followed), alike=sum(one.arch == arch for one in followed))


def _heard_of(others: Iterable[Boot]) -> dict[str, float]:
    """Where machines were heard, as far as their boots tell: after a start nobody was yet."""
    heard: dict[str, float] = {}
    for boot in others:
        if where := _interface(boot):
            heard[where] = max(boot.began, heard.get(where, 0.0))
    return heard


def _interface(boot: Boot) -> str:
    return next((step.interface for step in boot.steps if step.interface), "")


def _near(
    machine: Machine | None,
    mac: MAC | None,
    boots: Sequence[Boot],
    registry: Registry,
    record: Record,
    strangers: Iterable[Asked],
) -> str:
    """A MAC that may be meant, as in Evidence."""
    if machine is not None and machine.known:
        if boots or not machine.macs:
            return ""
        asking = {one.mac for one in strangers}
        return next((str(one) for own in machine.macs for one in slips(own) if one in asking), "")
    if mac is None:
        return ""
    for one in slips(mac):
        listed = registry.machines.get(one)
        if listed is not None and record.of(listed.key).latest is None:
            return str(one)
    return ""


def slips(mac: MAC) -> Iterator[MAC]:
    """MACs that differ from *mac* by one digit, or by two neighbours that changed places."""
    digits = mac.raw
    for at, digit in enumerate(digits):
        for other in _DIGITS:
            if other != digit:
                yield from _maybe(digits[:at] + other + digits[at + 1 :])
    for at in range(len(digits) - 1):
        one, two = digits[at], digits[at + 1]
        if one != two:
            yield from _maybe(digits[:at] + two + one + digits[at + 2 :])


def _maybe(digits: str) -> Iterator[MAC]:
    if mac := MAC.maybe(digits):
        yield mac


# -- the disk --------------------------------------------------------------------------------------


def look_closer(evidence: Evidence, registry: Registry) -> Evidence:
    """
    *evidence* with what files on disk say: whether a refused configuration names the machine, and
    whether its kernel is whole.  Reads the disk; for a thread.
    """
    in_refused = evidence.in_refused
    if evidence.refused and in_refused is None:
        in_refused = _is_named(evidence, registry)
    short, unfit, there = _looked_at(evidence, registry)
    return replace(evidence, in_refused=in_refused, short=short, unfit=unfit, there=there)


def _is_named(evidence: Evidence, registry: Registry) -> bool | None:
    words = {evidence.key, *evidence.macs, evidence.name} - {""}
    words |= {spelt for word in tuple(words) if (mac := MAC.maybe(word)) for spelt in _spelt(mac)}
    words = {word.lower() for word in words}
    read = False
    for path in _files(registry):
        try:
            if path.stat().st_size > _MOST_READ:
                continue
            text = path.read_text(errors="replace").lower()
        except OSError:
            continue
        read = True
        if any(word in text for word in words):
            return True
    return False if read else None


def _spelt(mac: MAC) -> tuple[str, ...]:
    return str(mac), mac.dashed, mac.raw


def _files(registry: Registry) -> Iterator[Path]:
    """The files of the configuration as they are now."""
    seen: set[Path] = set()
    for name in (*registry.documents, *registry.watched):
        path = Path(name)
        for one in sorted(path.glob("*.json")) if path.is_dir() else (path,):
            if one not in seen and one.is_file():
                seen.add(one)
                yield one


def _looked_at(
    evidence: Evidence, registry: Registry
) -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    """Kernel and initrds as files: those that end early, those that are none, and all there are."""
    target, short, unfit = evidence.target, dict[str, str](), dict[str, str]()
    there = set()
    for location in filter(None, (target.kernel, *target.initrds)):
        if not location.startswith("/"):
            continue
        try:
            content = registry.library.lookup(location.lstrip("/"))
        except (NetbootdError, OSError):
            continue
        there.add(location)
        with closing(content), suppress(OSError):
            head = content.read(0, bzimage.HEAD)
            if told := "it is empty" if not content.size else bzimage.shortage(head, content.size):
                short[location] = told
            elif told := as_text(head):
                unfit[location] = told
    return short, unfit, frozenset(there)


def as_text(head: bytes) -> str:
    """What a file that begins with *head* says, if it is a text; empty for any other."""
    first = head[:_TEXT]
    if len(first) < _TEXT or first.startswith(_BINARY_FOR_ALL_THAT):
        return ""
    if any(byte not in b"\t\r\n" and not 32 <= byte < 127 for byte in first):
        return ""
    return f"it is a text that begins with {first.decode('ascii').split(chr(10))[0].strip()!r}"
