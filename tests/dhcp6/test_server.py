"""Requests in, what is given out: as a proxy and as the server."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from netbootd.addressing import Serving
from netbootd.config import Dhcp
from netbootd.dhcp6 import server
from netbootd.dhcp6.given import Given, Ignored
from netbootd.dhcp6.message import Association, MessageType, Option, Relay, Status
from netbootd.events.event import Offered, Unserved
from netbootd.events.lease import AddressInUse, Leased, LeaseEnded, LeaseOffered, NoAddress
from netbootd.leases.lease import State
from netbootd.leases.table import Leases
from netbootd.registry.hostnames import indexed

from .registries import (
    DNS,
    FIRST,
    HTTP,
    IPXE,
    NODE,
    OTHER,
    OUR_DUID,
    PXE,
    RESERVED,
    arrival,
    duid,
    proxy,
    registry,
    request,
    subnet,
)

M = MessageType
ELSEWHERE = IPv6Address("2001:db8:2::5")


class Site:
    """A registry, the leases, and the time."""

    def __init__(self, held=None) -> None:
        self.registry = held or registry()
        self.leases = Leases()
        self.now = 1000.0
        self.saving = True

    def ask(self, message, came=None):
        return server.answer(
            message,
            came or arrival(),
            self.registry,
            self.leases,
            duid=OUR_DUID,
            now=self.now,
            saving=self.saving,
        )

    def given(self, *words, came=None, **more):
        answer = self.ask(request(*words, **more), came)
        assert isinstance(answer, Given), answer
        return answer

    def ignored(self, *words, came=None, **more):
        answer = self.ask(request(*words, **more), came)
        assert isinstance(answer, Ignored), answer
        return answer

    def lease(self, mac=NODE, **more):
        """An address, by SOLICIT and REQUEST."""
        came, who = arrival(mac), more.pop("who", duid(mac))
        offered = address_of(self.given(M.SOLICIT, who=who, came=came, **more))
        return address_of(self.given(M.REQUEST, offered, who=who, came=came, **more))


def ia_of(given: Given) -> Association:
    [one] = given.reply.associations
    return one


def address_of(given: Given) -> IPv6Address:
    return ia_of(given).addresses[0]


def status_of(given: Given) -> int | None:
    """That of the association where it has one, else that of the message."""
    for code, value in given.reply.options:
        if code == Option.IA_NA:
            at = value.find(b"\0\x0d", 12)
            if at >= 0:
                return value[at + 5]
    told = given.reply.option(Option.STATUS_CODE)
    return told and told[1]


def kinds(given: Given) -> list[type]:
    return [type(event) for event in given.events]


# -- as a proxy --------------------------------------------------------------------------------


def test_a_proxy_answers_firmware_that_asks_for_information():
    given = Site(proxy()).given(M.INFORMATION_REQUEST, more=PXE)
    url = given.reply.option(Option.BOOT_FILE_URL)
    assert url.startswith(b"tftp://[2001:db8:1::1]/52:54:00:12:34:56/")
    assert given.reply.type == M.REPLY
    assert given.reply.server_id == OUR_DUID
    assert kinds(given) == [Offered]


@pytest.mark.parametrize("kind", [M.SOLICIT, M.REBIND, M.CONFIRM, M.REQUEST, M.RELEASE])
def test_a_proxy_leaves_addresses_to_the_sites_server(kind):
    assert "server" in Site(proxy()).ignored(kind, FIRST, more=PXE).reason


def test_a_proxy_says_nothing_to_a_running_system():
    assert Site(proxy()).ignored(M.INFORMATION_REQUEST).reason == "not a netboot client"


def test_a_machine_that_may_not_boot_is_told_nothing_by_a_proxy():
    answer = Site(proxy(default=False)).ignored(M.INFORMATION_REQUEST, more=PXE)
    assert answer.unserved
    assert answer.code == "unknown"


def test_what_only_ipv4_is_told_makes_no_server_of_us():
    held = registry(subnet(addressing={"serving": None, "pools": ()}), dhcp=Dhcp(Serving.SERVER))
    assert "server" in Site(held).ignored(M.SOLICIT).reason


def test_with_pools_the_setting_counts():
    held = registry(subnet(addressing={"serving": None}), dhcp=Dhcp(Serving.SERVER))
    assert address_of(Site(held).given(M.SOLICIT)) == FIRST


def test_an_interface_that_is_off_is_off():
    held = registry(dhcp=Dhcp(interfaces={"eth0": Serving.OFF}))
    assert "off" in Site(held).ignored(M.SOLICIT).reason


# -- what is told of a boot --------------------------------------------------------------------


def test_http_boot_gets_a_url_and_its_own_word_back():
    reply = Site().given(M.SOLICIT, more=HTTP).reply
    url = reply.option(Option.BOOT_FILE_URL)
    assert url.startswith(b"http://[2001:db8:1::1]:3000/52-54-00-12-34-56/")
    assert reply.option(Option.VENDOR_CLASS) == b"\0\0\1\x57\0\x0aHTTPClient"
    assert reply.options[-1][0] != Option.BOOT_FILE_URL


def test_pxe_is_not_sent_to_port_4011():
    reply = Site().given(M.SOLICIT, more=PXE).reply
    assert reply.option(Option.VENDOR_CLASS) is None
    assert reply.option(Option.BOOT_FILE_URL) is not None


def test_ipxe_gets_its_script():
    reply = Site(registry(macs=[NODE])).given(M.SOLICIT, more=IPXE).reply
    url = reply.option(Option.BOOT_FILE_URL)
    assert url == b"http://[2001:db8:1::1]:3000/boot/52:54:00:12:34:56"


@pytest.mark.parametrize(
    ("boot_server", "base"),
    [
        ("https://boot.example", "https://boot.example"),
        ("https://192.0.2.10", "http://[2001:db8:1::1]:3000"),  # it may have no IPv4
    ],
)
def test_ipxe_gets_its_script_by_https_where_the_boot_server_is(boot_server, base):
    held = replace(registry(macs=[NODE]), boot_server=boot_server)
    reply = Site(held).given(M.SOLICIT, more=IPXE).reply
    assert reply.option(Option.BOOT_FILE_URL) == f"{base}/boot/52:54:00:12:34:56".encode()


def test_the_boot_server_of_the_subnet_is_told():
    held = registry(subnet(boot_server="http://[2001:db8:9::9]:8080"))
    reply = Site(held).given(M.SOLICIT, more=HTTP).reply
    assert reply.option(Option.BOOT_FILE_URL).startswith(b"http://[2001:db8:9::9]:8080/")


def test_a_machine_that_may_not_boot_has_an_address_all_the_same():
    reply = Site(registry(default=False)).given(M.SOLICIT, more=PXE)
    assert address_of(reply) == FIRST
    assert reply.reply.option(Option.BOOT_FILE_URL) is None
    assert kinds(reply) == [LeaseOffered, Unserved]
    assert reply.events[1].what.startswith("got no boot file: ")


def test_a_running_system_is_told_no_boot_file():
    reply = Site().given(M.SOLICIT).reply
    assert reply.option(Option.BOOT_FILE_URL) is None
    assert reply.option(DNS[0]) == DNS[1]


def test_nobody_is_served_where_the_subnet_is_off():
    assert Site(registry(subnet(served=False))).ignored(M.SOLICIT, more=PXE).code == "subnet"


def test_an_unlisted_machine_gets_nothing_where_only_listed_ones_are_served():
    site = Site(registry(subnet(known_only=True), macs=[NODE]))
    assert site.ignored(M.SOLICIT, who=duid(OTHER), came=arrival(OTHER)).code == "unlisted"
    assert address_of(site.given(M.SOLICIT)) == FIRST


# -- addresses ---------------------------------------------------------------------------------


def test_a_solicit_is_offered_an_address_which_is_not_written():
    given = Site().given(M.SOLICIT)
    assert (given.reply.type, address_of(given), given.write) == (M.ADVERTISE, FIRST, ())
    assert ia_of(given).lifetimes == ((1000, 1000),)
    assert kinds(given) == [LeaseOffered]


def test_a_request_gets_what_was_offered_and_it_is_written():
    site = Site()
    site.given(M.SOLICIT)
    given = site.given(M.REQUEST, FIRST)
    [lease] = given.write
    assert (given.reply.type, address_of(given)) == (M.REPLY, FIRST)
    assert (lease.state, lease.until, lease.mac) == (State.LEASED, 2000.0, NODE)
    [event] = given.events
    assert isinstance(event, Leased)
    assert (event.how, event.seconds) == ("new", 1000)


def test_no_second_is_lost_to_the_clocks_fractions():
    site = Site()
    site.now = 1795.2996680000001
    assert ia_of(site.given(M.REQUEST, FIRST)).lifetimes == ((1000, 1000),)


def test_rapid_commit_where_both_want_it():
    wants = ((Option.RAPID_COMMIT, b""),)
    assert Site().given(M.SOLICIT, more=wants).reply.type == M.ADVERTISE
    quick = Site(registry(subnet(addressing={"rapid_commit": True}))).given(M.SOLICIT, more=wants)
    assert quick.reply.type == M.REPLY
    assert quick.reply.rapid_commit
    assert quick.write


def test_firmware_ipxe_and_the_system_keep_one_address():
    site = Site()
    of_firmware = bytes.fromhex("0004") + bytes(range(16))
    of_system = bytes.fromhex("0002 0000ab11 0123456789abcdef")
    first = site.lease(who=of_firmware, iaid=1, more=PXE)
    assert site.lease(who=duid(NODE), iaid=2, more=IPXE) == first
    assert site.lease(who=of_system, iaid=3) == first


def test_two_cards_never_share_an_address():
    site = Site()
    assert len({site.lease(NODE), site.lease(OTHER)}) == 2


def test_two_interfaces_that_hide_their_cards_never_share_an_address():
    site, hidden = Site(), arrival(None)
    first = address_of(site.given(M.REQUEST, iaid=1, came=hidden))
    second = address_of(site.given(M.REQUEST, iaid=2, came=hidden))
    assert first != second
    assert address_of(site.given(M.REQUEST, iaid=1, came=hidden)) == first


def test_of_two_associations_in_one_message_the_first_has_an_address():
    message = request(M.SOLICIT)
    twice = (*message.options, *request(M.SOLICIT, iaid=8).options[1:])
    reply = Site().ask(message._replace(options=twice)).reply
    assert [one.addresses for one in reply.associations] == [(FIRST,), ()]


def test_a_reserved_address_is_its_machines_alone():
    site = Site(registry(macs=[NODE], ip6=str(RESERVED)))
    assert site.lease() == RESERVED
    assert (
        address_of(site.given(M.REQUEST, RESERVED, who=duid(OTHER), came=arrival(OTHER))) == FIRST
    )


def test_who_was_known_by_its_uuid_keeps_its_address_when_that_is_forgotten():
    site = Site(registry(macs=[NODE], ip6=str(RESERVED)))
    site.lease()
    site.registry = replace(site.registry, machines={})  # as of one that is listed by UUID alone
    for _ in range(2):
        assert address_of(site.given(M.RENEW, RESERVED)) == RESERVED
    other = site.given(M.REQUEST, RESERVED, who=duid(OTHER), came=arrival(OTHER))
    assert address_of(other) == FIRST


def test_a_boot_file_is_told_of_when_it_is_offered():
    site = Site()
    assert Offered in kinds(site.given(M.SOLICIT, more=PXE))
    assert kinds(site.given(M.REQUEST, FIRST, more=PXE)) == [Leased]


def test_who_asks_for_a_free_address_of_the_pools_gets_it():
    wanted = FIRST + 2
    assert address_of(Site().given(M.SOLICIT, wanted)) == wanted


@pytest.mark.parametrize("wanted", [IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:1::9")])
def test_who_asks_for_another_does_not(wanted):
    assert address_of(Site().given(M.SOLICIT, wanted)) == FIRST


def test_a_request_for_an_address_of_another_link_is_told_so():
    given = Site().given(M.REQUEST, ELSEWHERE)
    assert (status_of(given), given.write) == (Status.NOT_ON_LINK, ())


def fill(site: Site) -> None:
    for number in range(4):
        mac = type(NODE)(OTHER[:5] + bytes((number,)))
        site.lease(mac)


def test_a_pool_that_is_taken_says_so():
    site = Site()
    fill(site)
    given = site.given(M.SOLICIT)
    assert status_of(given) == Status.NO_ADDRS_AVAIL
    [event] = given.events
    assert isinstance(event, NoAddress)
    assert event.code == "exhausted"


def test_the_oldest_offer_is_given_to_another_where_nothing_is_free():
    site = Site()
    for number in range(4):
        mac = type(NODE)(OTHER[:5] + bytes((number,)))
        site.given(M.SOLICIT, who=duid(mac), came=arrival(mac))
    assert address_of(site.given(M.SOLICIT)) == FIRST


def test_a_lease_is_renewed():
    site = Site()
    site.lease()
    site.now += 500
    given = site.given(M.RENEW, FIRST)
    [lease] = given.write
    assert (lease.since, lease.until) == (1000.0, 2500.0)
    [event] = given.events
    assert event.how == "renewed"


@pytest.mark.parametrize("kind", [M.RENEW, M.REBIND])
def test_a_lease_that_was_lost_is_given_again_where_it_is_free(kind):
    assert address_of(Site().given(kind, FIRST + 1)) == FIRST + 1


def test_what_is_of_no_use_any_more_ends_at_once():
    given = Site().given(M.RENEW, ELSEWHERE)
    one = ia_of(given)
    assert one.addresses == (FIRST, ELSEWHERE)
    assert one.lifetimes == ((1000, 1000), (0, 0))


def test_confirm_tells_whether_the_addresses_are_of_this_link():
    site = Site()
    assert status_of(site.given(M.CONFIRM, FIRST)) == Status.SUCCESS
    assert status_of(site.given(M.CONFIRM, ELSEWHERE)) == Status.NOT_ON_LINK


def test_who_releases_a_lease_leaves_it_to_others():
    site = Site()
    site.lease()
    given = site.given(M.RELEASE, FIRST)
    assert [lease.state for lease in given.write] == [State.FREE]
    assert kinds(given) == [LeaseEnded]


def test_nobody_releases_the_lease_of_another():
    site = Site()
    site.lease()
    given = site.given(M.RELEASE, FIRST, who=duid(OTHER), came=arrival(OTHER))
    assert (given.write, status_of(given)) == ((), Status.NO_BINDING)


def test_an_address_that_somebody_uses_is_given_to_nobody():
    site = Site()
    site.lease()
    given = site.given(M.DECLINE, FIRST)
    assert [lease.state for lease in given.write] == [State.DECLINED]
    assert kinds(given) == [AddressInUse]
    assert address_of(site.given(M.SOLICIT)) != FIRST
    assert site.lease(OTHER) != FIRST


def test_nobody_empties_a_pool_by_declining():
    from netbootd.registry.subnets6 import Range6

    wide = Range6(FIRST, FIRST + 100)
    site = Site(registry(subnet(addressing={"pools": (wide,)})))
    for _ in range(8):
        site.given(M.DECLINE, site.lease())
    assert status_of(site.given(M.SOLICIT)) == Status.NO_ADDRS_AVAIL


# -- a disk that is full -----------------------------------------------------------------------


def test_unsaved_nobody_new_gets_an_address():
    site = Site()
    site.saving = False
    given = site.given(M.SOLICIT)
    assert status_of(given) == Status.NO_ADDRS_AVAIL
    assert [event.code for event in given.events] == ["unsaved"]


def test_unsaved_a_lease_is_renewed_for_no_longer_than_it_was():
    site = Site()
    site.lease()
    site.saving, site.now = False, site.now + 400
    given = site.given(M.RENEW, FIRST)
    assert (given.write, ia_of(given).lifetimes) == ((), ((600, 600),))


def test_unsaved_a_reserved_address_is_given():
    site = Site(registry(macs=[NODE], ip6=str(RESERVED)))
    site.saving = False
    given = site.given(M.REQUEST, RESERVED)
    assert (given.write, address_of(given)) == ((), RESERVED)


# -- who is answered at all --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [M.SOLICIT, M.CONFIRM, M.REBIND, M.INFORMATION_REQUEST])
def test_what_goes_to_all_is_not_taken_by_unicast(kind):
    assert "unicast" in Site().ignored(kind, FIRST, came=arrival(unicast=True)).reason


def test_a_request_by_unicast_is_told_to_use_multicast():
    given = Site().given(M.REQUEST, FIRST, came=arrival(unicast=True))
    assert (status_of(given), given.write) == (Status.USE_MULTICAST, ())


def test_what_is_for_another_server_is_left_to_it():
    message = request(M.REQUEST, FIRST, server=False)
    to_other = (*message.options, (Option.SERVER_ID, b"\0\2other"))
    answer = Site().ask(message._replace(options=to_other))
    assert answer.reason == "REQUEST for another server"


@pytest.mark.parametrize(
    "message",
    [
        request(M.SOLICIT, who=b""),
        request(M.SOLICIT, server=True),
        request(M.RENEW, server=False),
        request(M.ADVERTISE),
        request(M.REPLY),
        request(M.RECONFIGURE),
    ],
    ids=lambda message: message.name,
)
def test_what_is_not_as_it_must_be_is_not_answered(message):
    assert isinstance(Site().ask(message), Ignored)


def relayed(message, link, *options):
    source = arrival().source
    return message._replace(relays=(Relay(0, IPv6Address(link), source, options),))


def test_behind_a_relay_its_link_counts():
    other = replace(subnet(), name="2001:db8:2::/64")
    network = type(other.network)("2001:db8:2::/64")
    pool = type(other.addressing6.pools[0])(network[16], network[31])
    far = replace(other, network=network, addressing6=replace(other.addressing6, pools=(pool,)))
    site = Site(registry(subnet(), far))
    came = replace(arrival(), source=IPv6Address("2001:db8:2::fe"), unicast=True)
    given = site.ask(relayed(request(M.SOLICIT), "2001:db8:2::fe"), came)
    assert address_of(given) == network[16]
    assert given.reply.relays[0].link == IPv6Address("2001:db8:2::fe")


def test_a_port_of_a_relay_has_a_limit_for_strangers():
    site = Site(registry(subnet(addressing={"port_limit": 2}), macs=[NODE]))
    answers = []
    for number in (*range(3), None):
        mac = NODE if number is None else type(NODE)(OTHER[:5] + bytes((number,)))
        source = arrival(mac).source
        relay = Relay(0, IPv6Address("2001:db8:1::fe"), source, ((Option.INTERFACE_ID, b"p1"),))
        came = replace(arrival(), source=IPv6Address("2001:db8:1::fe"), unicast=True)
        message = request(M.SOLICIT, who=duid(mac))._replace(relays=(relay,))
        answers.append(site.ask(message, came))
    assert [len(ia_of(given).addresses) for given in answers] == [1, 1, 0, 1]
    assert [event.code for event in answers[2].events] == ["port-limit"]


def test_on_a_link_without_an_entry_nothing_is_given():
    came = replace(arrival(), source=IPv6Address("2001:db8:7::fe"), unicast=True)
    assert isinstance(Site().ask(relayed(request(M.SOLICIT), "2001:db8:7::fe"), came), Ignored)


def test_a_listed_name_is_no_strangers():
    held = registry(macs=(OTHER,))
    [machine] = held.machines.values()
    named = replace(machine, variables={"hostname": "node1"})
    site = Site(indexed(replace(held, machines={OTHER: named})))
    called = ((Option.FQDN, b"\0\x05node1\0"),)
    assert site.leases.at(site.lease(NODE, more=called)).hostname == ""
    assert site.leases.at(site.lease(OTHER, more=called)).hostname == "node1"
