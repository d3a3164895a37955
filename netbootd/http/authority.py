"""
Who may change things: whoever sends the API token (RFC 6750, 2.1; the challenge is of 3).
"""

from __future__ import annotations

import hmac
from http import HTTPStatus

from netbootd.http.resource import Answer, Asked, refused

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="netbootd"'}


def has_token(asked: Asked, token: str) -> bool:
    """Whether the request brings *token*; nobody does while there is none."""
    given = _given(asked).encode("latin-1", "replace")
    return hmac.compare_digest(given, token.encode("latin-1")) and bool(token)


def without_token(asked: Asked, token: str) -> Answer | None:
    """The "no" to a request that does not bring *token*, None for one that does."""
    if has_token(asked, token):
        return None
    if not token:
        told = "nothing can be changed here: netbootd has no API token; its log says why"
        return refused(asked, HTTPStatus.SERVICE_UNAVAILABLE, told)
    if not _given(asked):
        told = "needs the API token: Authorization: Bearer TOKEN"
        return refused(asked, HTTPStatus.UNAUTHORIZED, told, _CHALLENGE)
    return refused(asked, HTTPStatus.FORBIDDEN, "not the API token")


def _given(asked: Asked) -> str:
    scheme, _, token = asked.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
