"""
Files that many clients fetch, laid out in blocks once for all of them.

A window is then a slice: nothing is read, cut or put together for it.  Boot programs are laid out
as soon as a client has confirmed anything, files when they are fetched for the second time.  What
is kept is told by its stamp (``content``): a file that is written anew has another one.  One whose
transfer is under way goes on as it was, for those that began with it.

The windows of what is not laid out are read into a mould that has the headers already
(``blocks``); in lock step the transfer reads ahead instead.

No more than ten a second are laid out; whoever asks for ever other sizes of blocks cannot hold up
the rest.  What others fetch meanwhile is read, and stays laid out where it is: the longest unused
goes first.

A file that changed less than two seconds ago is not kept: within a tick of its file system's clock
it may change again and have the same stamp.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from netbootd.content import Content, Stamp
from netbootd.tftp.blocks import MOST_ROOMS, Source, Streamed, Whole

_ROOM = 16 << 20  # bytes of all that is kept
_LARGEST = 4 << 20  # bytes of a file; what is larger is an image, and not fetched by lock step
_SMALLEST_BLKSIZE = 512  # below it the headers take too much
_SEEN = 256  # files that were fetched once
_SETTLED_S = 2.0
_PAUSE_S = 0.1  # to lay out 4 MB takes 3 ms, and any client may ask for 64,952 sizes of blocks


class Ready:
    """What is laid out; *today* gives seconds since 1970, *now* those of a steady clock."""

    def __init__(
        self,
        today: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._today, self._now = today, now
        self._again_at = float("-inf")  # the next may be laid out
        self._kept: OrderedDict[tuple[Stamp, int], Whole] = OrderedDict()
        self._size = 0
        self._seen: OrderedDict[Stamp, None] = OrderedDict()

    def of(self, content: Content, blksize: int, windowsize: int = 1) -> Source | None:
        """
        *content* in blocks of *blksize* bytes, or None where neither pays: to have it laid out, or
        to read a window at a time into its place.
        """
        if (whole := self._whole(content, blksize)) is not None:
            return whole
        if content.fd < 0 or not 1 < windowsize <= MOST_ROOMS:
            return None
        return Streamed(content.read_into, content.size, blksize, windowsize)

    def _whole(self, content: Content, blksize: int) -> Whole | None:
        stamp = content.stamp
        if stamp is None or content.size > _LARGEST or blksize < _SMALLEST_BLKSIZE:
            return None
        kept = self._kept.get((stamp, blksize))
        if kept is not None:
            self._kept.move_to_end((stamp, blksize))
            return kept
        if content.held is None and not self._asked_before(stamp):
            return None
        if (now := self._now()) < self._again_at:
            return None
        self._again_at = now + _PAUSE_S
        return self._lay(content, stamp, blksize)

    def _asked_before(self, stamp: Stamp) -> bool:
        if stamp in self._seen:
            return True
        self._seen[stamp] = None
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        return False

    def _lay(self, content: Content, stamp: Stamp, blksize: int) -> Whole | None:
        """None also where the file changes at this moment; whoever reads it will see."""
        try:
            data = content.read(0, content.size)
        except OSError:
            return None
        if len(data) < content.size or not content.settled(self._today() - _SETTLED_S):
            return None
        whole = self._kept[stamp, blksize] = Whole(data, blksize)
        self._size += whole.size
        while self._size > _ROOM:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size
        return whole
