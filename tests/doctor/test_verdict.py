"""What is made of the answers: facts on the left, remarks on the right."""

import json
from ipaddress import IPv4Address, IPv4Interface

import pytest

from netbootd import doctor
from netbootd.dhcp.message import Message, Op
from netbootd.doctor.ask import Heard
from netbootd.doctor.host import Bridge
from netbootd.doctor.verdict import Facts, judge
from netbootd.interfaces import Interface

OURS, DHCP, OTHER = "192.0.2.10", "192.0.2.1", "192.0.2.66"
RUNNING = {"generation": 1, "listening": ["ProxyDHCP UDP 67 and 4011 on eth0"]}
SNOOPING = {
    "generation": 1,
    "listening": ["ProxyDHCP UDP 4011 and snooping UDP 67 on eth0, dnsmasq (pid 9) has the port"],
}


def interface(mtu=1500) -> Interface:
    return Interface("eth0", 2, mtu, up=True, addresses=(IPv4Interface(f"{OURS}/24"),))


def heard(source, *, address="0.0.0.0", siaddr="0.0.0.0", file=b"", firmware="UEFI PXE", **options):
    """An answer; *options* by number, ``o60=b"PXEClient"``."""
    numbered = {int(name[1:]): value for name, value in options.items()}
    message = Message(
        op=Op.REPLY,
        yiaddr=IPv4Address(address),
        siaddr=IPv4Address(siaddr),
        file=file,
        options={54: IPv4Address(source).packed, **numbered},
    )
    return Heard(firmware, source, message)


def lease(source=DHCP, **more) -> Heard:
    return heard(source, address="192.0.2.100", **more)


def proxy(source=OURS, file=b"snponly.efi") -> Heard:
    return heard(source, file=file, o60=b"PXEClient")


def told(*answers, **facts) -> dict[str, str]:
    """Code → level of every remark but those of this host alone."""
    facts.setdefault("interface", interface())
    return {one.code: one.level for one in judge(Facts(answers=answers, **facts))}


GOOD = {"dhcp": "ok", "netbootd": "ok"}
RUNS = {"before": RUNNING, "after": RUNNING}


@pytest.mark.parametrize(
    ("answers", "facts", "remarks"),
    [
        ([lease(), proxy()], RUNS, GOOD),
        ([lease()], {}, {"dhcp": "ok", "no-daemon": "note"}),
        ([], {}, {"no-dhcp": "wrong", "no-daemon": "note"}),
        (
            [],
            {"holders": {67: "kea-dhcp4 (pid 9)"}},
            {"port-shared": "note", "dhcp-here": "note", "no-daemon": "note"},
        ),
        ([proxy()], RUNS, {"no-dhcp": "wrong", "netbootd": "ok"}),
        # beside others
        ([lease(), lease(OTHER), proxy()], RUNS, {**GOOD, "two-dhcp": "note"}),
        (
            [lease(o3=b"\xc0\0\2\1"), lease(OTHER, o3=b"\xc0\0\2\x42"), proxy()],
            RUNS,
            {**GOOD, "rogue-dhcp": "wrong"},
        ),
        ([lease(), proxy(), proxy(OTHER)], RUNS, {**GOOD, "second-proxy": "wrong"}),
        ([lease(), proxy(OTHER)], {}, {"dhcp": "ok", "proxy": "note", "no-daemon": "note"}),
        # what a lease says about booting
        ([lease(siaddr=DHCP), proxy()], RUNS, GOOD),
        ([lease(file=b"undionly.kpxe"), proxy()], RUNS, {**GOOD, "boot-file-twice": "note"}),
        ([lease(o67=b"undionly.kpxe\0"), proxy()], RUNS, {**GOOD, "boot-file-twice": "note"}),
        ([lease(o175=b"\xb0\1\1"), proxy()], RUNS, {**GOOD, "no-pxedhcp": "wrong"}),
        ([lease(o175=b"\xb0\1\0"), proxy()], RUNS, GOOD),
        ([lease(o60=b"PXEClient"), proxy()], RUNS, {**GOOD, "vendor-class": "wrong"}),
        ([lease(o60=b"PXEClient", o43=b"\6\1\x08\xff"), proxy()], RUNS, GOOD),
        (
            [lease(o60=b"PXEClient"), proxy()],
            {**RUNS, "knocked": {DHCP: True}},
            {**GOOD, "vendor-class": "note"},
        ),
        (
            [lease(OURS, o60=b"PXEClient"), proxy()],
            {**RUNS, "holders": {4011: "netbootd (pid 7)"}},
            {**GOOD, "vendor-class": "note"},
        ),
        ([lease(OURS, o60=b"PXEClient"), proxy()], RUNS, {**GOOD, "vendor-class": "wrong"}),
        # our own daemon
        ([lease()], RUNS, {"dhcp": "ok", "daemon-silent": "wrong"}),
        ([lease()], {"after": {"listening": []}}, {"dhcp": "ok", "not-served": "wrong"}),
        ([lease()], {"after": SNOOPING}, {"dhcp": "ok", "snooping": "note"}),
        (
            [lease()],
            {"before": RUNNING, "after": {**RUNNING, "events": {"unserved.dhcp": 2}}},
            {"dhcp": "ok", "unserved": "note"},
        ),
    ],
)
def test_answers_are_judged_as_firmware_takes_them(answers, facts, remarks):
    assert told(*answers, **facts) == remarks


SERVES = {"generation": 1, "listening": ["DHCP server UDP 67 on eth0"]}


@pytest.mark.parametrize(
    ("answers", "facts", "remarks"),
    [
        ([lease(OURS, file=b"snponly.efi", siaddr=OURS)], {"after": SERVES}, {"dhcp": "ok"}),
        (
            [lease(OURS), lease(DHCP)],
            {"after": SERVES},
            {"dhcp": "ok", "foreign-dhcp": "wrong"},
        ),
        (
            [lease(DHCP)],
            {"after": SERVES},
            {"foreign-dhcp": "wrong", "daemon-silent": "wrong"},
        ),
        ([], {"after": SERVES}, {"daemon-silent": "wrong"}),
        ([], {"after": RUNNING}, {"not-served": "wrong"}),
        (
            [],
            {"before": SERVES, "after": {**SERVES, "events": {"unserved.dhcp": 2}}},
            {"unserved": "note"},
        ),
        ([], {}, {"no-daemon": "note"}),
        ([lease(DHCP)], {}, {"foreign-dhcp": "wrong", "no-daemon": "note"}),
        ([lease(OURS), proxy(OTHER)], {"after": SERVES}, {"dhcp": "ok", "second-proxy": "wrong"}),
        (
            [],
            {"holders": {67: "kea-dhcp4 (pid 9)"}},
            {"port-taken": "wrong", "no-daemon": "note"},
        ),
    ],
)
def test_where_netbootd_gives_the_addresses_another_server_is_the_problem(answers, facts, remarks):
    assert told(*answers, serving=True, **facts) == remarks


def texts(*answers, **facts) -> str:
    facts = Facts(interface=interface(), answers=answers, serving=True, **facts)
    return "\n".join(one.text for one in judge(facts))


def test_another_server_of_this_host_is_not_taken_for_netbootd():
    beside = {"holders": {67: "dnsmasq (pid 9)"}}
    told_so = {"port-taken": "wrong", "foreign-dhcp": "wrong"}
    idle = {"generation": 1, "listening": []}
    assert told(lease(OURS), serving=True, after=idle, **beside) == {
        **told_so,
        "not-served": "wrong",
    }
    assert told(lease(OURS), serving=True, **beside) == {**told_so, "no-daemon": "note"}
    assert "dnsmasq (pid 9) on this host offers 192.0.2.100" in texts(lease(OURS), **beside)


def test_an_empty_pool_is_told_by_the_daemon_and_hides_no_other_server():
    full = "no address is left in 192.0.2.0/24, so 02:00:00:00:00:09 got none: all are taken"
    rival = f"another DHCP server, {DHCP}, gives addresses on eth0, where we do: one must go"
    after = {**SERVES, "troubles": [full]}
    wrong = {"pool-exhausted": "wrong", "foreign-dhcp": "wrong"}
    assert told(serving=True, after=after) == {"pool-exhausted": "wrong"}
    assert told(lease(DHCP), serving=True, after=after) == wrong
    assert told(serving=True, after={**SERVES, "troubles": [full, rival]}) == wrong
    said = texts(lease(DHCP), after={**SERVES, "troubles": [full, rival]})
    assert full in said
    assert rival not in said


@pytest.mark.parametrize(
    ("facts", "code", "level"),
    [
        ({"carrier": False}, "no-carrier", "wrong"),
        ({"interface": interface(1400)}, "small-mtu", "note"),
        ({"bridge": Bridge(of="br0")}, "bridge-port", "wrong"),
        ({"bridge": Bridge(waiting=(("eth1", "learning"),))}, "port-waiting", "wrong"),
        ({"bridge": Bridge(tree_s=30.0)}, "spanning-tree", "note"),
        ({"holders": {67: "dnsmasq (pid 9)"}}, "port-shared", "note"),
        ({"holders": {69: "in.tftpd (pid 9)"}}, "port-taken", "wrong"),
        ({"holders": {4011: "dnsmasq (pid 9)"}}, "port-taken", "wrong"),
        (
            {"holders": {69: 'another process of user netbootd (run "ss" as root to see which)'}},
            "port-taken",
            "note",
        ),
    ],
)
def test_this_host_is_judged(facts, code, level):
    remarks = told(lease(), proxy(), **{**RUNS, **facts})
    assert remarks.pop(code) == level
    assert remarks == GOOD


def test_our_own_ports_are_no_matter():
    own = dict.fromkeys((67, 69, 4011), "netbootd (pid 7)")
    assert told(lease(), proxy(), **RUNS, holders=own) == GOOD


def test_text_and_json_say_the_same():
    facts = Facts(interface=interface(), answers=(lease(file=b"a\x1b[2Jb"), proxy()), **RUNS)
    results = [(facts, judge(facts))]
    text = doctor.text(results)
    assert text.startswith("eth0  192.0.2.10/24  MTU 1500\n")
    assert "\x1b" not in text
    [said] = json.loads(doctor.as_json(results))
    assert said["wrong"] is False
    assert all(remark["text"] in text for remark in said["remarks"])
    assert [answer["server"] for answer in said["answers"]] == [DHCP, OURS]
