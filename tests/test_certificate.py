"""The certificate of HTTPS: what cannot be used is refused in words, what clients dislike is told."""

from __future__ import annotations

import os
import re
import time

import pytest

from netbootd import certificate
from netbootd.check import check
from netbootd.errors import Level, Unusable
from tests.certificates import authority, signed

NOW = time.time()


@pytest.fixture(scope="module")
def server():
    return signed(
        "server", "192.0.2.10", "2001:db8::1", "boot.example", "*.rack", signer=authority()
    )


@pytest.fixture
def file(server, tmp_path):
    return server.write(tmp_path / "both.pem")


def told(pair, *hosts):
    return list(certificate.remarks(pair, hosts, NOW))


def test_a_sound_pair_in_one_file_or_two(server, file, tmp_path):
    together = certificate.read(file, None)
    (tmp_path / "cert.pem").write_bytes(server.pem)
    (tmp_path / "key.pem").write_bytes(server.key_pem())
    (tmp_path / "key.pem").chmod(0o640)
    apart = certificate.read(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert together.names == apart.names == {"192.0.2.10", "2001:db8::1", "boot.example", "*.rack"}
    assert [len(one.chain) for one in (together, apart)] == [2, 2]
    assert told(apart, "192.0.2.10", "2001:DB8:0::1", "Boot.Example", "node7.rack") == []
    assert "PRIVATE" not in repr(apart)


def refusal(*files):
    with pytest.raises(Unusable) as refused:
        certificate.read(*files)
    return str(refused.value)


@pytest.mark.parametrize(
    ("mode", "who"), [(0o644, "everybody"), (0o604, "everybody"), (0o620, "its group")]
)
def test_a_key_that_others_can_read_or_change_is_refused(file, mode, who):
    file.chmod(mode)
    assert refusal(file, None) == (
        f"{file} has the key of HTTPS, and {who} may read or change it (mode {mode:04o}):"
        " chmod 0600, or 0640"
    )


def test_what_is_no_pair_is_refused_in_words(server, file, tmp_path):
    other = tmp_path / "other.pem"
    other.write_bytes(signed("other").key_pem())
    other.chmod(0o600)
    assert refusal(file, other) == f"{other} is not the key of the certificate in {file}"
    assert "holds no certificate in PEM" in refusal(other, None)
    other.write_bytes(server.pem)
    assert "holds no private key in PEM" in refusal(other, None)
    other.write_bytes(server.key_pem(b"secret"))
    assert "holds a key with a passphrase" in refusal(file, other)
    other.write_bytes(b"\0" * 100)
    assert "holds no private key in PEM" in refusal(file, other)
    assert refusal(tmp_path, None).startswith(f"{tmp_path} ")
    gone = tmp_path / "gone"
    assert refusal(gone, None) == f"{gone} cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert refusal(tmp_path / "fifo", None) == f"{tmp_path / 'fifo'} is no file"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((-10, -1), "has expired, and no client takes it"),
        ((-10, 1.5), "expires in 1 day: renew it, and reload"),
        ((-10, 29.5), "expires in 29 days: renew it, and reload"),
        ((1, 100), "is not valid yet: is the clock right?"),
    ],
)
def test_the_time_it_is_good_for(tmp_path, days, words):
    made = signed("server", "a", signer=authority(), days=days)
    file = made.write(tmp_path / "both.pem")
    assert told(certificate.read(file, None), "a") == [f"{file} {words}"]


def test_a_host_that_it_does_not_name_is_told_with_what_would_be_right(file):
    pair = certificate.read(file, None)
    assert told(pair, "192.0.2.11") == [
        f"{file} is for *.rack, 192.0.2.10, 2001:db8::1, boot.example, and boot_servers sends machines"
        " to https://192.0.2.11: its subjectAltName lacks IP:192.0.2.11"
    ]
    assert told(pair, "a.b.rack")[0].endswith("lacks DNS:a.b.rack")
    assert told(pair, "rack")[0].endswith("lacks DNS:rack")


def test_the_common_name_counts_for_nothing(tmp_path):
    pair = certificate.read(signed("server", signer=authority()).write(tmp_path / "a"), None)
    assert "is for nobody" in told(pair, "server")[0]


def test_what_ipxe_cannot_read_is_told(tmp_path):
    pair = certificate.read(signed("x", "a", elliptic=True).write(tmp_path / "a"), None)
    assert told(pair, "a") == [
        f"{tmp_path / 'a'}: the key of CN=x is not RSA, which is all that iPXE of 2025 knows"
    ]


def test_a_chain_in_disorder_is_told(server, file):
    file.write_bytes(server.pem + signed("somebody").pem + server.key_pem())
    (line,) = told(certificate.read(file, None), "boot.example")
    assert line.endswith("and CN=somebody did not sign what is before it")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_key_that_the_daemons_user_cannot_read_is_told_with_what_would_be_right(file):
    os.setegid(65534)
    os.seteuid(65534)
    try:
        told = refusal(file, None)
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert re.match(r"user nobody cannot (read|enter) /\S+", told)
    assert re.search(r": (chown nobody|chgrp nogroup) ", told)


# -- check -----------------------------------------------------------------------------------------


def findings(tmp_path, tls, boot_server="https://192.0.2.11", **settings):
    import json

    config = {"netbootd": {"tls": tls, **settings}, "boot_servers": {"default": boot_server}}
    (tmp_path / "c.json").write_text(json.dumps(config))
    report = check(tmp_path / "c.json")
    return [
        (one.level, one.code, one.text) for one in report.findings if one.code.startswith("tls")
    ]


def test_check_tells_what_the_boot_servers_need(file, tmp_path):
    ((level, code, text),) = findings(tmp_path, {"certificate": str(file)})
    assert (level, code) == (Level.WARNING, "tls-certificate")
    assert text.endswith("lacks IP:192.0.2.11")


def test_check_asks_nothing_of_servers_that_are_not_ours(file, tmp_path):
    assert findings(tmp_path, {"certificate": str(file)}, "https://192.0.2.11:8443") == []
    assert findings(tmp_path, {"certificate": str(file)}, "http://192.0.2.11") == []


def test_check_tells_of_a_pair_that_cannot_be_used(file, tmp_path):
    file.chmod(0o644)
    ((level, code, text),) = findings(tmp_path, {"certificate": str(file)})
    assert (level, code) == (Level.TARGET, "tls-certificate")
    assert "a daemon that has one in force goes on with that" in text


def test_check_tells_of_settings_that_contradict_each_other(file, tmp_path):
    ((level, _, text),) = findings(
        tmp_path, {"certificate": str(file), "port": [443, 3000]}, "http://192.0.2.10"
    )
    assert (level, "port 3000" in text) == (Level.TARGET, True)
    ((level, _, text),) = findings(tmp_path, {"only": True}, "http://192.0.2.10")
    assert (level, text) == (Level.WARNING, '"tls" has no "certificate", so there is no HTTPS')
