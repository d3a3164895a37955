"""
The commands.  A command that only reads the configuration imports no Twisted and no scapy, so that
it answers at once; ``run`` and ``simulate`` import what they need when they are asked for.

Exit status: 0 all well; 1 something is not (a finding about one target, a boot that would fail);
2 the configuration or the command line cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from netbootd import __version__
from netbootd.config import DEFAULT_FILE
from netbootd.errors import ConfigErrors, Finding, Level, NetbootdError
from netbootd.mac import MAC

if TYPE_CHECKING:
    from netbootd.descriptions import Served

_DESCRIPTION = """\
One network boot daemon: ProxyDHCP, TFTP, HTTP and boot scripts from one JSON file.

  netbootd check FILE         is this configuration right?
  netbootd run                serve it
  netbootd show MAC           what would this machine get, and why?
  netbootd script MAC         what would it run when it is up?
  netbootd explain MAC        why, with every rule that was looked at
  netbootd diff OLD NEW       which machines would another configuration change?
  netbootd simulate MAC       walk through a boot of it, step by step
  netbootd next MAC TARGET    boot that machine once into something else
  netbootd release MAC        let a machine boot again that went in a circle
  netbootd import MEDIUM      a new system from an ISO, a tar or a folder
  netbootd vms list           VM descriptions: list, check, show
  netbootd status             how is the running daemon?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the entry point of the ``netbootd`` program."""
    try:
        return _run_and_flush(argv)
    except ConfigErrors as problem:
        _print_findings(problem.findings, Level.WARNING)
        _complain("the configuration cannot be used")
        return 2
    except NetbootdError as problem:
        _complain(problem)
    except BrokenPipeError:
        _give_up_output()  # the reader has gone; nothing is left to say
    except OSError as problem:
        _give_up_output()
        _complain(problem)
    return 1


def _run_and_flush(argv: Sequence[str] | None) -> int:
    """A full disk is found here, --help included, and not at exit where nobody can answer it."""
    try:
        arguments = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    finally:
        if sys.stdout is not None:  # None where the shell has closed it: netbootd >&-
            sys.stdout.flush()


def _complain(problem: object) -> None:
    print(f"netbootd: {problem}", file=sys.stderr)


def _give_up_output() -> None:
    """What is still held for standard output goes nowhere, or Python would try it once more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netbootd",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="The annotated manual of the configuration is etc/netbootd.json.",
    )
    parser.add_argument("--version", action="version", version=f"netbootd {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _add_run,
        _add_check,
        _add_show,
        _add_script,
        _add_overlay,
        _add_explain,
        _add_diff,
        _add_simulate,
        _add_next,
        _add_release,
        _add_import,
        _add_vms,
        _add_status,
    ):
        add(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], text: str, more: str
) -> argparse.ArgumentParser:
    """*text* is one sentence; *more* stands below the options: examples, and the exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text[0].lower() + text[1:].rstrip("."),
        description=text,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    return parser


def _with_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_FILE,
        metavar="FILE",
        help=f"the configuration (default: {DEFAULT_FILE})",
    )


def _mac(text: str) -> MAC:
    try:
        return MAC.parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _mac_or_default(text: str) -> MAC | None:
    return None if text == "default" else _mac(text)


def _arch(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is no architecture: a number from 0 to 65535")
    return int(text)


# -- run -------------------------------------------------------------------------------------------


_RUN_MORE = """\
examples:
  netbootd run
  netbootd run --config etc/netbootd.json --interface eth1 --verbose

exit status: 0 after SIGTERM or SIGINT, 2 where the configuration cannot be used.
"""


def _add_run(commands: Commands) -> None:
    text = "Serve the configuration, in the foreground."
    parser = _command(commands, "run", _run, text, _RUN_MORE)
    _with_config(parser)
    parser.add_argument(
        "--interface",
        action="append",
        default=[],
        metavar="NAME",
        help="serve this interface, whatever the configuration says; may be repeated",
    )
    parser.add_argument("--verbose", action="store_true", help="log every packet")


def _run(arguments: argparse.Namespace) -> int:
    from netbootd import daemon  # noqa: PLC0415  Twisted and scapy: only for the daemon

    return daemon.main(arguments.config, tuple(arguments.interface), verbose=arguments.verbose)


# -- check -----------------------------------------------------------------------------------------


_CHECK_MORE = """\
Renders the script of every machine, so that what would fail at boot fails here.

examples:
  netbootd check /etc/netbootd/netbootd.json
  netbootd check --json --network etc/*.json

exit status: 0 nothing wrong (warnings at most), 1 a machine or target cannot boot,
2 a file cannot be used, or would not be taken by a reload.
"""


def _add_check(commands: Commands) -> None:
    text = "Say everything that is wrong with configuration files."
    parser = _command(commands, "check", _check, text, _CHECK_MORE)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="findings as a JSON array")
    parser.add_argument(
        "--network",
        action="store_true",
        help="ask the NFS servers that are named whether they answer",
    )
    parser.add_argument("--verbose", action="store_true", help="overridden entries as well")


def _check(arguments: argparse.Namespace) -> int:
    from netbootd.check import check  # noqa: PLC0415  Jinja2

    findings: list[Finding] = []
    summaries = []
    for file in arguments.files:
        report = check(file, network=arguments.network)
        findings += report.findings
        summaries.append(f"{file}: {report.summary}")
    least = Level.DEBUG if arguments.verbose else Level.NOTE
    if arguments.json:
        print(
            json.dumps(
                [_as_json(finding) for finding in findings if finding.level >= least], indent=1
            )
        )
    else:
        _print_findings(findings, least, sys.stdout)
        print("\n".join(summaries))
    worst = max((finding.level for finding in findings), default=Level.DEBUG)
    return {Level.TARGET: 1, Level.RELOAD: 2, Level.ERROR: 2}.get(worst, 0)


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "file": finding.place.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "level": finding.level.word,
        "code": finding.code,
        "text": finding.text,
        "path": finding.path,
    }


def _print_findings(findings: Sequence[Finding], least: Level, to: TextIO | None = None) -> None:
    for finding in findings:
        if finding.level >= least:
            print(finding, file=to or sys.stderr)


# -- show ------------------------------------------------------------------------------------------


_SHOW_MORE = """\
examples:
  netbootd show 00:25:90:27:db:b4
  netbootd show --config etc/netbootd.json default    (what unknown machines get)

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


def _add_show(commands: Commands) -> None:
    text = "What a machine would get, with the reasons and its script."
    parser = _command(commands, "show", _show, text, _SHOW_MORE)
    _with_config(parser)
    parser.add_argument(
        "mac", type=_mac_or_default, metavar="MAC", help="in any spelling, or the word default"
    )


def _show(arguments: argparse.Namespace) -> int:
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2
    from netbootd.show import STRANGER, show  # noqa: PLC0415

    registry = load(arguments.config)
    answer = show(registry, arguments.mac or STRANGER)
    print(answer.text, end="")
    return 0 if answer.boots else 1


# -- script ----------------------------------------------------------------------------------------


_SCRIPT_MORE = """\
The daemon serves it as /scripts/MAC.  Here the name "boot-server" stands for its own address.

examples:
  netbootd script 00:25:90:27:db:b4
  netbootd script --config etc/netbootd.json 00:25:90:27:db:b4 | sh -n

exit status: 0 this is it, 1 there is no such machine or its script has an error,
2 the configuration cannot be used.
"""


def _add_script(commands: Commands) -> None:
    text = "What a machine runs when it is up, as the program that it fetches."
    parser = _command(commands, "script", _script, text, _SCRIPT_MORE)
    _with_config(parser)
    parser.add_argument("mac", type=_mac, metavar="MAC", help="in any spelling")


def _script(arguments: argparse.Namespace) -> int:
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2
    from netbootd.show import node_script  # noqa: PLC0415

    print(node_script(load(arguments.config), arguments.mac), end="")
    return 0


# -- overlay ---------------------------------------------------------------------------------------


_OVERLAY_MORE = """\
The daemon serves it as /overlay/MAC.cpio.  Here the name "boot-server" stands for its own address.

examples:
  netbootd overlay list 00:25:90:27:db:b4
  netbootd overlay build 00:25:90:27:db:b4 -o node.cpio
  netbootd overlay build 00:25:90:27:db:b4 | cpio -tv

exit status: 0 all well, 1 there is no such machine or its overlay has an error,
2 the configuration cannot be used.
"""


def _add_overlay(commands: Commands) -> None:
    text = "A machine's extra initrd, and the overlays it is made of."
    parser = _command(commands, "overlay", _overlay_list, text, _OVERLAY_MORE)
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    lists = _command(inner, "list", _overlay_list, "What is laid over its root, and by whom.", "")
    builds = _command(inner, "build", _overlay_build, "The archive, as its kernel gets it.", "")
    for command in (lists, builds):
        _with_config(command)
        command.add_argument("mac", type=_mac, metavar="MAC", help="in any spelling")
    builds.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="where it goes, not standard output"
    )


def _overlay_list(arguments: argparse.Namespace) -> int:
    from netbootd.overlaying import listing  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    print(listing(load(arguments.config), arguments.mac), end="")
    return 0


def _overlay_build(arguments: argparse.Namespace) -> int:
    from netbootd.overlaying import built  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    archive = built(load(arguments.config), arguments.mac)
    if arguments.output:
        arguments.output.write_bytes(archive)
    elif sys.stdout.isatty():
        _complain("an archive is nothing for a terminal; give it -o FILE")
        return 1
    else:
        sys.stdout.buffer.write(archive)
    return 0


# -- explain ---------------------------------------------------------------------------------------


_EXPLAIN_MORE = """\
Names every rule that was looked at, in order, and where each value of the target comes from.

examples:
  netbootd explain 00:25:90:27:db:b4
  netbootd explain --config etc/netbootd.json --serial "SN 4711" 00:25:90:27:db:b4

exit status: 0 it boots, 1 it would only be told why not, 2 the configuration cannot be used.
"""


def _add_explain(commands: Commands) -> None:
    text = "Why a machine boots what it boots: every rule, and why it won or lost."
    parser = _command(commands, "explain", _explain, text, _EXPLAIN_MORE)
    _with_config(parser)
    parser.add_argument(
        "mac", type=_mac_or_default, metavar="MAC", help="in any spelling, or the word default"
    )
    for mark, told in (
        ("uuid", "its SMBIOS UUID, in either byte order"),
        ("serial", "its serial number"),
        ("asset", "its asset tag"),
    ):
        parser.add_argument(f"--{mark}", default="", help=told)
    parser.add_argument(
        "--firmware",
        choices=("bios", "efi", "http", "ipxe"),
        default="efi",
        help="what the client is: a BIOS or UEFI PXE ROM, UEFI HTTP boot, or iPXE in the card",
    )


def _explain(arguments: argparse.Namespace) -> int:
    from netbootd.boot.client import Client  # noqa: PLC0415  Jinja2
    from netbootd.explain import FIRMWARE, explain, remembered  # noqa: PLC0415
    from netbootd.registry.load import load_with_origins  # noqa: PLC0415
    from netbootd.show import STRANGER  # noqa: PLC0415

    stage, arch = FIRMWARE[arguments.firmware]
    client = Client(
        stage=stage,
        mac=arguments.mac or STRANGER,
        arch=arch,
        uuid=arguments.uuid,
        serial=arguments.serial,
        asset=arguments.asset,
    )
    explained = explain(remembered(client, *load_with_origins(arguments.config)))
    print(explained.text, end="")
    return 0 if explained.boots else 1


# -- diff ------------------------------------------------------------------------------------------


_DIFF_MORE = """\
Both are configuration files, or folders with a netbootd.json.  Machines with the same change are
told once.

examples:
  netbootd diff /etc/netbootd/netbootd.json new/netbootd.json
  netbootd diff --json old new

exit status: 0 every machine boots the same, 1 some do not, 2 a configuration cannot be used.
"""


def _add_diff(commands: Commands) -> None:
    text = "Which machines would boot differently with another configuration, and how."
    parser = _command(commands, "diff", _diff, text, _DIFF_MORE)
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("--json", action="store_true", help="the changes as a JSON array")


def _diff(arguments: argparse.Namespace) -> int:
    from netbootd.diff import as_json, as_text, configuration, diff  # noqa: PLC0415  Jinja2
    from netbootd.registry.load import load  # noqa: PLC0415

    old, new = (load(configuration(path)) for path in (arguments.old, arguments.new))
    changes = diff(old, new)
    print(as_json(changes) if arguments.json else as_text(changes), end="")
    return 1 if changes else 0


# -- simulate --------------------------------------------------------------------------------------


_SIMULATE_MORE = """\
examples:
  netbootd simulate 00:25:90:27:db:b4
  netbootd simulate --firmware bios --interface eth1 00:25:90:27:db:b4

exit status: 0 it boots, 1 it does not, or that could not be checked from here,
2 the configuration cannot be used.
"""


def _add_simulate(commands: Commands) -> None:
    text = "Walk through a network boot as a client would, fetching and checking every file."
    parser = _command(commands, "simulate", _simulate, text, _SIMULATE_MORE)
    _with_config(parser)
    parser.add_argument("mac", type=_mac, metavar="MAC", help="in any spelling")
    parser.add_argument(
        "--firmware",
        choices=("bios", "efi", "ipxe", "http"),
        default="efi",
        help="what the client is: a BIOS or UEFI PXE ROM, an iPXE in the card, or UEFI HTTP boot",
    )
    parser.add_argument(
        "--arch", type=_arch, metavar="N", help="option 93, instead of the firmware's own"
    )
    parser.add_argument(
        "--interface",
        metavar="NAME",
        help="ask a running daemon through this interface (as root), not the configuration",
    )


def _simulate(arguments: argparse.Namespace) -> int:
    from netbootd.simulate import simulate  # noqa: PLC0415  scapy

    boots = simulate(
        arguments.config, arguments.mac, arguments.firmware, arguments.arch, arguments.interface
    )
    return 0 if boots else 1


# -- next and release ------------------------------------------------------------------------------


_NEXT_MORE = """\
The machine boots that target at its next boot, and afterwards what the configuration says.

examples:
  netbootd next 00:25:90:27:db:b4 biosupdate/jr0
  netbootd next 00:25:90:27:db:b4 install/debian12 --until +2h
  netbootd next 00:25:90:27:db:b4 --cancel

exit status: 0 armed, 1 not (no such target), 2 the configuration cannot be used.
"""


def _add_next(commands: Commands) -> None:
    text = "Arm one boot of another target."
    parser = _command(commands, "next", _next, text, _NEXT_MORE)
    _with_config(parser)
    parser.add_argument("mac", type=_mac, metavar="MAC", help="in any spelling")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("target", nargs="?", metavar="TYPE/NAME", help="as in the configuration")
    what.add_argument("--cancel", action="store_true", help="take back what is armed")
    parser.add_argument(
        "--times", type=_times, default=1, metavar="N", help="so many boots (default: 1)"
    )
    parser.add_argument(
        "--until",
        type=_until,
        default=0.0,
        metavar="WHEN",
        help="and not after: +90m, +2h, +1d, or a time such as 2026-12-31T18:00",
    )


def _times(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:4]) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _until(text: str) -> float:
    from netbootd.orders import moment  # noqa: PLC0415

    try:
        return moment(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _next(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    target = None if arguments.cancel else arguments.target
    print(orders.arm(arguments.config, arguments.mac, target, arguments.times, arguments.until))
    return 0


_RELEASE_MORE = """\
A machine is held when it fetched its loader again and again, or began one installation again and
again without ever finishing: 'netbootd status' lists them.

examples:
  netbootd release 00:25:90:27:db:b4
  netbootd release all

exit status: 0 released, 1 not, 2 the configuration cannot be used.
"""


def _add_release(commands: Commands) -> None:
    text = "Let a machine that is held boot again."
    parser = _command(commands, "release", _release, text, _RELEASE_MORE)
    _with_config(parser)
    parser.add_argument(
        "mac", type=_mac_or_all, metavar="MAC", help="in any spelling, or the word all"
    )


def _mac_or_all(text: str) -> MAC | None:
    return None if text == "all" else _mac(text)


def _release(arguments: argparse.Namespace) -> int:
    from netbootd import orders  # noqa: PLC0415  Jinja2

    print(orders.release(arguments.config, arguments.mac))
    return 0


# -- import ----------------------------------------------------------------------------------------


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


def _add_import(commands: Commands) -> None:
    text = "Make an installation medium bootable: its files, and a target."
    parser = _command(commands, "import", _import, text, _IMPORT_MORE)
    parser.add_argument("medium", type=Path, metavar="MEDIUM", help="the file or folder")
    _with_config(parser)
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
        _complain("interrupted; no half of it was left behind")
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


# -- vms -------------------------------------------------------------------------------------------


_VMS_MORE = """\
examples:
  netbootd vms list
  netbootd vms check vms/*.json                  what would vmadm say to these files?
  netbootd vms show web01 | vmadm create         by key, uuid or alias; byte for byte

exit status: 0 all well, 1 vmadm would refuse a file or there is no such description,
2 the configuration cannot be used.
"""


def _add_vms(commands: Commands) -> None:
    text = "List, check and show VM descriptions."
    parser = _command(commands, "vms", _vms_list, text, _VMS_MORE)
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    lists = _command(inner, "list", _vms_list, "All that are served, and by whom they are run.", "")
    _with_config(lists)
    checks = _command(inner, "check", _vms_check, "What vmadm would say to files.", "")
    checks.add_argument("files", nargs="+", type=Path, metavar="FILE")
    shows = _command(inner, "show", _vms_show, "One description, byte for byte.", "")
    _with_config(shows)
    shows.add_argument("key", metavar="KEY", help="its key, its uuid or its alias")


def _vms_list(arguments: argparse.Namespace) -> int:
    for line in _served(arguments.config).lines():
        print(line)
    return 0


def _vms_check(arguments: argparse.Namespace) -> int:
    from netbootd.descriptions import check  # noqa: PLC0415

    report = check(arguments.files)
    print("\n".join(report.lines))
    return 1 if report.refused else 0


def _vms_show(arguments: argparse.Namespace) -> int:
    vm = _served(arguments.config).find(arguments.key)
    sys.stdout.buffer.write(vm.text)
    return 0


def _served(config: Path) -> Served:
    from netbootd.descriptions import Served  # noqa: PLC0415
    from netbootd.registry.load import load  # noqa: PLC0415  Jinja2

    served = Served(load(config))
    _print_findings(served.findings, Level.WARNING)
    return served


# -- status ----------------------------------------------------------------------------------------


_STATUS_MORE = """\
Works with a broken configuration, too: only the port is read from it.

examples:
  netbootd status
  netbootd status --url http://192.168.1.250:3000

exit status: 0 the daemon answers, 1 it does not.
"""


def _add_status(commands: Commands) -> None:
    parser = _command(
        commands, "status", _status, "Ask the running daemon how it is.", _STATUS_MORE
    )
    _with_config(parser)
    parser.add_argument("--url", help="the daemon's address, such as http://192.168.1.250:3000")


def _status(arguments: argparse.Namespace) -> int:
    from netbootd.status import fetch_status  # noqa: PLC0415

    print(fetch_status(arguments.url, arguments.config))
    return 0
