"""``netbootd import``: a new system from its medium."""

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
    pass


_IMPORT_MORE = """\
MEDIUM may be an ISO image, a tar (.gz, .xz, .zst, .bz2), a Debian package, a folder, or a floppy or
disk image.  What it is says its content, not its name.  Known are

  Debian       netboot.tar.gz, mini.iso, or the package debian-installer-*-netboot-*
  Ubuntu       the live server's ISO, or its netboot tar
  Red Hat ...  RHEL, CentOS, Rocky, AlmaLinux, Fedora: a DVD with all its packages, or a boot ISO
  SmartOS      a platform's tar or ISO
  live-boot    Debian's live ISOs          Alpine    its netboot tar
  memdisk      floppy and disk images, and every other ISO

Its files go below the file root, into a folder that is there whole or not at all.  The target is
printed; --write puts it into machines.d beside the configuration, where it is in force at once.
Neither ever replaces what is there, so the same command again changes nothing.

examples:
  netbootd import --dry-run Rocky-9.3-x86_64-dvd.iso
  netbootd import --write --name rocky9 Rocky-9.3-x86_64-dvd.iso
  netbootd import debian-installer-12-netboot-amd64_*.deb > debian12.json

exit status: 0 imported, or there already; 1 it could not be, and nothing was left behind;
2 the configuration or the command line cannot be used.
"""


def add(commands: Commands) -> None:
    text = "Make an installation medium bootable: its files, and a target."
    parser = command(commands, "import", _import, text, _IMPORT_MORE)
    parser.add_argument("medium", type=Path, metavar="MEDIUM", help="the file or folder")
    with_config(parser)
    parser.add_argument(
        "--name",
        type=_target_name,
        help="of the target and its folder (default: from the medium, such as debian-12.5.0-amd64)",
    )
    parser.add_argument(
        "--type",
        type=_target_name,
        help="of the target, instead of the one that fits (install, ramroot, smartos, memdisk)",
    )
    parser.add_argument(
        "--files", type=Path, metavar="DIR", help="the file root, instead of the configuration's"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be copied and proposed"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the target into machines.d, if it is new"
    )


def _target_name(text: str) -> str:
    from netbootd.importing.plan import checked_name  # noqa: PLC0415  Jinja2

    try:
        return checked_name(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _import(arguments: argparse.Namespace) -> int:
    from netbootd.importing.run import Wish, run  # noqa: PLC0415  Jinja2

    wish = Wish(
        medium=arguments.medium,
        config=arguments.config,
        name=arguments.name,
        type=arguments.type,
        files=arguments.files,
        dry_run=arguments.dry_run,
        write=arguments.write,
    )
    try:
        with _interruptible():
            return run(wish)
    except KeyboardInterrupt:
        complain("interrupted; no half of it was left behind")
        return 1


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
