"""Evidence on the left, the first cause on the right; neighbours of each signature beside it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from netbootd.boots.boot import Code, Outcome, Stage
from netbootd.events.progress import Progress
from netbootd.record.claims import SECOND
from netbootd.record.standing import Standing
from netbootd.why.diagnosis import State
from netbootd.why.evidence import Company, Held, TargetFacts
from netbootd.why.telling import lines, short
from netbootd.why.why import diagnose

from .stories import (
    ANSWER,
    FIRST,
    INITRD,
    KERNEL,
    KEY,
    LAN,
    LEASE,
    NOON,
    SIGNED,
    UNSIGNED,
    Story,
    evidence,
    machine,
    target,
)

FOREIGN = {"file": "pxelinux.0", "next_server": LAN}
OFF = target("localboot")
SWITCHED_OFF = replace(OFF, title="localboot (switched off)")


def tftp(end: str, *, sent: int = 0, blksize: int = 1468, times: int = 1) -> dict:
    return {
        "protocol": "TFTP",
        "path": "snponly.efi",
        "end": end,
        "sent": sent,
        "size": 300_000,
        "blksize": blksize,
        "times": times,
    }


def http(path: str, sent: int, *, end: str = "client", seconds: float = 3.0, times: int = 1):
    return {
        "protocol": "HTTP",
        "path": path,
        "end": end,
        "sent": sent,
        "size": 50_000_000,
        "seconds": seconds,
        "times": times,
    }


def not_found(path: str, status: int = 404, protocol: str = "HTTP") -> dict:
    return {"path": path, "status": status, "protocol": protocol, "reason": "no such file"}


def half_an_initrd(number: int = 1, at: float = 0.0, **more) -> Story:
    """A boot that ends in the middle of the initrd."""
    story = Story(number, at).to_script().after(1).fetches(Stage.KERNEL, KERNEL)
    sent, end = more.pop("sent", 9_000_000), more.pop("end", "client")
    trouble = "the client went away" if end == "client" else end
    story.after(2).fetches(Stage.INITRD, INITRD, 50_000_000, sent=sent, trouble=trouble)
    return story.note(Code.BROKEN, **http(INITRD, sent, end=end, **more))


def huge_initrd(size: int = 900 << 20) -> Story:
    """An initrd that is under way and does not begin to move."""
    story = Story().to_script().after(1).fetches(Stage.KERNEL, KERNEL)
    return story.after(2).fetches(Stage.INITRD, INITRD, size, sent=0, open=True)


def broken_loader(**broken) -> Story:
    story = Story().asks().after(4).takes_address().asks_4011().after(1)
    sent = broken.get("sent", 0)
    story.loads(sent=sent, trouble="the client fell silent").after(30)
    return story.note(Code.BROKEN, **broken)


def denied(code: str) -> Story:
    """We are the DHCP server, and have no address for it."""
    data = {"reason": "none is free", "code": code, "subnet": "192.0.2.0/24"}
    return Story().step(Stage.DISCOVER).note(Code.NO_ADDRESS, **data)


def offered(story: Story, times: int = 1, over: float = 0.0) -> Story:
    """We offer an address and a boot file."""
    story.note(Code.LEASE_OFFERED, address=LEASE)
    return story.asks(times, over, style="offered").note(Code.LEASE_OFFERED, address=LEASE)


def leased(story: Story, **more) -> Story:
    data = {"address": LEASE, "seconds": 3600, "how": "new", "netboot": True, **more}
    return story.after(1).note(Code.LEASED, **data)


TABLE = {
    # -- nothing was asked
    "no-discover": evidence(),
    "mac-misspelt": evidence(near="52:54:00:12:34:65"),
    "nobody-heard": evidence(heard={"eth0": 0.0}),
    "not-a-netboot-client": evidence(
        Story().note(Code.NOT_NETBOOT, vendor_class="MSFT 5.0", host_name="win")
    ),
    # -- the configuration wills it
    "unknown-machine": evidence(
        Story()
        .step(Stage.DISCOVER)
        .note(Code.UNSERVED, "not in the configuration", code="unknown"),
        known=False,
        machine=None,
    ),
    "machine-disabled": evidence(Story(boots=SWITCHED_OFF).to_script(), enabled=False),
    "held": evidence(
        Story().to_script(trouble="held: 3 installations in a row"),
        standing=Standing(held="3 installations in a row"),
    ),
    "reload-refused": evidence(
        Story().step(Stage.DISCOVER).note(Code.UNSERVED, "not listed", code="unknown"),
        known=False,
        machine=None,
        refused=("a.json:3: error: json: no comma",),
    ),
    "subnet-unserved": evidence(
        Story().step(Stage.DISCOVER).note(Code.UNSERVED, "nobody is served", code="subnet")
    ),
    "loader-missing": evidence(
        Story().step(Stage.DISCOVER).note(Code.UNSERVED, "no loader for x", code="no-loader")
    ),
    "architecture-unknown": evidence(
        Story().step(Stage.DISCOVER).note(Code.UNSERVED, "no option 93", code="no-arch")
    ),
    "relay-without-giaddr": evidence(
        Story().step(Stage.DISCOVER).note(Code.UNSERVED, "relayed", code="relay")
    ),
    "target-broken": evidence(
        Story().to_script(trouble="linux/it cannot boot"), facts={"broken": "no kernel"}
    ),
    # -- firmware
    "no-address": evidence(Story().asks(4, 28)),
    "offers-dropped": evidence(Story().offered_address().asks(4, 28)),
    "heeds-no-proxy": evidence(
        Story()
        .offered_address()
        .asks(4, 28)
        .note(Code.RESTYLED, before="direct", style="menu", again=True, times=3),
        company=Company(followed=3, alike=2),
    ),
    "foreign-boot-file": evidence(Story().offered_address(**FOREIGN).asks().takes_address()),
    "second-proxy": evidence(
        Story().offered_address(proxy=True, address="", file="wds.efi").asks(2, 4).takes_address()
    ),
    "port-4011-blocked": evidence(Story().offered_address().asks().takes_address()),
    "tftp-blocked": evidence(Story().asks().takes_address().asks_4011()),
    "http-blocked": evidence(Story().to_ipxe().takes_address()),
    # -- the loader
    "oack-unacknowledged": evidence(broken_loader(**tftp("unheard"))),
    "tftp-stalls": evidence(broken_loader(**tftp("lost"))),
    "wrong-loader": evidence(Story().to_loader(), loader=replace(SIGNED, family="efi-ia32")),
    "loader-truncated": evidence(Story().to_loader(), loader=replace(SIGNED, cut=True)),
    "secure-boot": evidence(Story().to_loader(), loader=UNSIGNED),
    "loader-silent": evidence(Story().to_loader()),
    "loader-unreadable": evidence(broken_loader(**tftp("broken", sent=1000))),
    "loader-cut-off": evidence(Story().asks().takes_address().asks_4011().loads(sent=9, open=True)),
    "chain-loop": evidence(
        Story()
        .offered_address(**FOREIGN)
        .to_ipxe()
        .loads("undionly.kpxe", times=3)
        .note(Code.LOOPED, file="undionly.kpxe", times=3)
    ),
    "port-blocked": evidence(Story().to_loader().after(33).note(Code.SILENT, seconds=33.0)),
    # -- the script and what it names
    "name-unresolved": evidence(
        Story().to_script(), facts={"names": ("boot.lan",), "elsewhere": ("http://boot.lan/k",)}
    ),
    "files-elsewhere": evidence(
        Story().to_script(), facts={"files": (), "elsewhere": ("http://198.51.100.9/k",)}
    ),
    "kernel-not-fetched": evidence(Story().to_script()),
    "script-not-fetched": evidence(Story().to_script(note=FIRST)),
    "kernel-missing": evidence(Story().to_script().note(Code.REFUSED, **not_found(KERNEL))),
    "kernel-forbidden": evidence(Story().to_script().note(Code.REFUSED, **not_found(KERNEL, 403))),
    "initrd-missing": evidence(
        Story()
        .to_script()
        .fetches(Stage.KERNEL, KERNEL)
        .after(1)
        .note(Code.REFUSED, **not_found(INITRD))
    ),
    "kernel-refused": evidence(Story().to_script().fetches(Stage.KERNEL, KERNEL)),
    "kernel-truncated": evidence(
        Story().to_script().fetches(Stage.KERNEL, KERNEL), short={KERNEL: "it has 5 bytes"}
    ),
    "kernel-unfit": evidence(
        Story().to_initrd(), unfit={KERNEL: "it is a text that begins with '<html>'"}
    ),
    "initrd-truncated": evidence(half_an_initrd(end="the file has become shorter")),
    "http-stalls": evidence(half_an_initrd(end="the client has long taken nothing", seconds=300.0)),
    "initrd-too-large": evidence(half_an_initrd(sent=200_000).has(memory=64)),
    # -- our own addresses
    "pool-exhausted": evidence(denied("exhausted")),
    "no-pool": evidence(denied("no-pool")),
    "port-limit": evidence(denied("port-limit")),
    "leases-unsaved": evidence(denied("unsaved")),
    "address-unlisted": evidence(denied("unlisted")),
    "address-in-use": evidence(
        Story().asks().note(Code.ADDRESS_IN_USE, address=LEASE, by="52:54:00:00:00:99 (printer)")
    ),
    "address-refused": evidence(
        offered(Story()).note(Code.NAKED, address=LEASE, reason="it is reserved for another")
    ),
    "foreign-dhcp-server": evidence(offered(Story()).takes_address()),
    "offer-not-requested": evidence(offered(Story(), 4, 28)),
    # -- the system
    "kernel-silent": evidence(Story().to_initrd()),
    "kernel-died": evidence(
        Story(2, 60).asks().offered_address(), Story().to_initrd().ends(Outcome.AGAIN)
    ),
    "kernel-panic": evidence(
        Story().to_initrd(),
        console=((NOON + 30, "Kernel panic - not syncing: VFS: Unable to mount root fs"),),
    ),
    "nfs-root-missing": evidence(
        Story(boots=target("nfs"))
        .to_system()
        .note(Code.CONSOLE, "mount.nfs: access denied by server while mounting"),
    ),
    "answer-file-broken": evidence(
        Story(boots=target("install", answer=ANSWER))
        .to_system()
        .note(Code.REFUSED, **not_found(f"/x/{ANSWER}", 500))
    ),
    "answer-file-missing": evidence(
        Story(boots=target("install", answer=ANSWER))
        .to_system()
        .note(Code.REFUSED, **not_found(f"/x/{ANSWER}"))
    ),
    "answer-file-not-fetched": evidence(Story(boots=target("install", answer=ANSWER)).to_system()),
    "node-script-failed": evidence(
        Story()
        .to_system()
        .step(Stage.NODE_SCRIPT)
        .note(Code.REPORTED, outcome="failed", status="2", output="mkfs: no such device\n")
        .step(Stage.FAILED, trouble="mkfs: no such device")
        .ends(Outcome.FAILED)
    ),
    "overdue": evidence(
        Story(boots=target(common={"up_within": 600.0}))
        .to_system()
        .step(Stage.NODE_SCRIPT)
        .ends(Outcome.OVERDUE),
        facts={"up_within": 600.0, "expected": True},
    ),
    "menu-waits": evidence(Story().has(target="menu/it").to_script().has(target="menu/it")),
}


@pytest.mark.parametrize("code", TABLE)
def test_the_first_cause_is_the_one_that_the_evidence_tells_of(code):
    diagnosis = diagnose(TABLE[code])
    assert [cause.code for cause in diagnosis.causes][:1] == [code], diagnosis


@pytest.mark.parametrize("code", TABLE)
def test_a_cause_says_what_to_do_and_where_it_was_seen(code):
    first = diagnose(TABLE[code]).causes[0]
    assert first.advice
    assert first.because
    assert 0 <= first.confidence <= 99
    assert "None" not in " ".join((first.sentence, first.advice, *first.because))


@pytest.mark.parametrize("code", TABLE)
def test_a_diagnosis_is_told_in_lines_that_fit_a_terminal(code):
    diagnosis = diagnose(TABLE[code])
    told = lines(diagnosis, 100)
    assert f"({diagnosis.causes[0].confidence} %)" in "\n".join(told)
    assert all(line.isprintable() for line in told)
    assert diagnosis.causes[0].sentence in short(diagnosis)


def first(of) -> str:
    causes = diagnose(of).causes
    return causes[0].code if causes else ""


def test_who_has_an_address_is_up_and_is_told_so_with_it():
    held = Held(LEASE, 1_790_000_000.0)
    stranger = {"known": False, "machine": None, "heard": {}}
    for of in (
        evidence(lease=held, leases=1, **stranger),
        evidence(lease=held, leases=1, heard={}),
        evidence(leased(Story(), netboot=False)),
        evidence(leased(Story(), netboot=False), later=8.0),
    ):
        found = diagnose(of)
        assert (found.state, found.missing) == (State.UP, "")
        assert [cause.code for cause in found.causes] == ["not-a-netboot-client"]
        assert f"has the address {LEASE} since" in found.causes[0].sentence
        assert "never asked to boot" in found.causes[0].sentence


def test_leases_of_others_tell_that_clients_are_heard():
    codes = [cause.code for cause in diagnose(evidence(heard={}, leases=4)).causes]
    assert codes == ["no-discover"]


@pytest.mark.parametrize("later", [0.5, 4.0])
def test_who_was_just_told_that_there_is_no_address_is_on_no_way(later):
    squatted = Story().step(Stage.DISCOVER).note(Code.ADDRESS_IN_USE, address=LEASE, by="it")
    for story in (denied("exhausted"), squatted):
        assert diagnose(evidence(story, later=later)).state is State.STUCK
    on = leased(offered(squatted))
    assert diagnose(evidence(on, later=later)).state is State.BOOTING


def test_a_machine_with_an_ip_is_not_advised_to_have_one():
    def advice(**more):
        return diagnose(evidence(denied("exhausted"), **more)).causes[0].advice

    assert 'an "ip" to this machine' in advice()
    assert '"ip"' not in advice(machine=machine(address=IPv4Address(LEASE)))


# -- neighbours ------------------------------------------------------------------------------------


NEIGHBOURS = {
    "an address of ours, and the file is not asked for": (
        evidence(leased(offered(Story()))),
        "tftp-blocked",
    ),
    "the same for HTTP boot": (
        evidence(
            leased(
                Story()
                .step(Stage.DISCOVER)
                .step(Stage.OFFER, path="http://192.0.2.10:3000/x/snponly.efi", note="offered")
            )
        ),
        "http-blocked",
    ),
    "an address of ours, and iPXE never asks for its script": (
        evidence(
            leased(
                leased(offered(Story()))
                .loads()
                .step(Stage.IPXE_DISCOVER)
                .step(Stage.IPXE_OFFER, path="http://192.0.2.10:3000/boot/x")
            )
        ),
        "http-blocked",
    ),
    "iPXE is offered an address, and does not ask for it": (
        evidence(
            leased(offered(Story()))
            .loads()
            .after(5)
            .step(Stage.IPXE_DISCOVER)
            .step(Stage.IPXE_OFFER)
            .note(Code.LEASE_OFFERED, address=LEASE)
        ),
        "offer-not-requested",
    ),
    "an address in use, and another one given": (
        evidence(
            leased(offered(Story().note(Code.ADDRESS_IN_USE, address="192.0.2.9", by="somebody")))
        ),
        "tftp-blocked",
    ),
    "a system of its own, to which we give an address": (
        evidence(leased(Story(), netboot=False)),
        "not-a-netboot-client",
    ),
    "direct style goes to TFTP, not to 4011": (
        evidence(Story().offered_address().asks(style="direct").takes_address()),
        "tftp-blocked",
    ),
    "HTTP boot goes to HTTP": (
        evidence(Story().offered_address().asks(style="http").takes_address()),
        "http-blocked",
    ),
    "others follow our offers, so no switch drops them": (
        evidence(Story().offered_address().asks(4, 28), company=Company(followed=2)),
        "heeds-no-proxy",
    ),
    "nobody follows our offers, in whatever style": (
        evidence(
            Story().offered_address().asks(4, 28).note(Code.RESTYLED, before="direct", times=3)
        ),
        "offers-dropped",
    ),
    "a file of the DHCP server's that we were asked for": (
        evidence(
            Story()
            .offered_address(**FOREIGN)
            .asks()
            .takes_address()
            .note(Code.REFUSED, **not_found("pxelinux.0", 1, "TFTP"))
        ),
        "foreign-boot-file",
    ),
    "blocks of 512 bytes are lost by no MTU, but lost they are": (
        evidence(broken_loader(**tftp("lost", blksize=512))),
        "tftp-stalls",
    ),
    "a loader that ran in an earlier boot is not refused by Secure Boot": (
        evidence(
            Story(9, 90_000).to_loader(),
            Story().to_system().ends(Outcome.DONE),
            loader=UNSIGNED,
        ),
        "loader-silent",
    ),
    "an unsigned loader, and the firmware goes on at once": (
        evidence(Story().to_loader().after(2).asks().offered_address(), loader=UNSIGNED),
        "secure-boot",
    ),
    "a BIOS knows no Secure Boot": (
        evidence(
            Story().to_loader().has(arch="BIOS x86"),
            loader=replace(UNSIGNED, family="bios", is_efi=False),
        ),
        "loader-silent",
    ),
    "without memory known, an initrd at which the machine starts anew is too large": (
        evidence(
            half_an_initrd(2, 100, seconds=1.0).ends(Outcome.OPEN),
            half_an_initrd(1, seconds=1.0).ends(Outcome.AGAIN),
        ),
        "initrd-too-large",
    ),
    "a large initrd stands still at its beginning, the kernel came well": (
        evidence(huge_initrd()),
        "initrd-too-large",
    ),
    "a small initrd stands still at its beginning": (
        evidence(huge_initrd(1 << 20)),
        "http-stalls",
    ),
    "memory enough, and the transfer stops: no matter of size": (
        evidence(half_an_initrd(times=2).has(memory=16_000)),
        "http-stalls",
    ),
    "a kernel file that was larger when it last came up": (
        evidence(
            Story(2, 90_000).to_initrd(),
            Story()
            .to_script()
            .fetches(Stage.KERNEL, KERNEL)
            .fetches(Stage.INITRD, INITRD, 90_000_000)
            .step(Stage.SYSTEM)
            .ends(Outcome.DONE),
        ),
        "initrd-truncated",
    ),
    "an NFS root without console lines": (
        evidence(Story(boots=target("nfs", common={"up_within": 300.0})).to_system(), later=4000.0),
        "nfs-root-missing",
    ),
    "a listed machine without a DISCOVER but with a lease": (
        evidence(Story().note(Code.NOT_NETBOOT, vendor_class="dhcpcd-9"), heard={}),
        "not-a-netboot-client",
    ),
    "unknown, and the refused files do not name it": (
        evidence(
            Story().step(Stage.DISCOVER).note(Code.UNSERVED, "no", code="unknown"),
            known=False,
            machine=None,
            refused=("a.json:3: error",),
            in_refused=False,
        ),
        "unknown-machine",
    ),
    "held for a loader that loads itself": (
        evidence(
            Story()
            .offered_address(**FOREIGN)
            .to_ipxe()
            .loads("undionly.kpxe", times=4)
            .note(Code.LOOPED, file="undionly.kpxe", times=3),
            standing=Standing(held="undionly.kpxe was fetched 4 times within 120 s"),
        ),
        "chain-loop",
    ),
    "iPXE with a URL that has a name": (
        evidence(
            Story()
            .to_loader()
            .step(Stage.IPXE_DISCOVER)
            .step(Stage.IPXE_OFFER, path="http://boot.example/boot/x")
            .takes_address()
        ),
        "name-unresolved",
    ),
    "iPXE that takes no address": (evidence(Story().to_ipxe()), "no-address"),
    "iPXE behind a blocked port": (
        evidence(Story().to_loader().after(40).note(Code.SILENT, seconds=40.0).to_ipxe()),
        "port-blocked",
    ),
    "a static address asks no DHCP server": (
        evidence(Story().to_initrd(), facts={"asks_dhcp": False}),
        "kernel-silent",
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_signatures_that_are_close_are_told_apart(name):
    given, code = NEIGHBOURS[name]
    assert first(given) == code


# -- how it is -------------------------------------------------------------------------------------


YOUNG = {
    "offer": Story().asks(),
    "4011": Story().asks().takes_address().asks_4011(),
    "loader": Story().to_loader(),
    "ipxe": Story().to_ipxe(),
    "script": Story().to_script(),
    "initrd": Story().to_initrd(),
}


@pytest.mark.parametrize("name", YOUNG)
def test_of_a_boot_that_is_on_its_way_nothing_is_said(name):
    diagnosis = diagnose(evidence(YOUNG[name], later=5.0))
    assert (diagnosis.state, diagnosis.causes, diagnosis.missing) == (State.BOOTING, (), "")


@pytest.mark.parametrize("name", YOUNG)
def test_the_packet_that_did_not_come_is_named(name):
    assert diagnose(evidence(YOUNG[name])).missing


def test_nothing_is_wrong_with_a_machine_that_is_up():
    story = Story().to_system().step(Stage.DONE).ends(Outcome.DONE)
    diagnosis = diagnose(evidence(story))
    assert (diagnosis.state, diagnosis.causes, diagnosis.missing) == (State.UP, (), "")
    assert "nothing is wrong" in lines(diagnosis)[0]


@pytest.mark.parametrize("denial", [Code.NO_ADDRESS, Code.ADDRESS_IN_USE, Code.NAKED])
def test_who_went_on_to_its_kernel_had_an_address(denial):
    story = Story().asks().note(denial, address=LEASE, code="exhausted", reason="none is free")
    assert [cause.code for cause in diagnose(evidence(story.to_initrd())).causes] == [
        "kernel-silent"
    ]


def test_who_has_none_for_its_loader_is_told_so():
    story = Story().to_loader().after(1).step(Stage.IPXE_DISCOVER)
    story.note(Code.NO_ADDRESS, code="exhausted", subnet="192.0.2.0/24", reason="none is free")
    assert diagnose(evidence(story)).causes[0].code == "pool-exhausted"


def test_a_machine_that_boots_its_disk_is_up():
    story = Story(boots=target("localboot")).to_script()
    assert diagnose(evidence(story)).state is State.UP


def test_a_system_that_never_reports_is_up_once_it_has_asked_for_its_address():
    assert diagnose(evidence(Story().to_system())).state is State.UP


def test_a_system_that_has_to_report_is_stuck_without():
    story = Story(boots=target(common={"up_within": 600.0})).to_system()
    assert diagnose(evidence(story)).state is State.STUCK


def test_a_newer_configuration_that_was_refused_is_told_of_even_when_it_is_up():
    story = Story().to_system().step(Stage.DONE).ends(Outcome.DONE)
    refused = ("machines.json:7: error: unknown target for node1",)
    diagnosis = diagnose(evidence(story, refused=refused))
    assert diagnosis.state is State.UP
    assert [cause.code for cause in diagnosis.causes] == ["reload-refused"]
    assert "nothing is wrong" not in lines(diagnosis)[0]


def test_half_a_minute_lost_to_a_port_is_told_of_even_when_it_is_up():
    story = Story().to_loader().after(32).note(Code.SILENT, seconds=32.0)
    story.step(Stage.SYSTEM).step(Stage.DONE).ends(Outcome.DONE)
    assert first(evidence(story)) == "port-blocked"


# -- several boots ---------------------------------------------------------------------------------


def test_of_several_tries_the_one_that_came_furthest_is_diagnosed():
    failed = Story(1).to_script().note(Code.REFUSED, **not_found(KERNEL)).ends(Outcome.AGAIN)
    again = Story(2, 40).asks(4, 28).offered_address()
    diagnosis = diagnose(evidence(again, failed))
    assert (diagnosis.boot, diagnosis.causes[0].code) == (1, "kernel-missing")


def test_a_boot_that_came_up_is_no_part_of_the_next_ones_struggle():
    fine = Story(1).to_system().ends(Outcome.DONE)
    diagnosis = diagnose(evidence(Story(2, 60).asks(4, 28), fine))
    assert (diagnosis.boot, diagnosis.causes[0].code) == (2, "no-address")


def test_the_latest_try_is_told_of_where_another_is_diagnosed():
    failed = Story(1).to_script().note(Code.REFUSED, **not_found(KERNEL)).ends(Outcome.AGAIN)
    cause = diagnose(evidence(Story(2, 40).asks(4, 28), failed)).causes[0]
    assert cause.because[-1].startswith("the latest try, boot 2, came less far: offer, at ")


def test_that_it_has_not_reported_is_no_news_of_a_machine_without_a_script():
    late = Story().to_loader().ends(Outcome.OVERDUE)
    assert "overdue" not in [cause.code for cause in diagnose(evidence(late)).causes]


def test_what_went_to_its_own_disk_is_no_part_of_the_next_ones_struggle():
    fine = Story(1, boots=OFF).to_script()
    diagnosis = diagnose(evidence(Story(2, 100, boots=OFF).asks(), fine, boots_target=OFF))
    assert (diagnosis.boot, diagnosis.state) == (2, State.STUCK)
    assert diagnosis.causes[0].code != "unexplained"


def test_a_kernel_that_is_there_now_is_told_of_as_mended():
    failed = Story(1).to_script().note(Code.REFUSED, **not_found(KERNEL)).ends(Outcome.AGAIN)
    of = replace(evidence(failed), there=frozenset({KERNEL}))
    cause = diagnose(of).causes[0]
    assert (cause.code, cause.confidence) == ("kernel-missing", 60)
    assert "it is now" in cause.sentence


def test_a_boot_of_yesterday_is_no_part_of_the_struggle():
    old = Story(1).to_script().note(Code.REFUSED, **not_found(KERNEL)).ends(Outcome.AGAIN)
    assert diagnose(evidence(Story(2, 80_000).asks(4, 28), old)).boot == 2


def test_a_machine_that_goes_in_circles_is_stuck_however_young_its_last_boot_is():
    tries = [Story(n, n * 60.0).to_initrd().ends(Outcome.AGAIN) for n in (3, 2, 1)]
    diagnosis = diagnose(evidence(Story(4, 215).asks(), *tries, later=1.0))
    assert diagnosis.state is State.STUCK
    assert diagnosis.causes[0].code == "kernel-died"


def test_who_is_turned_away_now_is_not_asked_about_what_was_before():
    failed = Story(1).to_initrd().ends(Outcome.AGAIN)
    now = Story(2, 90).step(Stage.DISCOVER).note(Code.UNSERVED, "not listed", code="unknown")
    diagnosis = diagnose(evidence(now, failed, known=False, machine=None))
    assert (diagnosis.boot, diagnosis.causes[0].code) == (2, "unknown-machine")


def test_the_default_is_what_a_machine_gets_that_is_not_listed():
    default = replace(machine(target("localboot")), known=False, macs=())
    of = evidence(Story(boots=target("localboot")).to_script(), known=False, machine=default)
    assert diagnose(of).state is State.UP


def test_a_machine_that_nobody_lists_and_that_never_asked_is_called_unknown():
    diagnosis = diagnose(evidence(known=False, machine=None, facts={}, boots_target=OFF))
    assert diagnosis.causes[0].code == "unknown-machine"
    assert KEY in diagnosis.causes[0].advice


@pytest.mark.parametrize(
    ("groups", "words"),
    [((), "--target TYPE/NAME"), (("rack1",), "--group rack1"), (("a", "b"), "--group GROUP")],
)
def test_the_advice_for_an_unknown_machine_names_no_group_where_there_is_none(groups, words):
    of = replace(evidence(known=False, machine=None, facts={}, boots_target=OFF), groups=groups)
    assert diagnose(of).causes[0].advice == f"Add it: netbootd machines add {KEY} {words}"


def test_a_machine_that_never_asked_is_called_unknown_where_others_get_a_default():
    default = replace(machine(OFF), known=False, macs=())
    causes = diagnose(evidence(known=False, machine=default)).causes
    assert [cause.code for cause in causes if cause.code != "nobody-heard"] == [
        "unknown-machine",
        "no-discover",
    ]


def test_a_diagnosis_is_plain_values_for_json():
    plain = diagnose(TABLE["kernel-missing"]).as_dict()
    assert plain["causes"][0]["code"] == "kernel-missing"
    assert plain["state"] == "stuck"
    assert TargetFacts() == TargetFacts()


def test_firmware_that_asks_in_vain_is_stuck_between_two_tries_as_well():
    story = Story().offered_address().asks(5, 60)
    diagnosis = diagnose(evidence(story, later=1.0))
    assert diagnosis.state is State.STUCK
    assert diagnosis.causes[0].code == "offers-dropped"


def test_what_was_mended_by_a_reload_is_no_cause_any_more():
    failed = Story(1).to_script().note(Code.REFUSED, **not_found(KERNEL)).ends(Outcome.AGAIN)
    again = Story(2, 40).has(generation=2).asks(4, 28)
    assert diagnose(evidence(again, failed)).boot == 2


def test_a_target_that_was_armed_is_up_once_its_system_asks_for_an_address():
    story = Story().to_system().has(target="linux/rescue")
    assert diagnose(evidence(story)).state is State.UP
    story = Story().to_system().has(target="install/rescue")
    assert diagnose(evidence(story)).state is State.STUCK


def test_offers_that_a_relay_does_not_bring_back():
    story = Story().asks(4, 28)
    steps = tuple(replace(step, peer="198.51.100.1") for step in story.boot.steps)
    found = diagnose(evidence(story.has(steps=steps)))
    assert found.causes[0].code == "relay-drops-offers"
    assert "198.51.100.1" in found.causes[0].sentence


def test_how_far_a_transfer_under_way_has_come_is_told():
    story = Story().to_script().fetches(Stage.KERNEL, KERNEL, 10 << 20, sent=0, open=True)
    moving = Progress(
        protocol="HTTP",
        path=KERNEL,
        peer="192.0.2.50",
        mac=None,
        size=10 << 20,
        sent=3 << 20,
        began=NOON,
    )
    first_cause = diagnose(evidence(story, transfers=(moving,))).causes[0]
    assert first_cause.code == "http-stalls"
    assert "3.0 MiB of 10.0 MiB" in first_cause.sentence


# -- the console -----------------------------------------------------------------------------------

SAID = {
    "Kernel panic - not syncing: Fatal exception": "kernel-panic",
    "run-init: opening console: No such file or directory": "init-missing",
    "Gave up waiting for root file system device.": "root-missing",
    "mount.nfs: access denied by server while mounting 192.0.2.10:/srv": "nfs-root-missing",
    "Warning: dracut-initqueue timeout - starting timeout scripts": "initramfs-shell",
    "IP-Config: No response after 300 secs - giving up": "system-no-address",
    "main-menu[246]: WARNING **: Menu item 'partman-base' failed.": "installer-failed",
    "tmpfs: No space left on device": "memory-full",
    "bnx2 0000:01:00.0: firmware: failed to load bnx2/bnx2-mips-06.fw (-2)": "driver-missing",
}


@pytest.mark.parametrize("line", SAID)
def test_what_a_console_says_comes_first_and_is_shown(line):
    story = Story(boots=target(common={"up_within": 600.0})).to_initrd()
    diagnosis = diagnose(evidence(story, console=((NOON + 90, "before"), (NOON + 91, line))))
    assert diagnosis.causes[0].code == SAID[line]
    assert any(line[:60] in shown for shown in diagnosis.causes[0].because)


def test_a_root_that_is_missing_is_nfs_where_the_target_has_such():
    story = Story(boots=target("nfs")).to_system()
    story.note(Code.CONSOLE, "Gave up waiting for root file system device.", kind="no-root")
    assert first(evidence(story)) == "nfs-root-missing"


def test_a_panic_needs_no_patience():
    story = Story().to_initrd().after(5).note(Code.CONSOLE, "Kernel panic - not syncing")
    assert diagnose(evidence(story, later=1.0)).causes[0].code == "kernel-panic"


def test_a_line_of_the_boot_before_is_none_of_this_one():
    story = Story(2, 5000).to_initrd()
    of = evidence(story, console=((NOON + 100, "Kernel panic - not syncing"),))
    assert first(of) == "kernel-silent"


def test_a_server_that_is_up_for_days_may_lose_its_file_server():
    story = Story().to_system()
    story.after(90_000).note(Code.CONSOLE, "nfs: server home not responding, timed out")
    assert diagnose(evidence(story)).state is State.UP


def test_a_server_whose_kernel_gives_up_after_days_is_up_no_more():
    story = Story().to_system().step(Stage.DONE).ends(Outcome.DONE)
    story.after(90_000).note(Code.CONSOLE, "Kernel panic - not syncing: Fatal exception")
    diagnosis = diagnose(evidence(story))
    assert (diagnosis.state, diagnosis.causes[0].code) == (State.STUCK, "kernel-panic")


def test_an_answer_file_that_a_second_claimant_is_refused_is_nothing_to_correct():
    refused = (
        Story(boots=target("install", answer=ANSWER))
        .to_system()
        .note(Code.REFUSED, **not_found(f"/x/{ANSWER}", 403))
    )
    held = Standing(held=f"{SECOND} 192.0.2.77 asked")
    codes = [one.code for one in diagnose(evidence(refused, standing=held)).causes]
    assert codes[0] == "held"
    assert "answer-file-missing" not in codes
    by_guard = Standing(held="3 installations in a row")
    codes = [one.code for one in diagnose(evidence(refused, standing=by_guard)).causes]
    assert "answer-file-missing" in codes


@pytest.mark.parametrize(
    "reason",
    ["it is secret, and this boot was not armed with 'netbootd next'", "second claimant: a thief"],
)
def test_what_helps_where_a_secret_was_refused_is_another_armed_boot(reason):
    refused = {**not_found(f"/x/{ANSWER}", 403), "reason": reason}
    story = Story(boots=target("install", answer=ANSWER)).to_system().note(Code.REFUSED, **refused)
    cause = diagnose(evidence(story)).causes[0]
    assert cause.code == "answer-file-missing"
    assert "netbootd next" in cause.advice
    said = "install/it has secrets for 00:25:90:27:db:b4 alone, and this boot was not armed"
    cause = diagnose(evidence(Story().to_script(trouble=said))).causes[0]
    assert cause.code == "target-broken"
    assert "netbootd next" in cause.advice
    assert "check" not in cause.advice
