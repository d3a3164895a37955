"""
``netbootd doctor``: what a machine that boots from this network would meet.

Asks as PXE firmware does, listens, looks at this host, and says what it makes of it.  No address is
taken: nothing follows the answers.  Works without a running daemon as well as beside one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from netbootd import interfaces as networks
from netbootd import settings
from netbootd.addressing import Serving
from netbootd.config import Config
from netbootd.doctor import host
from netbootd.doctor.ask import Questions
from netbootd.doctor.verdict import Facts, Remark, is_wrong, judge
from netbootd.dropins.reading import survey
from netbootd.errors import ConfigErrors, NetbootdError
from netbootd.interfaces import Interface
from netbootd.registry.load import load
from netbootd.registry.snapshot import Registry


class NoInterface(NetbootdError):
    """There is nothing to ask through."""


class NotAllowed(NetbootdError):
    """Packet sockets are not ours to open."""


def examine(name: str | None, file: Path) -> list[tuple[Facts, list[Remark]]]:
    """
    Facts and remarks for the interface *name*, or for each that the daemon would serve.

    *file* is the configuration, which may be missing or broken.  Takes eight seconds for each.
    Raises NoInterface and NotAllowed.
    """
    config, registry = _config(file), _registry(file)
    try:
        facts = [_facts(one, config, registry) for one in _interfaces(name, config)]
    except PermissionError as problem:
        raise NotAllowed(f"{problem.strerror}: run as root, or with CAP_NET_RAW") from None
    return [(one, judge(one)) for one in facts]


def text(results: Sequence[tuple[Facts, list[Remark]]]) -> str:
    """For a person."""
    return "\n".join(
        line
        for facts, remarks in results
        for line in (facts.headline, *(f"  {remark.mark:<5} {remark.text}" for remark in remarks))
    )


def as_json(results: Sequence[tuple[Facts, list[Remark]]]) -> str:
    """For a program."""
    return json.dumps(
        [
            {
                **facts.as_dict(),
                "wrong": any(map(is_wrong, remarks)),
                "remarks": [remark.as_dict() for remark in remarks],
            }
            for facts, remarks in results
        ],
        indent=2,
    )


def _config(file: Path) -> Config:
    """As far as it can be read: a broken one is when people ask."""
    return settings.parse(survey(file).merged("netbootd"), file.parent, [])


def _registry(file: Path) -> Registry | None:
    """None where the file is missing or broken."""
    try:
        return load(file)
    except ConfigErrors:
        return None


def _serving(interface: Interface, config: Config, registry: Registry | None) -> bool:
    """Whether netbootd is to give addresses on the cable of *interface*."""
    if registry is not None:
        own = [str(one.ip) for one in interface.addresses]
        nets = [registry.subnets.of(address) for address in own]
        return any(registry.serving(net, interface.name) is Serving.SERVER for net in nets)
    mode = config.dhcp.interfaces.get(interface.name, config.dhcp.mode)
    return mode is Serving.SERVER


def _interfaces(name: str | None, config: Config) -> tuple[Interface, ...]:
    network = networks.read_network()
    wanted = (name,) if name else config.interfaces
    served, unserved = networks.served(network.interfaces, wanted, (), network.default_route)
    if not served:
        reasons = "; ".join(f"{which}: {why}" for which, why in unserved)
        raise NoInterface(f"no interface to ask through ({reasons}); name one")
    return served


def _facts(interface: Interface, config: Config, registry: Registry | None) -> Facts:
    port = config.http_port[0]
    before = host.status(port)
    answers = Questions(interface).ask()
    knocked = {
        server: host.answers_on_4011(server) for server in host.to_knock_on(answers, interface)
    }
    time.sleep(0.1)  # the daemon counts after it has answered
    return Facts(
        interface=interface,
        carrier=host.carrier(interface.name),
        bridge=host.bridge(interface.name),
        holders=host.holders(),
        answers=tuple(answers),
        knocked=knocked,
        before=before,
        after=host.status(port),
        tftp_port=config.tftp.port,
        serving=_serving(interface, config, registry),
    )
