"""
What somebody does by the API, as the audit tells it: who, what, and what of it is worth telling.
"""

from __future__ import annotations

import pwd

from netbootd.api.dropin import who_of
from netbootd.http.resource import Asked


class Deed:
    """
    *asked* is the request, *path* its path below ``/api/v1``; ``owner`` of the token or session,
    and whether that came ``by_cookie``, are known once it is admitted.
    """

    def __init__(self, asked: Asked, path: str) -> None:
        self.asked = asked
        self.owner = ""
        self.by_cookie = False
        self._path = path
        self._details: list[str] = []

    def note(self, detail: str) -> None:
        """Tell *detail* as well, in which there is no secret."""
        self._details.append(detail)

    @property
    def told(self) -> str:
        """What was to be done, and the details."""
        details = f" ({'; '.join(self._details)})" if self._details else ""
        return f"{self.asked.method} {self._path}{details}"

    @property
    def who(self) -> str:
        """Whose it is; for a thread: users may be looked up over the network."""
        if self.asked.uid is not None:
            return who_of(self.asked.uid, pwd.getpwuid)
        return f"{self.owner}, {self.asked.peer}" if self.owner else self.asked.peer

    def by(self) -> str:
        """The same, and by which way."""
        if self.asked.uid is not None:
            return f"{self.who} (user {self.asked.uid}) by the socket"
        if not self.owner:
            return self.asked.peer
        session = "session of " if self.by_cookie else ""
        return f"{session}{self.owner} from {self.asked.peer}"
