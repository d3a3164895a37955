"""
cloud-init's NoCloud seed: the files that an Ubuntu installer or a cloud image asks for.

``user-data`` is the admin's; ``meta-data`` must exist, and what it says by itself is made up here.
``instance-id`` decides what cloud-init takes for a first boot, so it is the machine's own for good.

Sources: https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html,
https://docs.cloud-init.io/en/latest/explanation/format.html, and
https://canonical-subiquity.readthedocs-hosted.com/en/latest/reference/autoinstall-reference.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from netbootd.mac import MAC

USER_DATA = "user-data"
META_DATA = "meta-data"
VENDOR_DATA = "vendor-data"
#: Every file that may be asked for below a seed address.
FILES = (USER_DATA, META_DATA, VENDOR_DATA, "network-config")

_FIRST_LINE = "#cloud-config"
#: How user-data of cloud-init's other formats begins.
_OTHER_FORMATS = (
    "#!",
    "## template:",
    "#include",
    "#cloud-boothook",
    "#cloud-config-archive",
    "#part-handler",
    "Content-Type:",
    "MIME-Version:",
)
_AUTOINSTALL = re.compile(r"^autoinstall:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n|[ \t]*(?:#.*)?\n)*)", re.M)
_KEY = re.compile(r"^([ ]+)([A-Za-z][\w-]*):(?=\s)", re.M)
#: What the installer knows below ``autoinstall``.
AUTOINSTALL_KEYS = frozenset(  # as text: a list of 30 lines reads worse
    """active-directory apt codecs debconf-selections drivers early-commands error-commands identity
    interactive-sections kernel kernel-crash-dumps keyboard late-commands locale network oem
    packages proxy refresh-installer reporting shutdown snaps source ssh storage timezone
    ubuntu-advantage ubuntu-pro updates user-data version zdevs""".split()  # noqa: SIM905
)


def default_for(name: str, mac: MAC, variables: Mapping[str, Any]) -> str | None:
    """What the file *name* says for a machine where the admin wrote none; None: not found."""
    if name == VENDOR_DATA:
        return ""
    if name != META_DATA:
        return None
    lines = [f"instance-id: netbootd-{mac.dashed}"]
    if isinstance(hostname := variables.get("hostname"), str):
        lines.append(f"local-hostname: {json.dumps(hostname)}")  # JSON is YAML
    return "\n".join((*lines, ""))


def doubts(user_data: str) -> Iterator[str]:
    """What cloud-init or the installer would not take in *user_data*, or would take for nothing."""
    first = user_data.partition("\n")[0]
    if first != _FIRST_LINE and not first.startswith(_OTHER_FORMATS):
        yield f'its first line must be exactly "{_FIRST_LINE}", or cloud-init ignores it'
    if found := _AUTOINSTALL.search(user_data + "\n"):
        keys = _KEY.findall(found[1])
        depth = min((len(indent) for indent, _ in keys), default=0)
        for indent, key in keys:
            if len(indent) == depth and key not in AUTOINSTALL_KEYS:
                yield f'the installer knows no "{key}" below autoinstall'
