"""
How a node is told to send us its log, as far as its arguments can tell it.

==============  ================================================================================
``debian``      ``log_host= log_port=``, from the installer's first minute (its guide, 5.3.2); UDP
``rhel`` …      ``inst.syslog=HOST:PORT``; TCP (anaconda's boot options)
``centos6``     ``syslog=HOST:PORT``, the same under its old name
``dracut``      ``syslog.server=HOST``, where its module syslog is in the image (dracut.cmdline(7))
==============  ================================================================================

iPXE has ``set syslog ADDRESS``, and always sends to port 514 (net/udp/syslog.c).  A build without
the syslog console takes it for a setting of ours, and keeps it.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address

PORT = 514
_ARGUMENTS = {
    "debian": "log_host={host} log_port={port}",
    "rhel": "inst.syslog={host}:{port}",
    "centos6": "syslog={host}:{port}",
    "dracut": "syslog.server={host}{other}",
}


def words(reader: str, host: str, port: int) -> tuple[str, ...]:
    """The arguments for what reads them, an installer or an initramfs; none for one unknown."""
    if not host or reader not in _ARGUMENTS:
        return ()
    other = "" if port == PORT else f":{port}"
    return tuple(_ARGUMENTS[reader].format(host=host, port=port, other=other).split())


def ipxe_address(host: str, port: int) -> str:
    """What iPXE can be told: an address, if the port is the one it sends to; else empty."""
    try:
        return str(IPv4Address(host)) if port == PORT else ""
    except AddressValueError:
        return ""
