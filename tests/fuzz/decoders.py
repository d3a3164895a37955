"""Every decoder, by its name."""

from __future__ import annotations

from tests.fuzz import archives, texts, web, wires

DECODERS = {
    one.name: one for one in (*wires.DECODERS, *texts.DECODERS, *web.DECODERS, *archives.DECODERS)
}
