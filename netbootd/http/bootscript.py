"""
``GET /``, ``/boot``, ``/boot/<mac>`` and ``/<mac>``: the scripts.

iPXE throws away the body of any answer that is not a success and shows its user an error number
(https://ipxe.org/err), so it always gets status 200 and a script, which prints the reason where
there is one.  Everybody else gets the plain status.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import urlsplit

from twisted.logger import Logger

from netbootd import urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.configs import Wanted, script_of
from netbootd.boot.history import may_claim, note, past
from netbootd.boot.kept import Kept
from netbootd.boot.pace import Turn
from netbootd.boot.script import (
    BootScript,
    boot_script,
    fault_script,
    first_script,
)
from netbootd.boot.waiting import Pacer, turn_of, waiting_script
from netbootd.configfiles import ConfigFile
from netbootd.dialects.dialect import HTTP, Way
from netbootd.events.event import Held, Refused, Scripted, Waits
from netbootd.http.resource import Answer, Asked, Work, no, text
from netbootd.mac import MAC
from netbootd.neighbours import Tie
from netbootd.record.record import Record
from netbootd.registry.snapshot import Registry

log = Logger(namespace="netbootd.http")

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@\s]+))(?::([0-9]{1,5}))?")
#: For when even the templates fail.
_LAST_RESORT = (
    "#!ipxe\n"
    "echo netbootd: the boot server has a fault; its log says more\n"
    "sleep 10\n"
    "exit 1\n"
)  # fmt: skip
#: The name under which the first script tells the machine's main memory.
_MEMORY = "memsize"
_MOST_MEMORY = 1 << 26  # MiB: 64 TiB, more than any machine has
_OK = HTTPStatus.OK  # to ask the class for it is a call


class Unproven(Exception):
    """What is asked for is secret, or ends a boot that is: the kernel has to say who asks."""


def first(asked: Asked, registry: Registry) -> Answer:
    """The first script, which chains to the machine's own."""
    return _answer(asked, first_script(registry, base_of(asked, registry), asked.peer), None)


def machine(
    asked: Asked,
    mac: MAC,
    registry: Registry,
    record: Record,
    pacer: Pacer | None = None,
    kept: Kept | None = None,
    tie: Tie | None = None,
) -> Answer | Work:
    """
    The boot script of *mac*; one that is sent to it begins a boot attempt.

    With a *pacer* an iPXE may have to wait for its turn, and asks again.  The text may be *kept*.
    *tie* is the card at the client's address, None where the kernel was not asked: raises Unproven
    if it has to be.
    """
    client = asked.client(Stage.IPXE, mac)
    choice = asked.query.get(urls.CHOICE, "")
    history = past(client, registry, record, tie)
    script = boot_script(client, registry, base_of(asked, registry), history, choice, None, kept)
    if script.code == "secret" and tie is None:
        raise Unproven
    if asked.method != "GET":
        return _answer(asked, script, mac)
    if tie is None and script.machine and may_claim(script.machine, registry, record):
        raise Unproven
    by_ipxe = asked.by_ipxe
    if pacer is not None and by_ipxe:
        turn = turn_of(asked.peer, script, registry, pacer)
        if turn.waits:
            return _waiting(asked, client, script, turn, registry)
    if note(client, script, registry, record, surely=by_ipxe, tie=tie):
        return _when_kept(_answer(asked, script, mac), script, record)
    return _answer(asked, script, mac)


def _waiting(
    asked: Asked, client: Client, script: BootScript, turn: Turn, registry: Registry
) -> Answer:
    """What shows a machine its place, and has it ask again; no boot attempt begins yet."""
    waiting = waiting_script(client, script, turn, registry, base_of(asked, registry), asked.query)
    event = Waits(
        mac=client.mac,
        target=script.machine.title if script.machine else "",
        peer=asked.peer,
        says=waiting.says,
        code=waiting.code,
        memory=_memory(asked),
        surely=True,
        place=turn.told,
        again=turn.asked > 1,
    )
    return text(HTTPStatus.OK, waiting.text, event)


def configuration(
    asked: Asked, file: ConfigFile, owner: MAC | None, registry: Registry, record: Record
) -> Answer | Work:
    """
    The configuration of another loader, for the machine that *file* names, else *owner*.

    Raises NotFound and Forbidden as ``script_of`` does: such a loader then looks further.  Whatever
    it is told beside that comes with status 200, as to iPXE.
    """
    base = base_of(asked, registry)
    wanted = Wanted(
        file=file,
        way=Way(HTTP, base.partition("://")[2]),
        peer=asked.peer,
        base=base,
        owner=owner,
        surely=asked.by_loader,
    )
    get = asked.method == "GET"
    script = script_of(wanted, registry, record, asked.sightings, look=not get)
    mac = script.machine.mac if script.machine else owner
    answer = _told(asked, script, mac)
    return _when_kept(answer, script, record) if get and script.boots else answer


def _when_kept(answer: Answer, script: BootScript, record: Record) -> Answer | Work:
    """What must not happen twice is on disk before it leaves; nothing else waits for a disk."""
    once = script.machine is not None and script.machine.target.common.once
    settle = record.settle
    if settle is None or not (script.armed or once):
        return answer

    def settled() -> Answer:
        if not settle():
            log.warn("the state folder is slow or broken: a boot was not yet kept when it began")
        return answer

    return Work(settled)


def fault(asked: Asked, mac: MAC | None, registry: Registry) -> Answer:
    """What a script becomes when we failed to make it: no internals, and a way to try again."""
    says = "the boot server has a fault; its log says more"
    script = BootScript(_LAST_RESORT, says, 500, code="broken")
    if mac is not None:
        with suppress(Exception):  # the first failure is in the log; another adds nothing
            script = fault_script(mac, registry, base_of(asked, registry), asked.peer)
    return _answer(asked, script, mac)


def base_of(asked: Asked, registry: Registry) -> str:
    """
    Our own address as this client reaches us.

    The client's word for us counts if it is the address it reached or a name that the configuration
    gives us, and its port if it is one of ours.  Anything else it may have made up, or left out
    (EDK2 sends the bare address whatever the port), and what stands in a script must lead back
    here: then it is what was reached.
    """
    (address, port), secure = asked.here, asked.secure
    ports = registry.config.tls.ports if secure else registry.config.http_port
    if asked.host != address and (found := _named(asked.host)):
        name, named = found
        if name == address or name in _our_names(registry):
            return urls.base_url(name, named if named in ports else port, secure=secure)
    return urls.base_url(address, port, secure=secure)


@lru_cache(maxsize=64)
def _named(host: str) -> tuple[str, int] | None:
    """The name and port by which a client calls us, 0 for no port; None for nonsense."""
    match = _HOST.fullmatch(host)
    return ((match[1] or match[2]).lower(), int(match[3] or 0)) if match else None


def _our_names(registry: Registry) -> set[str | None]:
    return {urlsplit(server).hostname for server in registry.servers.values()}


def _told(asked: Asked, script: BootScript, mac: MAC | None) -> Answer:
    """The script itself, whatever it says."""
    title = script.machine.title if script.machine else ""
    kind = Held if script.holds else Scripted
    event = kind(
        mac=mac,
        target=title,
        peer=asked.peer,
        says=script.holds or script.logged,
        code=script.code,
        path=asked.path,
        memory=_memory(asked),
        surely=asked.by_ipxe or asked.by_loader,
    )
    return text(_OK, script.text, event)


def _memory(asked: Asked) -> int:
    """
    Main memory in MiB as iPXE says it; 0 where it does not.

    Only a build for BIOS can, and only with MEMMAP_SETTINGS (https://ipxe.org/cfg/memsize): the sum
    of what the BIOS calls free, a little less than what is built in (iPXE, memmap_settings.c).
    """
    if not asked.query:
        return 0
    said = asked.query.get(_MEMORY, "")
    # isdigit() alone takes digits of all scripts, and int() very long numbers.
    known = said.isascii() and said.isdigit() and len(said) <= len(str(_MOST_MEMORY))
    return number if known and (number := int(said)) <= _MOST_MEMORY else 0


def _answer(asked: Asked, script: BootScript, mac: MAC | None) -> Answer:
    if script.status == _OK or asked.by_ipxe:
        return _told(asked, script, mac)
    title = script.machine.title if script.machine else ""
    refusal = Refused(
        mac=mac,
        target=title,
        peer=asked.peer,
        protocol="HTTP",
        path=asked.path,
        status=script.status,
        reason=script.logged,
    )
    return no(refusal, script.says)
