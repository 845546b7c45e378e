"""Waiting that others can cut short: by a named pipe in the home, and by news of the ledger.

The pipe is for people on this machine; where the ledger is a server, what they write on any machine
is news from there. Both only save time: where neither can be (a file system without pipes, a
connection that is lost), the controller looks by itself every few seconds.
"""

import contextlib
import os
import select
from pathlib import Path
from typing import Protocol


def notify(path: Path) -> None:
    """Tell the controller that there is news; silent where nobody waits."""
    with contextlib.suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, b".")
        finally:
            os.close(pipe)


class ChangeListener(Protocol):
    """What tells of news from other machines."""

    def open(self) -> bool:
        """Listen from now on; whether it did not before. Trouble is no error: asked again later."""

    def fileno(self) -> int | None:
        """What becomes readable when there may be news; None where it does not listen."""

    def take(self) -> bool:
        """Read what has come; whether it is worth a look."""

    def close(self) -> None:
        """Listen no more."""


class Wakeup:
    """The waiting end."""

    def __init__(self, path: Path, news: ChangeListener | None = None) -> None:
        self._path = path
        self._news = news
        self._own, self._alarm = os.pipe()
        os.set_blocking(self._own, False)
        os.set_blocking(self._alarm, False)
        self._pipe: int | None = None

    def listen(self, listens: bool) -> None:
        """Only who leads listens, so that no news goes to one that cannot act on it.

        Said again while it listens, it opens what was lost meanwhile.
        """
        if self._news is not None and not listens:
            self._news.close()
        elif self._news is not None and self._news.open():
            self.alarm()  # What came while nobody listened is looked for at once.
        if listens and self._pipe is None:
            with contextlib.suppress(OSError):
                if not self._path.exists():
                    os.mkfifo(self._path)
                self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        elif not listens and self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def alarm(self) -> None:
        """End the waiting of this process. Safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._alarm, b".")

    def wait(self, seconds: float) -> bool:
        """Until there is news, at most so long; whether there was."""
        far = None if self._news is None else self._news.fileno()
        watched = [each for each in (self._own, self._pipe, far) if each is not None]
        heard = False
        for ready in select.select(watched, [], [], max(seconds, 0.0))[0]:
            if self._news is not None and ready == far:
                heard |= self._news.take()
            else:
                heard = True
                with contextlib.suppress(BlockingIOError):
                    os.read(ready, 65536)
        return heard

    def close(self) -> None:
        """Stop listening."""
        self.listen(False)
        os.close(self._own)
        os.close(self._alarm)
