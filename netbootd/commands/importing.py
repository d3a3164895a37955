"""``netbootd import``: a new system from its medium, or the machines of another DHCP server."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from netbootd.commands.words import (
    Commands,
    command,
    complain,
    with_config,
)

if TYPE_CHECKING:
    from netbootd.migrating.recognise import Reader


_IMPORT_MORE = """\
What FILE is says its content, not its name.

A medium with a system to boot: an ISO image, a tar (.gz, .xz, .zst, .bz2), a Debian package, a
folder, or a floppy or disk image.  Known are

  Debian       netboot.tar.gz, mini.iso, or the package debian-installer-*-netboot-*
  Ubuntu       the live server's ISO, or its netboot tar
  Red Hat ...  RHEL, CentOS, Rocky, AlmaLinux, Fedora: a DVD with all its packages, or a boot ISO
  SmartOS      a platform's tar or ISO
  live-boot    Debian's live ISOs          Alpine    its netboot tar
  memdisk      floppy and disk images, and every other ISO

Its files go below the file root, into a folder that is there whole or not at all.  The target is
printed; --write puts it into machines.d beside the configuration, where it is in force at once.

The configuration of another DHCP server, whose reservations become machines and whose subnets
become subnets.  Known are

  ISC dhcpd    dhcpd.conf, dhcpd.leases    dnsmasq   dnsmasq.conf, dnsmasq.leases
  Kea          kea-dhcp4.conf, kea-leases4.csv
  pfSense, OPNsense                        config.xml

Files that it includes are read, too: where it says, or of the same name beside it.  A drop-in is
printed, with what is not taken over as comments, and --write puts it into machines.d.  What the
configuration lists already is left as it is.  Subnets give no addresses until "dhcp" : "server"
stands in them, which --server writes.  Leases are told as comments: who has one gets its address
again when it renews; --reserve makes a machine of each.

Neither ever replaces what is there, so the same command again changes nothing.

examples:
  netbootd import --dry-run Rocky-9.3-x86_64-dvd.iso
  netbootd import --write --name rocky9 Rocky-9.3-x86_64-dvd.iso
  netbootd import debian-installer-12-netboot-amd64_*.deb > debian12.json
  netbootd import /etc/dhcp/dhcpd.conf | less
  netbootd import --server --write --group rack4 config-pfsense.xml

exit status: 0 imported, or there already; 1 it could not be, and nothing was left behind;
2 the configuration or the command line cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Make an installation medium bootable, or take over another DHCP server's configuration."
    parser = command(commands, "import", _import, text, _IMPORT_MORE)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file or folder")
    with_config(parser)
    parser.add_argument(
        "--name",
        type=_target_name,
        help="of the target and its folder, or of the drop-in (default: from the file, such as"
        " debian-12.5.0-amd64)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--write", action="store_true", help="put it into machines.d, if it is new")
    medium = parser.add_argument_group("for a medium")
    medium.add_argument(
        "--type",
        type=_target_name,
        help="of the target, instead of the one that fits (install, ramroot, smartos, memdisk)",
    )
    medium.add_argument(
        "--files", type=Path, metavar="DIR", help="the file root, instead of the configuration's"
    )
    other = parser.add_argument_group("for another DHCP server's configuration")
    other.add_argument("--server", action="store_true", help="let the subnets give addresses")
    other.add_argument("--group", metavar="NAME", help="the group of the machines")
    other.add_argument("--reserve", action="store_true", help="make machines of leases")
    parser.set_defaults(parser=parser)


def _target_name(text: str) -> str:
    from netbootd.importing.plan import checked_name  # noqa: PLC0415  Jinja2

    try:
        return checked_name(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _import(arguments: argparse.Namespace) -> int:
    from netbootd.migrating.recognise import reader_of  # noqa: PLC0415  Jinja2

    reader = reader_of(arguments.file)
    _unfit(arguments, ("type", "files") if reader else ("server", "group", "reserve"))
    try:
        with _interruptible():
            return _medium(arguments) if reader is None else _configuration(arguments, reader)
    except KeyboardInterrupt:
        complain("interrupted; no half of it was left behind")
        return 1


def _unfit(arguments: argparse.Namespace, words: tuple[str, ...]) -> None:
    """Refuse options that mean nothing for a file of this kind."""
    for word in words:
        if getattr(arguments, word):
            arguments.parser.error(f"--{word} means nothing for {arguments.file.name}")


def _medium(arguments: argparse.Namespace) -> int:
    from netbootd.importing.run import Wish, run  # noqa: PLC0415  Jinja2

    wish = Wish(
        medium=arguments.file,
        config=arguments.config,
        name=arguments.name,
        type=arguments.type,
        files=arguments.files,
        dry_run=arguments.dry_run,
        write=arguments.write,
    )
    return run(wish)


def _configuration(arguments: argparse.Namespace, reader: Reader) -> int:
    from netbootd.migrating.dropin import Wanted  # noqa: PLC0415  Jinja2
    from netbootd.migrating.run import Wish, run  # noqa: PLC0415  Jinja2

    wanted = Wanted(server=arguments.server, group=arguments.group or "", reserve=arguments.reserve)
    wish = Wish(
        file=arguments.file,
        config=arguments.config,
        wanted=wanted,
        name=arguments.name,
        write=arguments.write and not arguments.dry_run,
    )
    return run(wish, reader)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end what runs as Ctrl-C does, cleaning up, unless nohup took them away."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heeded = [number for number, action in before.items() if action != signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
