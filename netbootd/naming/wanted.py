"""What the server of names shall know, and why it does not: values between the queue and DNS."""

from __future__ import annotations

from dataclasses import dataclass

from netbootd.leases.lease import Address
from netbootd.naming.names import Named


@dataclass(frozen=True, slots=True)
class Pointer:
    """What *address* shall be called: *name*, or nothing where it is called *was* still."""

    address: Address
    name: str
    was: str = ""


Wanted = Named | Pointer


class Away(Exception):
    """Nothing can be told at the moment: the text says why."""


class Unwanted(Exception):
    """The server says no; the text says to what."""
