"""The API's "no": what is raised wherever something cannot be answered or done as it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from netbootd.errors import Finding, NetbootdError


class No(NetbootdError):
    """
    *code* is for programs, *text* one sentence for people: what, where, what would be right.

    *findings* are those of the configuration that led to it; *headers* go with the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        text: str,
        findings: Iterable[Finding] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.text = text
        self.findings = tuple(findings)
        self.headers = dict(headers or {})
        super().__init__(text)


def not_found(text: str) -> No:
    """There is no such machine, boot or page."""
    return No(HTTPStatus.NOT_FOUND, "not-found", text)


def wrong(text: str, code: str = "bad-request") -> No:
    """The request itself makes no sense."""
    return No(HTTPStatus.BAD_REQUEST, code, text)
