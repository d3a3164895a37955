"""
What is made for a machine when it asks for it by TFTP: the configurations of loaders that are not
iPXE, the extra initrd for them, and what a Raspberry Pi is to find.

A Raspberry Pi asks in a folder of its own for files that it shares with others: what is not in that
folder of the file root comes from the file root itself, or from the firmware folders.  Once it has
``start4.elf`` it looks no further: where it is to boot its disk, it must not find that.  Nor must a
Pi that nobody knows find one that only lies in a firmware folder: not finding it below its serial
number, it asks for it without.
"""

from __future__ import annotations

from dataclasses import replace

from netbootd import configfiles, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.configs import Wanted, at_address, pi_of, script_of
from netbootd.boot.decision import identify, refusal
from netbootd.boot.history import is_it, provided
from netbootd.boot.script import BootScript
from netbootd.configfiles import ConfigFile, Reader
from netbootd.content import Content, parts_of
from netbootd.dialects.dialect import TFTP, Way
from netbootd.errors import Forbidden, NotFound, RenderError
from netbootd.mac import MAC
from netbootd.registry import secrecy
from netbootd.registry.live import LiveRegistry
from netbootd.registry.snapshot import Registry
from netbootd.tftp.built import Built
from netbootd.tftp.files import Located
from netbootd.tftp.joined import MOST, SEPARATOR, Joined

#: Why a datagram gets nothing that is secret: anybody can write an address on it.
_NOT_BY_TFTP = "it is secret, and so for HTTP alone, where its machine can be known"


def check_open(path: str, registry: Registry) -> None:
    """Raise Forbidden where the file *path* is secret."""
    if registry.secret_files and secrecy.secret_name("/".join(parts_of(path)), registry):
        raise Forbidden(_NOT_BY_TFTP)


class Maker:
    """One request from *peer*, which reached us as *base*."""

    def __init__(
        self, live: LiveRegistry, registry: Registry, peer: str, base: str, built: Built
    ) -> None:
        self._live = live
        self._built = built
        self._registry = registry
        self._peer = peer
        self._base = base
        #: The script that was made, if it was one.
        self.script: BootScript | None = None

    def made(self, path: str, owner: MAC | None) -> Located:
        """
        What *path*, which is no file, is for *owner* or for whoever it names.

        Raises NotFound where it is none of these, and Forbidden.
        """
        if SEPARATOR not in path and (asked := urls.overlay_of(path)):
            return self._overlay(*asked)
        if file := configfiles.parse(path):
            return self._configuration(path, file, owner)
        if SEPARATOR in path:
            return self._joined(path, owner)
        serial, name = configfiles.pi_folder(path)
        mac = pi_of(serial, self._registry, self._live.sightings) if serial else None
        if mac is None:
            raise NotFound(path)
        return self._of_pi(name, mac)

    def check_start(self, path: str, owner: MAC | None) -> None:
        """Raise NotFound where *path* is firmware with which a Raspberry Pi must not begin."""
        name = path.lstrip("/")
        if not configfiles.starts_pi(name):
            return
        mac = owner or at_address(self._peer, self._registry, self._live.record)
        if mac is not None:
            self._wanted(configfiles.PI_BOOT, mac, look=True)
        elif name != configfiles.PI_ROM_ASKS and not self._is_the_admins(name):
            raise NotFound(path)

    def _is_the_admins(self, name: str) -> bool:
        """Whether it was put into the file root, for all that ask."""
        program = self._registry.library.program(name)
        return program is None or program.path.is_relative_to(self._registry.library.root)

    def _wanted(self, file: ConfigFile, owner: MAC | None, *, look: bool = False) -> BootScript:
        way = Way(TFTP, self._base.partition("://")[2])
        wanted = Wanted(file=file, way=way, peer=self._peer, base=self._base, owner=owner)
        live = self._live
        return script_of(wanted, self._registry, live.record, live.sightings, look=look)

    def _configuration(self, path: str, file: ConfigFile, owner: MAC | None) -> Located:
        script = self._wanted(file, owner)
        machine = script.machine
        if machine is not None and (script.boots or file.reader is not Reader.PI):
            self.script = script
        text = Content(path, held=script.text.encode())
        return Located(text, machine.mac if machine else owner, machine.title if machine else "")

    def _joined(self, path: str, owner: MAC | None) -> Located:
        """Several initrds, their paths with commas between them, as one."""
        paths = path.split(SEPARATOR)
        if len(paths) > MOST:
            raise NotFound(f"{len(paths)} files in one")
        parts: list[Located] = []
        try:
            parts += (self._part(one, owner) for one in paths)
        except BaseException:
            for part in parts:
                part.content.close()
            raise
        return replace(parts[0], content=Joined(path, [part.content for part in parts]))

    def _part(self, path: str, owner: MAC | None) -> Located:
        mac, path = urls.split_mac(path)
        if asked := urls.overlay_of(path):
            return self._overlay(*asked)
        check_open(path, self._registry)
        return Located(self._registry.library.lookup(path), mac or owner)

    def _of_pi(self, name: str, mac: MAC) -> Located:
        """File *name* of the Raspberry Pi *mac*, which may stand beside those of all."""
        client = self._client(mac)
        machine = identify(client, self._registry)
        if reason := refusal(client, machine, self._registry):
            raise Forbidden(f"{mac} is {reason}")
        if configfiles.starts_pi(name):
            self._wanted(configfiles.PI_BOOT, mac, look=True)
        if asked := urls.overlay_of(name):
            return self._overlay(*asked)
        check_open(name, self._registry)
        found = self._registry.library.lookup(name)
        return Located(found, mac, machine.title if machine else "")

    def _overlay(self, mac: MAC, token: str) -> Located:
        """The extra initrd of *mac*."""
        registry, record = self._registry, self._live.record
        found = provided(self._client(mac), registry, record, self._base)
        if found is None:
            raise NotFound(f"{mac} is not served")
        machine, facts = found
        if secrecy.is_sealed(machine, registry):
            raise Forbidden(_NOT_BY_TFTP)
        if registry.config.private and not is_it(machine, self._peer, token, record):
            raise Forbidden(f"this is for {mac} alone, and {self._peer} is not known for it")
        try:
            body = self._built.overlay(machine, facts, registry)
        except RenderError as problem:
            told = facts.secrets.silence(problem)
            raise NotFound(f"the overlay of {mac} has an error: {told}") from None
        return Located(body, mac, machine.title)

    def _client(self, mac: MAC) -> Client:
        client = Client(stage=Stage.FIRMWARE, mac=mac, address=self._peer, asks=True)
        return client.marked(self._live.sightings.of(mac))
