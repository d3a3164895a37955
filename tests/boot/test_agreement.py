"""
The file that DHCP names is the file that TFTP and HTTP give: for every kind of machine, each
architecture and each choice of loader; and who is refused by one is refused by all three.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netbootd import urls
from netbootd.arch import TABLE, arch_of
from netbootd.boot import loader
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import identify
from netbootd.dhcp import proxy
from netbootd.dhcp.destination import Arrival, Port
from netbootd.dhcp.message import Message, MessageType, Op, Option
from netbootd.errors import Forbidden, NotFound
from netbootd.http import files
from netbootd.http.resource import Asked, Part
from netbootd.loaders import NAMES, SETS
from netbootd.mac import MAC
from netbootd.registry.live import LiveRegistry
from netbootd.registry.load import load
from netbootd.registry.subnets import ELSEWHERE
from netbootd.tftp.locate import Locator
from netbootd.tftp.wire import ReadRequest

OURS = IPv4Address("192.0.2.1")
PEER = "192.0.2.77"
MACHINES = {
    "listed": "00:25:90:27:db:b4",
    "in a group": "00:25:90:27:db:b5",
    "switched off": "00:25:90:27:db:b6",
    "wildcard": "00:50:56:00:00:01",
    "stranger": "52:54:00:12:34:56",
}
WORDS = [*SETS, "own.efi", "deep/own.efi", "nowhere.efi"]
CHOICES = st.one_of(
    st.none(),
    st.sampled_from(WORDS),
    st.dictionaries(
        st.sampled_from(["bios", "efi-x64", "efi-x64-http", "efi-arm64", "4711", "default"]),
        st.sampled_from(WORDS),
        min_size=1,
    ),
)
RPIBOOT = 41  # which knows the names of its files, and is named none
NUMBERS = st.sampled_from([*sorted(TABLE.keys() - {RPIBOOT}), 4711])


@pytest.fixture(scope="module")
def folder():
    """Programs of every name, each with bytes of its own; some are not there."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        for name in (*sorted(NAMES), "own.efi"):
            if "arm64" not in name:
                place = root / "firmware" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(f"firmware {name}".encode())
        (root / "files" / "deep").mkdir(parents=True)
        (root / "files" / "deep" / "own.efi").write_bytes(b"deep")
        (root / "files" / "ipxe.efi").write_bytes(b"of the root")
        yield root


def configured(folder, choices, *, default, known_only):
    setting, target, group, machine = (
        {} if choice is None else {"loader": choice} for choice in choices
    )
    boots = {"type": "localboot", "name": "a"}
    machines = {
        MACHINES["listed"]: {**boots, **machine},
        MACHINES["in a group"]: {**boots, "group": "g"},
        MACHINES["switched off"]: {**boots, "enabled": False},
        "00:50:56:*": boots,
        **({"default": boots} if default else {}),
    }
    whole = {
        "targets": {"localboot": {"a": target}},
        "groups": {"g": group},
        "machines": machines,
        "netbootd": {"files": "files", "firmware": "firmware", "known_only": known_only, **setting},
    }
    (folder / "c.json").write_text(json.dumps(whole))
    return load(folder / "c.json")


def asked_of_dhcp(registry, mac, number, *, http):
    """The boot file, or None."""
    client = b"HTTPClient" if http else b"PXEClient"
    discover = Message(
        op=Op.REQUEST,
        chaddr=mac.ljust(16, b"\0"),
        options={
            Option.MESSAGE_TYPE: bytes((MessageType.DISCOVER,)),
            Option.VENDOR_CLASS: client,
            Option.ARCH: number.to_bytes(2, "big"),
        },
    )
    arrival = Arrival("eth1", OURS, Port.DHCP, ("0.0.0.0", 68))
    answer = proxy.answer(discover, arrival, registry)
    if not isinstance(answer, proxy.Answer):
        return None
    return (answer.reply.file or answer.reply.options[Option.BOOT_FILE]).rstrip(b"\0").decode()


def by_tftp(registry, path):
    """The bytes, or None where it is refused."""
    locator = Locator(LiveRegistry(registry), lambda: 0.0)
    try:
        found = locator.locate(ReadRequest(path, {}), PEER, str(OURS)).content
    except (Forbidden, NotFound):
        return None
    return whole(found)


def by_http(registry, path):
    route = urls.route([part for part in unquote(path).split("/") if part])
    asked = Asked(method="GET", path=path, headers={}, peer=PEER)
    try:
        answer = files.answer(asked, route, registry, LiveRegistry(registry).record)
    except (Forbidden, NotFound):
        return None
    if answer.status is not HTTPStatus.OK:
        return None
    assert isinstance(answer.body, Part)
    return whole(answer.body.content)


def whole(content):
    try:
        return content.read(0, content.size)
    finally:
        content.close()


@settings(deadline=None, max_examples=25)
@given(
    choices=st.tuples(CHOICES, CHOICES, CHOICES, CHOICES),
    number=NUMBERS,
    default=st.booleans(),
    known_only=st.booleans(),
)
def test_dhcp_tftp_and_http_agree(folder, choices, number, default, known_only):
    registry = configured(folder, choices, default=default, known_only=known_only)
    for who, http in itertools.product(MACHINES, (False, True)):
        mac = MAC.parse(MACHINES[who])
        named = asked_of_dhcp(registry, mac, number, http=http)
        if who == "stranger" and (known_only or not default):
            assert named is None
            for path in (f"{mac}/ipxe.efi", f"{mac.dashed}/undionly.kpxe"):
                assert by_tftp(registry, path) is None
                assert by_http(registry, f"/{path}") is None
        elif named is not None:
            path = urlsplit(named).path if http else f"/{named}"
            given_bytes = by_tftp(registry, path)
            assert given_bytes, f"{who} cannot load {named}"
            assert by_http(registry, path) == given_bytes
            name = urls.split_mac(path)[1].lstrip("/")
            assert given_bytes == registry.library.program(name).data
        else:
            client = Client(stage=Stage.FIRMWARE, mac=mac, arch=arch_of(number))
            machine = identify(client, registry)
            assert not loader.find(client.arch, machine, registry, ELSEWHERE).name
