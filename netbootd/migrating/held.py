"""
What other servers have given out: ISC's ``dhcpd.leases(5)``, dnsmasq's lease file, and the table of
Kea's memfile.

A lease is no reservation: whoever has one gets the same address of netbootd when it renews, as long
as nobody else has it.  So they are told, and become machines only where that is asked for.
"""

from __future__ import annotations

import csv
from ipaddress import IPv4Address
from pathlib import Path

from netbootd.errors import MediaError, Place
from netbootd.migrating import names
from netbootd.migrating.files import Files
from netbootd.migrating.found import IPV6, Found, Holder
from netbootd.migrating.statements import Statement, read

_KEA_GIVEN = ("", "0")  # state: assigned, neither declined nor reclaimed


def isc(file: Path, files: Files) -> Found:
    """``dhcpd.leases``: the last that is said of an address counts."""
    found = Found("ISC dhcpd.leases")
    latest: dict[IPv4Address, Holder | None] = {}
    for one in read(file, files):
        if one.name in ("ia-na", "ia-ta", "ia-pd"):
            found.leave(one.place, one.name, IPV6)
        if one.name == "lease" and one.block is not None and len(one.words) == 2:
            address = names.address(one.words[1])
            if address is None:
                found.leave(one.place, one.text, "it is no IPv4 address")
            else:
                latest[address] = _of_isc(one, address)
    found.holders = [holder for _, holder in sorted(latest.items()) if holder is not None]
    return found


def _of_isc(one: Statement, address: IPv4Address) -> Holder | None:
    """One lease; None where nobody has it."""
    said = {inner.name: inner for inner in one.block or ()}
    state = said["binding"].words[-1] if "binding" in said else "active"
    if state != "active" or "abandoned" in said:
        return None
    mac = names.mac("".join(said["hardware"].words[2:])) if "hardware" in said else None
    uid = said["uid"].words[-1] if "uid" in said else ""
    hostname = said["client-hostname"].words[-1] if "client-hostname" in said else ""
    return Holder(
        place=one.place,
        address=address,
        mac=mac,
        client_id="" if mac else uid.encode("latin-1", "replace").hex(":"),
        hostname=names.hostname(hostname),
        until=_ends(said["ends"]) if "ends" in said else "",
    )


def _ends(one: Statement) -> str:
    """``ends 3 2026/01/07 10:22:39`` without the day of the week, or ``never``."""
    words = one.text.partition("#")[0].split()
    return " ".join(words[2:] if len(words) > 2 else words[1:])


def dnsmasq(file: Path, files: Files) -> Found:
    """``dnsmasq.leases``: time, MAC, address, name, client identifier; ``*`` for none."""
    found = Found("leases of dnsmasq")
    for number, line in enumerate(files.begin(file).splitlines(), 1):
        words, place = line.split(), Place(str(file), number)
        if words[:1] == ["duid"]:
            break  # what follows is of IPv6
        if len(words) < 4 or (address := names.address(words[2])) is None:
            if words:
                found.leave(place, line[:60], "it is no lease of IPv4")
            continue
        mac = names.mac(words[1])
        client_id = "" if mac or len(words) < 5 else names.octets(words[4])
        name = "" if words[3] == "*" else names.hostname(words[3])
        until = "never" if words[0] == "0" else f"{words[0]} (Unix time)"
        found.holders.append(
            Holder(
                place=place,
                address=address,
                mac=mac,
                client_id=client_id,
                hostname=name,
                until=until,
            )
        )
    return found


def kea(file: Path, files: Files) -> Found:
    """``kea-leases4.csv``: the last row of an address counts."""
    found = Found("leases of Kea")
    latest: dict[IPv4Address, Holder | None] = {}
    rows = csv.DictReader(files.begin(file).splitlines())
    try:
        for row in rows:
            place = Place(str(file), rows.line_num)
            address = names.address(row.get("address") or "")
            if address is None:
                found.leave(place, str(row.get("address"))[:60], "it is no lease of IPv4")
                continue
            given = (row.get("state") or "") in _KEA_GIVEN and row.get("valid_lifetime") != "0"
            latest[address] = _of_kea(row, address, place) if given else None
    except csv.Error as problem:
        raise MediaError(f"{Place(str(file), rows.line_num)}: {problem}") from None
    found.holders = [holder for _, holder in sorted(latest.items()) if holder is not None]
    return found


def _of_kea(row: dict[str, str], address: IPv4Address, place: Place) -> Holder:
    mac = names.mac(row.get("hwaddr") or "")
    return Holder(
        place=place,
        address=address,
        mac=mac,
        client_id="" if mac else names.octets(row.get("client_id") or ""),
        hostname=names.hostname(row.get("hostname") or ""),
        until=f"{row.get('expire') or '?'} (Unix time)",
    )
