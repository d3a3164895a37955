"""``netbootd show MAC``: what a machine would get at each step, why, and its script."""

from __future__ import annotations

from dataclasses import dataclass

from netbootd import arch, urls
from netbootd.boot.client import Client, Stage
from netbootd.boot.decision import Loader, Refusal, identify, next_step
from netbootd.boot.script import boot_script
from netbootd.mac import MAC
from netbootd.registry.snapshot import Registry

_FIRMWARE = (arch.BIOS, arch.EFI_X64, arch.TABLE[11], arch.TABLE[6])
_OUR_ADDRESS = "boot-server"  # the interface that hears the request decides


@dataclass(frozen=True, slots=True)
class Shown:
    """*boots* is False where the machine would only get a notice."""

    text: str
    boots: bool


def show(registry: Registry, mac: MAC) -> Shown:
    """Everything about one machine, for a person at a terminal."""
    base = registry.boot_server or urls.base_url(_OUR_ADDRESS, registry.config.http_port[0])
    script = boot_script(Client(stage=Stage.IPXE, mac=mac), registry, base)
    lines = [f"machine   {mac}", *_who(registry, mac), *_loaders(registry, mac), ""]
    return Shown("\n".join(lines) + "\n" + script.text, script.status == 200)


def _who(registry: Registry, mac: MAC) -> list[str]:
    client = Client(stage=Stage.IPXE, mac=mac)
    decision = next_step(client, identify(client, registry), registry)
    machine = decision.machine
    lines = [f"target    {machine.title if machine else 'none'}"]
    lines += [f"because   {reason}" for reason in decision.because]
    if machine:
        lines += [
            f"variable  {name} = {value}" for name, value in sorted(machine.variables.items())
        ]
    return lines


def _loaders(registry: Registry, mac: MAC) -> list[str]:
    lines = []
    for row in _FIRMWARE:
        client = Client(stage=Stage.FIRMWARE, mac=mac, arch=row)
        step = next_step(client, identify(client, registry), registry).step
        if isinstance(step, Loader):
            lines.append(f"loader    {row}: {step.name}")
        elif isinstance(step, Refusal):
            lines.append(f"loader    {row}: nothing; {step.reason}")
    return lines
