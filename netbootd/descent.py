"""
How a daemon that root has started gives root up, step by step and said in the log (``privilege``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from twisted.logger import Logger

from netbootd import environment, handover, landlock, ports, privilege
from netbootd.config import Config
from netbootd.dhcp.destination import Port
from netbootd.dhcp6 import sockets as dhcp6
from netbootd.errors import ConfigErrors, Finding, Level, Place
from netbootd.privilege import ROOT, User
from netbootd.registry.snapshot import Registry

log = Logger(namespace="netbootd")

_NAMED = 3  # of those that are in the way
#: What the kernel keeps of packets that wait for us, at most, and of those that leave: net.core.
_BUFFERS = {"rmem_max": 16 << 20, "wmem_max": 4 << 20}
_TUNABLES = Path("/proc/sys/net/core")


def descend(registry: Registry, file: Path) -> None:
    """
    Be a plain user, as the configuration *file* wants it.

    Raises NotGivenUp, and ConfigErrors where a folder is named that is somebody else's.

    Before any socket is opened and any thread is started.
    """
    config = registry.config
    if config.user == ROOT:
        log.warn('all rights of root\'s are kept: "user" is {user}', user=ROOT)
        return
    _forget_environment(config)
    _widen_buffers()
    if not privilege.may_become():
        log.warn("this is root, and may not become another user: what it may beyond sockets goes")
        privilege.stay_root_without_rights()
        return
    user = privilege.chosen(config.user, file)
    ports.look_ahead(_ports(config))
    _hand_over(registry, file, user)
    needed = handover.read(config, file, registry.watched)
    in_the_way = handover.kept_out(needed, file, user)
    privilege.become(user, reading=bool(in_the_way), group=config.api_group)
    _live_at(config.state, user)
    log.info(
        "root is given up: user {user} from here on, with the rights to low ports and raw sockets",
        user=user.name,
    )
    if in_the_way:
        confined = landlock.confine_reading(needed | handover.system() | handover.beside(config))
        _tell_kept_out(in_the_way, user, confined=confined)


def _forget_environment(config: Config) -> None:
    """Hooks and whatever else is started would have it, and so would whoever breaks in."""
    hooks = config.hooks
    gone = environment.reduce(hooks.environment)
    if gone and hooks.commands:
        log.info(
            "hooks have nothing of root's environment but the usual, so not {names}:"
            ' "environment" in section hooks names what they need',
            names=_listed(gone),
        )


def _live_at(home: Path, user: User) -> None:
    """As systemd does it: libraries keep a cache in their user's home, and root's is closed now."""
    os.environ.update(HOME=str(home), USER=user.name, LOGNAME=user.name)


def _ports(config: Config) -> Iterator[int]:
    """Which we shall want: of who has one, only root is told the name."""
    yield from (Port.DHCP, Port.BOOT_SERVER, dhcp6.SERVER)
    yield from (*config.http_port, config.tftp.port, config.syslog.port, config.syslog.netconsole)


def _hand_over(registry: Registry, file: Path, user: User) -> None:
    try:
        changed, troubles = handover.hand_over(registry.config, file, user)
    except handover.NotOurs as problem:
        finding = Finding(Level.ERROR, "not-ours", str(problem), Place(str(file)))
        raise ConfigErrors([finding]) from None
    if changed:
        log.info("handed to user {user}: {paths}", user=user.name, paths=_listed(changed))
    for trouble in troubles:
        log.warn("{trouble}", trouble=trouble)


def _tell_kept_out(in_the_way: Mapping[Path, Path], user: User, *, confined: bool) -> None:
    needed = "what is served, the program and the system's own folders"
    log.warn(
        "user {user} is kept out of {paths}. So netbootd keeps a third right, to read files that"
        " are closed to {user} (CAP_DAC_READ_SEARCH): {where}. What a reload names elsewhere is"
        " read after a restart. To do without that right, let {user} read there, as with chmod, or"
        ' name somebody who may with "user" in section netbootd',
        user=user.name,
        paths=_listed(in_the_way),
        where=f"only in {needed}" if confined else "in all folders of this host",
    )


def _widen_buffers() -> None:
    """What was root's to ask for a socket, others have within these bounds alone (socket(7))."""
    for name, size in _BUFFERS.items():
        file = _TUNABLES / name
        try:
            if int(file.read_text()) < size:
                file.write_text(str(size))
                log.info(
                    "net.core.{name} is {size} now, for bursts of packets", name=name, size=size
                )
        except (OSError, ValueError):  # not in a network namespace: each port will tell
            return


def _listed(paths: Iterable[object]) -> str:
    names = sorted(map(str, paths))
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
