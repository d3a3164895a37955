"""What the daemon says of what it listens on."""

from netbootd.banner import dhcpv6, differences, proxydhcp


def test_who_has_the_port_is_told_and_is_no_difference():
    before, after = proxydhcp("eth1", ""), proxydhcp("eth1", "kea-dhcp4 (pid 7)")
    assert "kea-dhcp4 (pid 7) has the port" in str(after)
    assert differences([before], [after]) == []


def test_what_is_snooped_from_now_on_is_a_difference():
    told = differences([proxydhcp("eth1", None)], [proxydhcp("eth1", "dnsmasq")])
    assert [line.split()[0] for line in told] == ["listening", "not"]


def test_dhcpv6_says_whether_it_gives_addresses():
    assert "gives addresses" in str(dhcpv6("eth0", serves=True))
    assert "boot files alone" in str(dhcpv6("eth0", serves=False))
