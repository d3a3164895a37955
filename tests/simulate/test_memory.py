"""The world without a socket behaves as the daemon would on the wire."""

from __future__ import annotations

import pytest

from netbootd.dhcp import wire
from netbootd.dhcp.destination import Port
from netbootd.dhcp.message import Option
from netbootd.mac import MAC
from netbootd.registry.load import load
from netbootd.simulate.firmware import firmware
from netbootd.simulate.memory import Memory
from netbootd.simulate.network import Unreachable

NODE = MAC.parse("00:25:90:27:db:b4")
RELAY_INFORMATION = 82


@pytest.fixture
def memory(tmp_path):
    (tmp_path / "undionly.kpxe").write_bytes(bytes(1000))
    file = tmp_path / "c.json"
    file.write_text(
        '{ "targets" : { "localboot" : { "disk" : {} } }, "netbootd" : { "firmware" : "." },'
        ' "machines" : { "default" : { "type" : "localboot", "name" : "disk" } } }'
    )
    return Memory(load(file), "c.json")


@pytest.mark.parametrize(("size", "kept"), [(576, False), (1500, True)])
def test_the_answer_fits_what_the_client_takes(memory, size, kept):
    plain = firmware("bios", None).discover(NODE)
    options = {
        **plain.options,
        int(Option.MAX_SIZE): size.to_bytes(2, "big"),
        RELAY_INFORMATION: bytes(300),
    }
    answer = memory.dhcp(wire.encode(plain._replace(options=options)), Port.DHCP, "")
    assert (RELAY_INFORMATION in answer.options) is kept


def test_a_file_made_of_a_template_is_the_machines_own(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "boot.cfg.j2").write_text("{{ mac }}{{ x|default('') }}")
    (tmp_path / "files" / "bad.j2").write_text("{{ x }}")
    file = tmp_path / "c.json"
    file.write_text(
        '{ "targets" : { "localboot" : { "disk" : {} } }, "netbootd" : { "files" : "files" },'
        ' "machines" : { "default" : { "type" : "localboot", "name" : "disk" } } }'
    )
    memory = Memory(load(file), "c.json")
    base = "http://192.0.2.1:3000"
    assert memory.http(f"{base}/{NODE.dashed}/boot.cfg", "iPXE/1").size == 17
    for path, reason in (("bad", "500: bad.j2:1: 'x' is undefined"), ("none", "404")):
        with pytest.raises(Unreachable, match=reason):
            memory.http(f"{base}/{NODE.dashed}/{path}", "iPXE/1")


def test_an_address_that_stands_for_the_boot_servers_is_told_at_once(memory, tmp_path):
    assert memory.name.endswith("; 192.0.2.1 stands for the boot server's own address")
    file = tmp_path / "d.json"
    file.write_text('{ "boot_servers" : { "default" : "192.0.2.1:3000" } }')
    assert Memory(load(file), "d.json").name == "d.json, in memory"
