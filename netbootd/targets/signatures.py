"""
``signed``: kernel and initrds of a target are booted only with a good signature beside each
(``vmlinuz.sig``), which iPXE looks at (``imgverify``, https://ipxe.org/cmd/imgverify).

Where that cannot be asked for, nothing is booted: neither by another loader, nor by a template that
leaves it out, nor with an initrd that is made for one machine and so has no signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netbootd.errors import RenderError

#: What a template includes that asks for them.
TEMPLATE = "verify.ipxe"
SUFFIX = ".sig"
_PLAIN = re.compile(r"[A-Za-z0-9._@-]+")


def signer_of(value: Any) -> str | None:
    """
    Who must have signed: the common name of a certificate, empty for anybody who is trusted; None
    where nobody must.  Raises ValueError.
    """
    if isinstance(value, bool):
        return "" if value else None
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    raise ValueError("must be true, false, or the common name of the signer in one plain word")


def wanted(signer: str, values: Mapping[str, Any], source: str, title: str) -> list[dict[str, str]]:
    """
    What ``verify.ipxe`` asks for, for what *values* of a template have loaded.

    *source* is that template's text.  Raises RenderError where a file would be booted unseen.
    """
    if TEMPLATE not in source:
        raise RenderError(f'{title} is "signed", and its template does not include {TEMPLATE}')
    by = f"--signer {signer} " if signer else ""
    files = (values["kernel"], *values["initrds"])
    return [{"by": by, "name": one["name"], "url": f"{one['url']}{SUFFIX}"} for one in files]
