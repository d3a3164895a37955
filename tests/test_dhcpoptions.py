"""DHCP options as an admin writes them: what goes on the wire, and what is said of the rest."""

from __future__ import annotations

import pytest

from netbootd import dhcpoptions
from netbootd.dhcpoptions import encode, name_of, read


@pytest.mark.parametrize(
    ("option", "value", "code", "data"),
    [
        ("routers", "10.1.0.1", 3, "0a010001"),
        ("router", ["10.1.0.1"], 3, "0a010001"),
        ("domain-name-servers", ["10.1.0.1", " 10.1.0.2 "], 6, "0a0100010a010002"),
        ("Domain_Name_Servers", "10.1.0.1", 6, "0a010001"),
        ("time-offset", -3600, 2, "fffff1f0"),
        ("interface-mtu", 9000, 26, "2328"),
        ("ip-forwarding", True, 19, "01"),
        ("default-ip-ttl", 64, 23, "40"),
        ("path-mtu-plateau-table", [576, 1500], 25, "024005dc"),
        ("domain-name", "example.net.", 15, b"example.net".hex()),
        ("domain-search", ["a.bc", "d"], 119, "016102626300016400"),
        ("classless-static-routes", {"10.9.0.0/16": "10.1.0.9"}, 121, "100a090a010009"),
        ("rfc3442-classless-static-routes", {"0.0.0.0/0": "10.1.0.1"}, 121, "000a010001"),
        ("121", {"192.0.2.128/25": "10.1.0.1"}, 121, "19c00002800a010001"),
        ("static-routes", "10.0.0.0 10.1.0.1", 33, "0a0000000a010001"),
        ("vendor-encapsulated-options", "06:01:0a", 43, "06010a"),
        ("wpad", "http://wpad/", 252, b"http://wpad/".hex()),
        ("root-path", "192.0.2.1:/srv", 17, b"192.0.2.1:/srv".hex()),
        ("slp-directory-agent", "10.1.0.1", 78, "000a010001"),
        # Any option as it is on the wire, by name or number.
        ("routers", "0x0A010001", 3, "0a010001"),
        ("224", "0x00ff", 224, "00ff"),
        # Of one without a name: addresses, else text.
        ("224", "10.1.0.1", 224, "0a010001"),
        ("224", ["10.1.0.1", "10.1.0.2"], 224, "0a0100010a010002"),
        ("224", "text", 224, b"text".hex()),
    ],
)
def test_an_option_is_encoded(option, value, code, data):
    assert encode(option, value) == (code, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("ntp-severs", "10.1.0.1", 'no option "ntp-severs"; did you mean "ntp-servers"?'),
        ("???", "10.1.0.1", "names are those of dhcp-options(5)"),
        ("256", "x", "the numbers of options are 1 to 254"),
        ("routers", "10.1.0", "an IPv4 address or an array of them, not '10.1.0'"),
        ("routers", 5, "an IPv4 address or an array of them, not 5"),
        ("routers", [], "cannot be empty"),
        ("root-path", "", "cannot be empty"),
        ("subnet-mask", ["255.0.0.0", "255.255.0.0"], "must be one IPv4 address"),
        ("interface-mtu", "1500", "a whole number from 68 to 65535, not '1500'"),
        ("interface-mtu", True, "a whole number"),
        ("ip-forwarding", 1, "true or false, not 1"),
        ("domain-search", ["a..b"], "'a..b' is none"),
        ("domain-name", "a b", "a domain name such as"),
        ("static-routes", "10.0.0.0", "there is one left over"),
        ("121", {"10.9.0.1/16": "10.1.0.9"}, "has host bits set"),
        ("121", {"10.9.0.0/16": "x"}, "'x' is none"),
        ("121", ["10.9.0.0/16"], 'an object such as {"10.9.0.0/16": "10.1.0.254"}'),
        ("vendor-encapsulated-options", "0x0", "bytes in hexadecimal"),
        ("224", 7, "its shape is not known"),
        ("224", None, "its shape is not known"),
        ("252", "x" * 1025, "1024 at most"),
        ("53", 5, "decides option 53"),
        ("dhcp-lease-time", 5, 'say "lease_time"'),
        *((str(code), "0x00", "netbootd decides") for code in (0, 50, 51, 53, 54, 61, 82, 255)),
    ],
)
def test_what_is_wrong_says_what_would_be_right(option, value, told):
    with pytest.raises(ValueError, match=r".") as refused:
        encode(option, value)
    assert told in str(refused.value)


def test_every_name_means_its_code():
    for code in range(256):
        name = name_of(code)
        assert dhcpoptions.code_of(name) == code


@pytest.mark.parametrize("code", [43, 60, 66, 67])
def test_what_we_say_to_who_boots_is_allowed_with_a_word(code):
    found, told = read({str(code): "0x6162"})
    assert found == {code: b"ab"}
    assert [one.wrong for one in told] == [False]


def test_one_that_is_wrong_costs_itself_alone():
    found, told = read({"routers": "x", "ntp-servers": "10.1.0.3"})
    assert found == {42: bytes([10, 1, 0, 3])}
    assert [(one.key, one.code) for one in told] == [("routers", "option-invalid")]


def test_one_option_by_two_names_is_told():
    found, told = read({"routers": "10.1.0.1", "3": "10.1.0.2"})
    assert found == {3: bytes([10, 1, 0, 2])}
    assert [one.code for one in told] == ["option-twice"]


@pytest.mark.parametrize("options", [[], "x", None, 7])
def test_options_are_an_object(options):
    found, [told] = read(options)
    assert found == {}
    assert "must be an object" in told.text
