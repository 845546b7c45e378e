"""Waiting that others can cut short: a named pipe in the home, written to when there is news.

It only saves time. Where it cannot be (another machine, a file system without pipes), the
controller looks by itself every few seconds.
"""

import contextlib
import os
import select
from pathlib import Path


def poke(path: Path) -> None:
    """Tell the controller that there is news; silent where nobody waits."""
    with contextlib.suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, b".")
        finally:
            os.close(pipe)


class Wake:
    """The waiting end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own, self._alarm = os.pipe()
        os.set_blocking(self._own, False)
        os.set_blocking(self._alarm, False)
        self._pipe: int | None = None

    def listen(self, listens: bool) -> None:
        """Only who leads listens, so that no news goes to one that cannot act on it."""
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

    def wait(self, seconds: float) -> None:
        """Until there is news, at most so long."""
        watched = [self._own] if self._pipe is None else [self._own, self._pipe]
        for ready in select.select(watched, [], [], max(seconds, 0.0))[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(ready, 65536)

    def close(self) -> None:
        """Stop listening."""
        self.listen(False)
        os.close(self._own)
        os.close(self._alarm)
