"""Interruptible waiting: ended early by a named pipe in the home, or by ledger notifications.

The pipe serves commands on this machine; a ledger on a server notifies of writes from any machine.
Both only reduce latency: where neither works (a file system without pipes, a lost connection), the
controller polls every few seconds.
"""

import contextlib
import os
import select
from pathlib import Path
from typing import Protocol


def notify(path: Path) -> None:
    """Wake the controller; do nothing if no process is waiting."""
    with contextlib.suppress(OSError):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, b".")
        finally:
            os.close(pipe)


class ChangeListener(Protocol):
    """A source of change notifications from other machines."""

    def open(self) -> bool:
        """Start listening; return True if it was not before. Failures do not raise; call again."""

    def fileno(self) -> int | None:
        """Return a descriptor that is readable after a change; None while not listening."""

    def take(self) -> bool:
        """Read pending notifications; return True if the ledger should be read."""

    def close(self) -> None:
        """Stop listening."""


class Wakeup:
    """The waiting side of the wake-up pipe and of the change listener."""

    def __init__(self, path: Path, news: ChangeListener | None = None) -> None:
        self._path = path
        self._news = news
        self._own, self._alarm = os.pipe()
        os.set_blocking(self._own, False)
        os.set_blocking(self._alarm, False)
        self._pipe: int | None = None

    def listen(self, listens: bool) -> None:
        """Start or stop listening; only the leader listens, since only it can act.

        Repeated calls with True reopen a lost connection.
        """
        if self._news is not None and not listens:
            self._news.close()
        elif self._news is not None and self._news.open():
            self.alarm()  # Changes before the listener opened were not notified.
        if listens and self._pipe is None:
            with contextlib.suppress(OSError):
                if not self._path.exists():
                    os.mkfifo(self._path)
                self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        elif not listens and self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def alarm(self) -> None:
        """Wake this process from `wait`; safe in a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._alarm, b".")

    def wait(self, seconds: float) -> bool:
        """Wait for a notification for at most `seconds`; return True if one came."""
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
