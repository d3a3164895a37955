"""A kept text is the one that would be made anew: for every type, and whatever the machines say."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netbootd.boot import script
from netbootd.boot.client import Client, Stage
from netbootd.boot.kept import Kept
from netbootd.boot.script import Past, boot_script
from netbootd.mac import MAC
from netbootd.record.standing import Armed, Standing
from netbootd.registry.load import load
from netbootd.registry.subnets import ELSEWHERE
from tests.targets.test_all_types import EACH

BASE = "http://192.0.2.1:3000"
ARGS = "a=__hostname__ b=__rack__-x c=__mac__ d=__ip__ __rack__ e=__done__"
#: It does more with a machine than to print it.
NOT_KEPT = "smartos"
#: What a machine may say: plain words first, then what is no plain word or acts somewhere.
WORDS = ("node7", "n-1.example.org", "A_b", "10.0.0.9", "fe80::1/64", "hostname", "vlan")
ODD = (
    *("", " ", "a b", "#x", "&&", "||", "${mac}", "__mac__", "a__b__c", "x=1", "100%", "%s", "é"),
    *(7, 0, True, False, 1.5, None, ["a"], {"a": "b"}, ["ttyS0", 1], "_", "a_", "\n"),
)


def of(folder, targets, machines, **sections):
    """A registry of *machines* by their MACs."""
    by_type = {}
    for title, keys in targets.items():
        type_, _, name = title.partition("/")
        by_type.setdefault(type_, {})[name] = keys
    (folder / "files").mkdir(exist_ok=True)
    own = {"files": "files", "firmware": [], "state": str(folder / "state")}
    given = {"targets": by_type, "machines": machines, "netbootd": own, **sections}
    (folder / "c.json").write_text(json.dumps(given))
    return load(folder / "c.json")


def both(registry, kept, mac, peer="192.0.2.77", base=BASE, **past):
    """What is made anew, and what comes with *kept*."""
    client = Client(stage=Stage.IPXE, mac=mac, address=peer)
    told = Past(**{"token": "0123456789abcdef", **past})
    return (
        boot_script(client, registry, base, told),
        boot_script(client, registry, base, told, kept=kept),
    )


def text_of(kept, mac, token="t", peer="192.0.2.77"):
    client = Client(stage=Stage.IPXE, mac=mac, address=peer)
    machine = kept.registry.machines[mac]
    return kept.text(client, machine, ELSEWHERE, BASE, token)


def numbered(count):
    return [MAC(bytes([2, 0, 0, 0, 0, number])) for number in range(count)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.ipxe").write_text(
        "#!ipxe\necho {{ hostname }} {{ mac.dashed }} {{ token }} {{ ip }}\n"
        "{% if rack is defined and rack %}echo {{ rack }}{% endif %}\n"
        "echo {{ label|default('none')|upper }} {% if hostname == 'node7' %}seven{% endif %}\n"
    )
    return tmp_path


@pytest.mark.fast_path("texts", "pieces")
@pytest.mark.parametrize("type_", EACH)
def test_each_type(folder, type_):
    keys = EACH[type_][0] | ({"boot_args": ARGS} if "kernel" in EACH[type_][0] else {})
    macs = numbered(12)
    machines = {
        str(mac): {
            "type": type_,
            "name": "x",
            "hostname": f"node{number % 8}",
            "rack": f"r{number}",
        }
        for number, mac in enumerate(macs)
    }
    targets = {"nfs/x": EACH["nfs"][0] | {"boot_args": ARGS}, f"{type_}/x": keys}
    registry = of(folder, targets, machines)
    kept = Kept(registry)
    for mac, peer, token in itertools.product(
        macs, ("192.0.2.77", "2001:db8::1", ""), ("ab12", "")
    ):
        anew, again = both(registry, kept, mac, peer, token=token)
        assert again == anew
    assert (text_of(kept, macs[0]) is not None) == (type_ != NOT_KEPT)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["nfs", "install", "ipxe", "any", "smartos"]),
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["hostname", "rack", "ip", "label", "vlan", "modules", "domain", "token", "args"]
            ),
            st.one_of(st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from(ODD)),
        ),
        min_size=2,
        max_size=8,
    ),
    st.booleans(),
)
def test_whatever_machines_say(folder, type_, said, send_logs):
    keys = EACH[type_][0] | {"send_logs": send_logs}
    if type_ == "install":
        keys |= {"os": "debian", "answer": "preseed.cfg"}
    if "kernel" in keys:
        keys |= {"boot_args": "a=__hostname__ ip=__rack__ __label__ -- z=__ip__"}
    macs = numbered(len(said))
    machines = {
        str(mac): {"type": type_, "name": "x", **words}
        for mac, words in zip(macs, said, strict=True)
    }
    registry = of(folder, {f"{type_}/x": keys}, machines)
    kept = Kept(registry)
    for mac in (*macs, *reversed(macs)):
        anew, again = both(registry, kept, mac)
        assert again == anew


@pytest.mark.fast_path("texts", "pieces")
def test_a_text_is_made_once(folder, monkeypatch):
    macs = numbered(5)
    machines = {str(mac): {"type": "nfs", "name": "x", "hostname": f"n{mac.raw}"} for mac in macs}
    registry = of(
        folder, {"nfs/x": {"kernel": "k", "boot_args": ARGS.replace("__rack__", "r")}}, machines
    )
    kept = Kept(registry)
    both(registry, kept, macs[0])
    monkeypatch.setattr(script, "_of", None)
    client = Client(stage=Stage.IPXE, mac=macs[4], address="192.0.2.9")
    text = boot_script(client, registry, BASE, Past(token="77"), kept=kept).text
    assert f"hostname=n{macs[4].raw}" not in text  # the argument is called a
    assert f"a=n{macs[4].raw} " in text
    assert "?token=77" in text


def test_what_is_decided_counts(folder):
    """A machine that is held, armed or done gets what it gets without."""
    (mac,) = numbered(1)
    targets = {"nfs/x": {"kernel": "k"}, "install/y": {"kernel": "k", "once": True}}
    registry = of(folder, targets, {str(mac): {"type": "install", "name": "y"}})
    kept = Kept(registry)
    standings = [
        Standing(),
        Standing(held="by an operator"),
        Standing(armed=Armed(target="nfs/x")),
        Standing(completed=("install/y",)),
        Standing(unread="the disk is broken"),
    ]
    texts = set()
    for standing in standings * 2:
        anew, again = both(registry, kept, mac, standing=standing)
        assert again == anew
        texts.add(again.text)
    assert len(texts) == len(standings)


def test_an_answer_file_that_cannot_be_made_is_told(folder):
    one, other = numbered(2)
    (folder / "files" / "install").mkdir(parents=True)
    (folder / "files" / "install" / "a.cfg.j2").write_text("{{ disk }}\n")
    keys = {"kernel": "k", "os": "debian", "answer": "install/a.cfg"}
    entry = {"type": "install", "name": "x"}
    machines = {str(one): entry | {"disk": "sda"}, str(other): entry | {"disk": "sda", "rack": "r"}}
    registry = of(folder, {"install/x": keys}, machines)
    kept = Kept(registry)
    assert [both(registry, kept, mac)[1].status for mac in (one, other)] == [200, 200]
    (folder / "files" / "install" / "a.cfg.j2").write_text("{{ nothing }}\n")
    broken = of(folder, {"install/x": keys}, machines)
    kept = Kept(broken)
    for mac in (one, other, one):
        anew, again = both(broken, kept, mac)
        assert again == anew
        assert again.status == 500


def test_an_extra_initrd_is_not_kept(folder):
    (mac,) = numbered(1)
    (folder / "overlays" / "all").mkdir(parents=True)
    (folder / "overlays" / "all" / "motd").write_text("hello\n")
    registry = of(
        folder,
        {"nfs/x": {"kernel": "k"}},
        {str(mac): {"type": "nfs", "name": "x", "overlays": ["all"]}},
    )
    kept = Kept(registry)
    anew, again = both(registry, kept, mac)
    assert again == anew
    assert text_of(kept, mac) is None


def test_there_is_an_end_to_what_is_kept(folder, monkeypatch):
    monkeypatch.setattr("netbootd.boot.kept._MOST", 3)
    macs = numbered(9)
    machines = {
        str(mac): {"type": "nfs", "name": "x", "rack": number} for number, mac in enumerate(macs)
    }
    registry = of(folder, {"nfs/x": {"kernel": "k"}}, machines)
    kept = Kept(registry)
    for mac in macs * 2:
        anew, again = both(registry, kept, mac)
        assert again == anew
    assert len(kept._kept) == 3
