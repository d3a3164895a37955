"""
The names of the reply styles: how a proxy tells firmware of its boot file.

Firmware differs in which offer of a proxy it follows, and one style that all of it follows does not
exist.  The bytes of each, and which client begins with which, are in ``dhcp/styles``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netbootd.nearest import did_you_mean

#: What the configuration says to leave the choice to us.
AUTO = "auto"

DIRECT = "direct"
BOOT_SERVER = "boot-server"
MENU = "menu"
RASPBERRY_PI = "raspberry-pi"
RASPBERRY_PI_3 = "raspberry-pi-3"
HTTP = "http"
IPXE = "ipxe"

#: Those that somebody may choose, and what they are.  ``http`` and ``ipxe`` are all that UEFI HTTP
#: boot and iPXE understand: there is nothing to choose.
CHOOSABLE: Mapping[str, str] = {
    DIRECT: "option 43 says to take the file of this offer at once",
    BOOT_SERVER: "no option 43: the client asks again on port 4011, and gets the same file there",
    MENU: "option 43 has a boot menu whose first line is taken at once, then port 4011",
    RASPBERRY_PI: 'the text "Raspberry Pi Boot" in option 43, and no file',
    RASPBERRY_PI_3: "the same with three blanks behind, which the ROM of the first models wants",
}


def parse(value: Any) -> str:
    """``auto`` or one of CHOOSABLE; raises ValueError with what was wanted."""
    words = (AUTO, *CHOOSABLE)
    if not isinstance(value, str):
        raise ValueError(f"one of {', '.join(words)}, not {value!r:.40}")
    word = value.strip()
    if word not in words:
        raise ValueError(f"one of {', '.join(words)}, not {word!r:.40}{did_you_mean(word, words)}")
    return word
