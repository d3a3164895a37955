"""
What a read request gets: the decision that every protocol asks, then the library.

``<mac>/<loader>`` is what DHCP hands out; bare names and everything below the file root work as
well.  ``autoexec.ipxe`` is what iPXE builds since 2024 ask for beside the file they came from, and
gets the first script, whatever the folder.  What other loaders look for (``configfiles``) is made
where there is no file of that name.

With ``script_for_ipxe``, or where the machine is held, an iPXE that was sent to its own loader
again gets its script under that very name (iPXE goes by content, not by name).  It is told by what
it asks, exactly ``blksize`` and ``tsize`` 0 in this order (iPXE, src/net/udp/tftp.c); since some
firmware asks likewise, only an address that fetched the whole loader within the last minutes
counts.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from netbootd import configfiles, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify, refusal, subnet_of
from netbootd.boot.history import note, past
from netbootd.boot.script import BootScript, boot_script, first_script
from netbootd.content import Content, of_program
from netbootd.errors import Forbidden, NotFound
from netbootd.events.event import Event, Held, Scripted, Transferred
from netbootd.mac import MAC
from netbootd.programs import Program
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.marks import Marks
from netbootd.registry.snapshot import Registry
from netbootd.tftp.built import Built
from netbootd.tftp.files import Located
from netbootd.tftp.made import Maker, check_open
from netbootd.tftp.wire import ReadRequest

_LOADED_WITHIN_S = 300.0
_MOST_CLIENTS = 4096  # remembered; the oldest is forgotten first
_MOST_KEPT = 8192  # firmware asks twice, for the size and for the file
_IPXE_OPTIONS = ["blksize", "tsize"]


class _Kept(NamedTuple):
    """
    Who *peer* is that asks for a path, while the *registry* and what is known of *asked*, the MAC
    in that path, by its *marks*, are the very same.

    *program* is what it gets; None is a file, which is looked for each time.
    """

    registry: Registry
    asked: MAC | None
    marks: Marks
    path: str
    machine: Machine | None
    program: Program | None
    mac: MAC | None
    target: str
    mtu: int

    def located(self) -> Located:
        """What to send; raises what ``lookup`` raises."""
        if self.program is not None:
            content = of_program(self.program)
        else:
            content = self.registry.library.lookup(self.path)
        return Located(content, self.mac, self.target, self.mtu)


class Locator:
    """*now* gives seconds of a steady clock; *publish* is told of each script."""

    def __init__(
        self,
        live: LiveRegistry,
        now: Callable[[], float],
        publish: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._live = live
        self._now = now
        self._publish = publish
        self._loaded: OrderedDict[str, float] = OrderedDict()
        self._built = Built()
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    def locate(self, request: ReadRequest, peer: str, local: str) -> Located:
        """
        The bytes for *request* from *peer*, which asked our address *local*.

        Raises NotFound, or Forbidden where the path is hostile or DHCP would have refused as well.
        """
        registry = self._live.snapshot
        kept = self._kept.get((request.path, peer))
        if kept is not None and self._holds(kept, request, peer, registry):
            with contextlib.suppress(NotFound):  # a file that was deleted: it may be made instead
                return kept.located()
        located = self._locate(request, peer, local, registry)
        mtu = registry.subnets.of(peer).mtu
        return replace(located, mtu=mtu) if mtu else located

    def _holds(self, kept: _Kept, request: ReadRequest, peer: str, registry: Registry) -> bool:
        """Whether *kept* would be found again."""
        return (
            kept.registry is registry
            and kept.marks is self._live.sightings.of(kept.asked)
            and not self._is_ipxe_again(request, kept.path, peer, kept.machine, registry)
        )

    def _locate(self, request: ReadRequest, peer: str, local: str, registry: Registry) -> Located:
        mac, path = urls.split_mac(request.path)
        scripted = urls.scripted_mac(path)
        mac = scripted or mac
        client = self._client(Stage.FIRMWARE, mac, peer)
        machine = identify(client, registry)
        # Without a MAC nobody knows who asks, so only a refusal of the whole subnet counts.
        nobody = not subnet_of(client, registry).served
        if (mac or nobody) and (reason := refusal(client, machine, registry)):
            raise Forbidden(f"{mac or peer} is {reason}")
        known = machine.mac if machine else mac
        target = machine.title if machine else ""
        if urls.is_autoexec(path):
            text = first_script(registry, _base(registry, local), peer).text
        elif scripted or self._is_ipxe_again(request, path, peer, machine, registry):
            text = self._script(known, request.path, peer, registry, _base(registry, local))
        else:
            maker = Maker(self._live, registry, peer, _base(registry, local), self._built)
            maker.check_start(path, mac)
            check_open(path, registry)
            try:
                located = Located(registry.library.lookup(path), known, target)
            except NotFound:
                located = maker.made(path, mac)
            else:
                self._keep(request.path, peer, mac, path, machine, located, registry)
            if maker.script is not None:
                self._tell(maker.script, request.path, located.mac, peer)
            return located
        return Located(Content(path, held=text.encode()), known, target)

    def _keep(
        self,
        asked: str,
        peer: str,
        mac: MAC | None,
        path: str,
        machine: Machine | None,
        located: Located,
        registry: Registry,
    ) -> None:
        """Whether a Raspberry Pi may begin with a file is asked each time, see ``made``."""
        if configfiles.starts_pi(path.lstrip("/")):
            return
        self._kept[asked, peer] = _Kept(
            registry,
            mac,
            self._live.sightings.of(mac),
            path,
            machine,
            registry.library.program_at(path),
            located.mac,
            located.target,
            registry.subnets.of(peer).mtu,
        )
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def _client(self, stage: Stage, mac: MAC | None, peer: str) -> Client:
        client = Client(stage=stage, mac=mac, address=peer, asks=True)
        return client.marked(self._live.sightings.of(mac))

    def notice(self, event: Event) -> None:
        """Remember who has fetched a loader."""
        if isinstance(event, Transferred):
            self._loaded[event.peer] = self._now()
            self._loaded.move_to_end(event.peer)
            if len(self._loaded) > _MOST_CLIENTS:
                self._loaded.popitem(last=False)

    def _script(self, mac: MAC | None, path: str, peer: str, registry: Registry, base: str) -> str:
        if mac is None:
            return first_script(registry, base, peer).text
        client = self._client(Stage.IPXE, mac, peer)
        script = boot_script(client, registry, base, past(client, registry, self._live.record))
        note(client, script, registry, self._live.record, surely=True)
        self._tell(script, path, mac, peer)
        return script.text

    def _tell(self, script: BootScript, path: str, mac: MAC | None, peer: str) -> None:
        """Publish that *script* goes out."""
        kind = Held if script.holds else Scripted
        title = script.machine.title if script.machine else ""
        says = script.holds or script.logged
        self._publish(
            kind(
                mac=mac,
                target=title,
                peer=peer,
                says=says,
                code=script.code,
                path=urls.told(path),
                surely=True,
            )
        )

    def _is_ipxe_again(
        self,
        request: ReadRequest,
        path: str,
        peer: str,
        machine: Machine | None,
        registry: Registry,
    ) -> bool:
        if not registry.library.program(path.lstrip("/")):
            return False
        # One that is held gets to see why, or it would load itself for ever.
        held = machine is not None and self._live.record.of(machine.key).held
        if not held and not registry.config.tftp.script_for_ipxe:
            return False
        asks_as_ipxe = list(request.options) == _IPXE_OPTIONS and request.options["tsize"] == "0"
        loaded_at = self._loaded.get(peer)
        return asks_as_ipxe and loaded_at is not None and self._now() - loaded_at < _LOADED_WITHIN_S


def _base(registry: Registry, local: str) -> str:
    return urls.base_url(local, registry.config.http_port[0])
