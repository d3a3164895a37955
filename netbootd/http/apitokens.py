"""
Tokens are made and taken back, and browsers let in without one: over the Unix socket alone, so that
nobody who has a token, or a session, can make himself another that lasts.
"""

from __future__ import annotations

from http import HTTPStatus

from netbootd.api.no import No, wrong
from netbootd.http.admission import Admission
from netbootd.http.apicall import Call, nothing, told
from netbootd.http.apireading import in_thread
from netbootd.http.apiwriting import object_of
from netbootd.http.resource import Answer, Awaited
from netbootd.http.sessions import KEY_LIFE_S


class TokenPages:
    """What *admission* lets in with."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._keyring = admission.authority.keyring

    def listed(self, call: Call) -> Answer:
        """The names of all."""
        _must_be_local(call)
        return told({"tokens": sorted(self._keyring.tokens.digests)})

    def make(self, call: Call) -> Awaited:
        """A new one, told this once."""
        _must_be_local(call)
        said = object_of(call)
        if said.keys() != {"name"} or not isinstance(said["name"], str):
            raise wrong('send {"name": "NAME"}')
        return Awaited(self._made(call, said["name"]))

    async def _made(self, call: Call, name: str) -> Answer:
        call.deed.note(f"{'another' if name in self._keyring.tokens.digests else 'new'}: {name}")
        token = await in_thread(self._keyring.make, name)
        return told({"name": name, "token": token}, HTTPStatus.CREATED)

    def remove(self, call: Call, name: str) -> Awaited:
        """It counts no more."""
        _must_be_local(call)
        return Awaited(self._removed(name))

    async def _removed(self, name: str) -> Answer:
        await in_thread(self._keyring.remove, name)
        return nothing()

    def make_key(self, call: Call) -> Awaited:
        """A key that opens one session of a browser, for the user of the socket."""
        _must_be_local(call)
        return Awaited(self._key_made(call))

    async def _key_made(self, call: Call) -> Answer:
        owner = await in_thread(lambda: call.deed.who)
        key = self._admission.make_key(owner)
        return told({"key": key, "seconds": KEY_LIFE_S}, HTTPStatus.CREATED)


def _must_be_local(call: Call) -> None:
    if call.asked.uid is None:
        told_so = "tokens are made on the boot server alone: 'netbootd token', over its Unix socket"
        raise No(HTTPStatus.FORBIDDEN, "socket-only", told_so)
