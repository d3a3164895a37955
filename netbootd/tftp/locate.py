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

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from netbootd import configfiles, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.configs import Wanted, pi_of, script_of
from netbootd.boot.decision import identify, refusal, subnet_of
from netbootd.boot.history import is_it, note, past, provided
from netbootd.boot.script import BootScript, boot_script, first_script
from netbootd.configfiles import Reader
from netbootd.content import Content
from netbootd.dialects.dialect import TFTP, Way
from netbootd.errors import Forbidden, NotFound, RenderError
from netbootd.events.event import Event, Held, Scripted, Transferred
from netbootd.mac import MAC
from netbootd.registry import overlays
from netbootd.registry.live import LiveRegistry
from netbootd.registry.machine import Machine
from netbootd.registry.snapshot import Registry
from netbootd.tftp.files import Located
from netbootd.tftp.wire import ReadRequest

_LOADED_WITHIN_S = 300.0
_MOST_CLIENTS = 4096  # remembered; the oldest is forgotten first
_IPXE_OPTIONS = ["blksize", "tsize"]


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

    def locate(self, request: ReadRequest, peer: str, local: str) -> Located:
        """
        The bytes for *request* from *peer*, which asked our address *local*.

        Raises NotFound, or Forbidden where the path is hostile or DHCP would have refused as well.
        """
        registry = self._live.snapshot
        located = self._locate(request, peer, local, registry)
        mtu = registry.subnets.of(peer).mtu
        return replace(located, mtu=mtu) if mtu else located

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
            text = self._script(known, peer, registry, _base(registry, local))
        else:
            try:
                return Located(registry.library.lookup(path), known, target)
            except NotFound:
                return self._made(path, mac, peer, registry, _base(registry, local))
        return Located(Content(path, held=text.encode()), known, target)

    def _made(
        self, path: str, owner: MAC | None, peer: str, registry: Registry, base: str
    ) -> Located:
        """
        What is no file, for *owner* or whoever *path* names: an extra initrd, the configuration of
        another loader, a file of a Raspberry Pi.  Raises NotFound where it is none of these.
        """
        live = self._live
        if asked := urls.overlay_of(path):
            return self._overlay(*asked, peer, registry, base)
        way = Way(TFTP, base.partition("://")[2])
        if file := configfiles.parse(path):
            wanted = Wanted(file=file, way=way, peer=peer, base=base, owner=owner)
            script = script_of(wanted, registry, live.record, live.sightings)
            text = Content(path, held=script.text.encode())
            machine = script.machine
            known = machine.mac if machine else owner
            if machine is not None and (script.boots or file.reader is not Reader.PI):
                self._tell(script, known, peer)
            return Located(text, known, machine.title if machine else "")
        serial, name = configfiles.pi_folder(path)
        owner = pi_of(serial, registry, live.sightings) if serial else owner
        if owner is None or (not serial and not configfiles.starts_pi(name)):
            raise NotFound(path)
        return self._of_pi(
            name,
            owner,
            Wanted(file=configfiles.PI_BOOT, way=way, peer=peer, base=base, owner=owner),
            registry,
        )

    def _of_pi(self, name: str, mac: MAC, boot: Wanted, registry: Registry) -> Located:
        """
        File *name* of the Raspberry Pi *mac*, which may stand beside those of all.

        It finds no firmware where it is to boot its disk: with that it would not look any further.
        """
        client = self._client(Stage.FIRMWARE, mac, boot.peer)
        machine = identify(client, registry)
        if reason := refusal(client, machine, registry):
            raise Forbidden(f"{mac} is {reason}")
        if configfiles.starts_pi(name):
            script_of(boot, registry, self._live.record, self._live.sightings, look=True)
        if asked := urls.overlay_of(name):
            return self._overlay(*asked, boot.peer, registry, boot.base)
        return Located(registry.library.lookup(name), mac, machine.title if machine else "")

    def _overlay(self, mac: MAC, token: str, peer: str, registry: Registry, base: str) -> Located:
        """The extra initrd of *mac*."""
        record = self._live.record
        found = provided(self._client(Stage.HTTP_BOOT, mac, peer), registry, record, base)
        if found is None:
            raise NotFound(f"{mac} is not served")
        machine, facts = found
        if registry.config.private and not is_it(machine, peer, token, record):
            raise Forbidden(f"this is for {mac} alone, and {peer} is not known for it")
        try:
            body = overlays.build(machine, facts, registry)
        except RenderError as problem:
            raise NotFound(f"the overlay of {mac} has an error: {problem}") from None
        return Located(Content(f"overlay of {mac}", held=body), mac, machine.title)

    def _client(self, stage: Stage, mac: MAC | None, peer: str) -> Client:
        client = Client(stage=stage, mac=mac, address=peer)
        return client.marked(self._live.sightings.of(mac))

    def notice(self, event: Event) -> None:
        """Remember who has fetched a loader."""
        if isinstance(event, Transferred):
            self._loaded[event.peer] = self._now()
            self._loaded.move_to_end(event.peer)
            if len(self._loaded) > _MOST_CLIENTS:
                self._loaded.popitem(last=False)

    def _script(self, mac: MAC | None, peer: str, registry: Registry, base: str) -> str:
        if mac is None:
            return first_script(registry, base, peer).text
        client = self._client(Stage.IPXE, mac, peer)
        script = boot_script(client, registry, base, past(client, registry, self._live.record))
        note(client, script, registry, self._live.record, surely=True)
        self._tell(script, mac, peer)
        return script.text

    def _tell(self, script: BootScript, mac: MAC | None, peer: str) -> None:
        """Publish that *script* goes out."""
        kind = Held if script.holds else Scripted
        title = script.machine.title if script.machine else ""
        says = script.holds or script.logged
        self._publish(kind(mac=mac, target=title, peer=peer, says=says))

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
