"""
What other loaders than iPXE read: the file by whose name a machine asks becomes its boot script, in
the language of whoever asks.

What is decided is what iPXE would be told (``boot_script``), and a file that boots something counts
as an attempt just the same.  A name that nobody has is not found at once, so that the loader's
search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify, refusal
from netbootd.boot.history import note, past
from netbootd.boot.script import BootScript, boot_script
from netbootd.configfiles import ConfigFile, Reader
from netbootd.dialects.catalogue import GRUB_FIRST, dialect_of
from netbootd.dialects.dialect import Way
from netbootd.dialects.grub import first_contact
from netbootd.errors import Forbidden, NotFound
from netbootd.mac import MAC
from netbootd.record.record import Record
from netbootd.registry.machine import Machine
from netbootd.registry.marks import Marks
from netbootd.registry.sightings import Sightings
from netbootd.registry.snapshot import Registry

#: The file of a Raspberry Pi that is read once in each boot.
_LAST_OF_PI = "cmdline.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    A request for *file*, by *way*, from the address *peer*; *base* is our own as it reached us.

    *owner* is the MAC in front of its path, None if there is none.  *surely*: it was a loader that
    asked; else it may have been somebody with a browser.
    """

    file: ConfigFile
    way: Way
    peer: str
    base: str
    owner: MAC | None = None
    surely: bool = True


def script_of(
    wanted: Wanted, registry: Registry, record: Record, sightings: Sightings, *, look: bool = False
) -> BootScript:
    """
    What *wanted* is; with *look* nothing is remembered of it.

    Raises NotFound where nobody is known who could ask so, or where there is nothing to say, and
    Forbidden where DHCP would have refused as well.
    """
    file = wanted.file
    mac = whose(wanted, registry, record, sightings)
    if mac is None:
        if file.reader is Reader.GRUB and file.anonymous:
            text = first_contact(registry.dialects[GRUB_FIRST], wanted.way)
            return BootScript(text, "first contact", code="first")
        raise NotFound(file.name)
    said = sightings.of(mac).over(Marks(uuid=file.uuid))
    client = Client(stage=Stage.IPXE, mac=mac, address=wanted.peer, asks=True).marked(said)
    if reason := refusal(client, identify(client, registry), registry):
        raise Forbidden(f"{mac} is {reason}")
    dialect = dialect_of(file.reader, file.name, wanted.way, registry.dialects)
    history = past(client, registry, record)
    script = boot_script(client, registry, wanted.base, history, file.choice, dialect)
    if not script.text or script.status in (403, 404):
        raise NotFound(f"{file.name}: {script.says}")
    counts = file.reader is not Reader.PI or file.name == _LAST_OF_PI
    if counts and not look:
        note(client, script, registry, record, surely=wanted.surely)
    return script


def whose(wanted: Wanted, registry: Registry, record: Record, sightings: Sightings) -> MAC | None:
    """
    The card of the machine whose file it is, None where nobody is known.

    That somebody once booted from an address is no proof: it may be another's by now, and what is
    decided here may install a machine.  So an address counts only where the configuration has it.
    """
    file = wanted.file
    if file.nobodys:
        return None
    # Boards may share a UUID; a MAC is the loader's own word, or ours when we named the loader.
    if told := file.mac or wanted.owner:
        return told
    if file.uuid:
        return _by_uuid(file.uuid, registry, record, sightings)
    if file.serial:
        return pi_of(file.serial, registry, sightings)
    return _card(registry.by_address(file.address or wanted.peer))


def pi_of(serial: str, registry: Registry, sightings: Sightings) -> MAC | None:
    """The Raspberry Pi with *serial*: a machine that is listed by it, or one that was heard."""
    heard = sightings.by_pi_serial(serial)
    return heard or _card(registry.pis.get(serial.lower()))


def _by_uuid(uuid: str, registry: Registry, record: Record, sightings: Sightings) -> MAC | None:
    """By what DHCP heard; else the machine that is listed by it, and the card it last booted by."""
    machine = registry.by_mark("uuid", uuid)
    if (mac := sightings.by_uuid(uuid) or _card(machine)) or machine is None:
        return mac
    latest = record.of(machine.key).latest
    return MAC.maybe(latest.mac) if latest else None


def _card(machine: Machine | None) -> MAC | None:
    if machine is None:
        return None
    return machine.mac or (machine.macs[0] if machine.macs else None)


def at_address(address: str, registry: Registry, record: Record) -> MAC | None:
    """
    Whose address *address* seems to be, by the configuration or by where a machine last booted.

    That does not say what it boots: see ``whose``.
    """
    return _card(registry.by_address(address)) or record.at(address)[1]
