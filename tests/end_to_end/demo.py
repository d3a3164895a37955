"""
``make demo``: a UEFI machine boots Linux from the network, with no hardware at all.

Three namespaces stand for the LAN, its DHCP server and the boot server.  The machine is real
firmware (OVMF) in QEMU; its serial console appears here as it runs.  Exit status 0 if it booted.
"""

from __future__ import annotations

import sys

from tests.end_to_end import guest
from tests.end_to_end.lab import BOOT_SERVER, HTTP, LAN_SERVER, Lab
from tests.end_to_end.process import ESCAPES, LabError, NotSeenError

NODE = "52:54:00:12:34:56"
BOOT_S = 100

CONFIG = """\
# config-file-type: JSON 1
{{
   "boot_servers" : {{ "default" : "{http}" }},
   "targets" : {{
      "linux" : {{
         "demo" : {{
            "kernel"    : "images/vmlinuz",
            "initrd"    : "images/initrd.gz",
            "boot_args" : "{arguments} hello=netbootd",
         }},
      }},
   }},
   "machines" : {{
      "{node}" : {{ "type" : "linux", "name" : "demo" }},
   }},
   "netbootd" : {{
      "interfaces" : [ "eth0" ],
      "files" : "{root}",
      "firmware" : [ "/usr/lib/ipxe" ],
      "state" : "{state}",
   }},
}}
"""


class Screen:
    """Prints a console line by line as it comes, each after a mark that tells whose it is."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._rest = ""

    def __call__(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if clean := ESCAPES.sub("", line).strip():
                print(f"{self._mark} | {clean}", flush=True)


def title(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def show(lab: Lab) -> None:
    """The whole story; raises NotSeenError or LabError where it goes wrong."""
    title(f"the LAN: a DHCP server at {LAN_SERVER} that knows nothing of network boot")
    lab.dhcp()

    root = guest.fill(lab.folder / "srv")
    file = lab.folder / "netbootd.json"
    file.write_text(
        CONFIG.format(
            http=HTTP,
            arguments=guest.LINUX_ARGUMENTS,
            node=NODE,
            root=root,
            state=lab.folder / "state",
        )
    )
    title(f"the configuration, on the boot server {BOOT_SERVER}")
    print(file.read_text())

    title("netbootd run --config netbootd.json")
    daemon = lab.netbootd(file)
    print(daemon.text.rstrip())

    title(f"power on: UEFI machine {NODE}, set to boot from the network; its console:")
    with lab.uefi(NODE, mirror=Screen("  node")) as node:
        node.wait_for(guest.DONE, BOOT_S)
        took = node.seconds()
        packets = node.packets()

    title("what went over its cable")
    print(packets)
    title("what netbootd saw")
    print("\n".join(daemon.lines(NODE)))
    title(
        f"{NODE} booted Linux in {took:.0f} s: address from the LAN's DHCP server, "
        "loader, script, kernel and initrd from netbootd."
    )


def main() -> int:
    try:
        with Lab() as lab:
            show(lab)
    except (LabError, NotSeenError) as problem:
        print(f"\nThe demo did not work: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
