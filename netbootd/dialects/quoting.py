"""
How each loader's language takes a value that is not ours: as that value, and never as a command.

What cannot be said in a language, such as a line end in most, raises RenderError.
"""

from __future__ import annotations

from netbootd.errors import RenderError


def shown(value: object) -> str:
    """*value* as text for a screen: one line, blanks collapsed, nothing but what can be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def one_line(value: object) -> str:
    """*value* as (part of) one line, where it must arrive unchanged; raises RenderError."""
    text = str(value)
    if not text.isprintable():
        raise RenderError("a value has a line end or another control character in it")
    return text


def one_word(value: object) -> str:
    """Like one_line, without a blank in it."""
    text = one_line(value)
    if " " in text:
        raise RenderError(f"{text!r:.80} has a blank in it")
    return text


def grub(value: object) -> str:
    """
    One word of a GRUB script: between single quotes nothing is special but their end.

    (GNU GRUB Manual, "Quoting": neither ``$`` nor a backslash acts there.)
    """
    return "'" + one_line(value).replace("'", "'\\''") + "'"
