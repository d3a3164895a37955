"""Files that are broken, or made to harm: a line with the place, never a traceback."""

from __future__ import annotations

import random

import pytest

from .test_samples import EACH, SAMPLES


def refused(site, file, *words):
    said = site.run(file)
    assert said.status == 1, said.out
    assert said.out == ""
    for word in words:
        assert word in said.err
    assert len(said.err.splitlines()) == 1
    return said.err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.conf", "subnet 10.0.0.0 netmask 255.0.0.0 {\n range 1 2", ["a.conf:2", '";"']),
        ("b.conf", "authoritative;\nhost a {\n option x 1; ", ["b.conf:2", "still open"]),
        ("c.conf", "authoritative;\n}\n", ["c.conf:2", "none is open"]),
        ("d.conf", 'authoritative;\noption a "b', ["d.conf:2", "not closed"]),
        ("e.conf", "authoritative;\n" + "group {" * 5000, ["e.conf:2", "deeper than 100"]),
        ("f.json", '{ "Dhcp4" : {\n "subnet4" : [ { ] } }', ["f.json:2"]),
        ("g.json", '{ "Dhcp4" : ' + "[" * 5000, ["g.json:1", "nested deeper"]),
        ("h.json", '{ "Dhcp4" : <?include "no-such-file"?> }', ["h.json:1", "no such file"]),
        ("i.json", '{ "Dhcp4" : 7 }', ["i.json", "no object"]),
        ("j.json", '{ "Dhcp4" : /* never closed', ["j.json:1", "not closed"]),
        ("m.json", '{ "Dhcp4" :\n' + "/* " * 100_000, ["m.json:2", "comment is not closed"]),
        ("k.xml", "<pfsense>\n<dhcpd></pfsense>", ["k.xml:2", "mismatched tag"]),
        ("l.xml", "<pfsense>" + "<a>" * 5000, ["l.xml:1", "deeper than 100"]),
        ("n.txt", "Dear diary, today I went to the sea.", ["n.txt is text"]),
    ],
)
def test_what_is_broken_is_refused_with_its_place(site, name, text, words):
    (site.media / name).write_text(text)
    refused(site, site.media / name, *words)


def test_entities_and_documents_elsewhere_are_refused(site):
    file = site.media / "bomb.xml"
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    file.write_text(f'<?xml version="1.0"?>\n{bomb}\n<pfsense>&b;</pfsense>')
    refused(site, file)
    file.write_text('<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "file:///etc/passwd">\n<pfsense/>')
    refused(site, file, "bomb.xml:2", "document type")


def test_a_file_that_includes_itself_is_refused(site):
    (site.media / "loop.conf").write_text('authoritative;\ninclude "loop.conf";\n')
    refused(site, site.media / "loop.conf", "loop.conf:2", "included by itself")
    (site.media / "d.conf").write_text("dhcp-range=10.0.0.1,10.0.0.9\nconf-dir=.\n")
    refused(site, site.media / "d.conf", "d.conf:2", "included by itself")
    (site.media / "k.json").write_text('{ "Dhcp4" : { "subnet4" : <?include "k.json"?> } }')
    refused(site, site.media / "k.json", "k.json:1", "included by itself")


def test_no_device_and_no_pipe_is_read(site):
    (site.media / "a.conf").write_text('authoritative;\ninclude "/dev/zero";\n')
    refused(site, site.media / "a.conf", "/dev/zero")


def test_what_is_no_text_is_a_medium_or_nothing(site):
    noise = random.Random(1).randbytes(100_000)
    (site.media / "noise").write_bytes(noise)
    refused(site, site.media / "noise")
    (site.media / "half.conf").write_bytes(b"authoritative;\n" + noise)
    refused(site, site.media / "half.conf")


def test_control_characters_of_a_file_stay_in_one_comment(site):
    file = site.media / "a.conf"
    file.write_text('authoritative;\nhost a { hardware ethernet "\\n}\\n{ \x1b[31mx"; }\n')
    said = site.run(file)
    assert said.status == 0
    assert "\x1b" not in said.out + said.err
    assert all(line.startswith(("#", "{", "}")) for line in said.out.splitlines())


@pytest.mark.parametrize("name", EACH)
def test_no_damage_to_a_sample_makes_a_traceback(site, name):
    """Cut, doubled, changed in a byte: taken in part or refused, each time with a word."""
    whole = (SAMPLES / name).read_bytes()
    chance = random.Random(name)
    file = site.media / name
    for _ in range(12):
        data = bytearray(whole)
        match chance.randrange(3):
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                at = chance.randrange(len(data))
                data[at:at] = data[at : at + chance.randrange(300)]
            case _:
                for _ in range(5):
                    data[chance.randrange(len(data))] = chance.choice(b'\n"{}#;,:<>/\\0a\xff')
        file.write_bytes(data)
        said = site.run(file)
        assert said.status in (0, 1), said.err
        assert said.out or said.err


def test_a_file_of_many_hosts_is_read_in_one_go(site):
    lines = ["subnet 10.0.0.0 netmask 255.0.0.0 { }"]
    for n in range(3000):
        mac = f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
        lines.append(
            f"host h{n} {{ hardware ethernet {mac}; fixed-address 10.1.{n >> 8}.{n & 255}; }}"
        )
    (site.media / "many.conf").write_text("\n".join(lines))
    said = site.run(site.media / "many.conf")
    assert said.status == 0
    assert "3000 machines" in said.err
