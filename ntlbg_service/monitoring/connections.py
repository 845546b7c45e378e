"""HTTP server that bounds the number and the duration of its connections.

The controller runs in the same process and shares its file descriptors and memory. So there are
never more than `MOST` connections: one more evicts the oldest, so that a regular client is answered
at once. A request has one deadline, however often its client sends a byte.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST = 16
"""Limit of concurrent connections; Prometheus and a load balancer need two."""
REQUEST_SECONDS = 10.0
"""Deadline of a request from its connection on, the answer included."""
SAID_AGAIN = 60.0
"""Seconds after which the same kind of error is reported again."""
PAUSE_SECONDS = 1.0
"""Pause before the next accept where the process has no descriptor left."""

Note = Callable[[str], None]


class Noted:
    """Rate-limited log: each kind of error once a minute, with the count since."""

    def __init__(self, note: Note, clock: Callable[[], float]) -> None:
        self._note = note
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, tuple[float, int]] = {}

    def say(self, kind: str, words: str = "") -> None:
        """Report an error of a kind, or count it."""
        now = self._clock()
        with self._lock:
            since, held_back = self._said.get(kind, (None, 0))
            if since is not None and now - since < SAID_AGAIN:
                self._said[kind] = (since, held_back + 1)
                return
            self._said[kind] = (now, 0)
        more = f" ({held_back} more since it was said last)" if held_back else ""
        self._note(f"{kind}{f': {words}' if words else ''}{more}")


class BoundedServer(ThreadingHTTPServer):
    """Server with one thread per client; an error of one client is noted and ends only that one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        note: Note,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        self._clock = clock
        self._most = most
        self._noted = Noted(note, clock)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        """Deadline of each connection, the oldest first."""
        self._ending: set[socket.socket] = set()
        """Connections dropped and not yet closed by their threads."""
        self._closed = threading.Event()
        super().__init__(address, handler)

    @property
    def connections(self) -> int:
        """Number of connections, including those that are being dropped."""
        with self._lock:
            return len(self._open) + len(self._ending)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept the next connection.

        Pause where the process has no descriptor left: the listening socket stays readable, and the
        server's loop would spin.
        """
        try:
            return super().get_request()
        except OSError as error:
            self._noted.say("port: no connection can be accepted", error.strerror or str(error))
            self.drop_oldest()
            self._closed.wait(PAUSE_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; drop the oldest connection where the limit is reached."""
        with self._lock:
            full, stuck = len(self._open) >= self._most, len(self._ending) >= self._most
        if full:
            self._noted.say(f"port: more than {self._most} clients at once, the oldest are dropped")
            self.drop_oldest()
        if stuck:
            self.shutdown_request(request)
            return
        with self._lock:
            self._open[request] = self._clock() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Drop the connections past their deadline; the server calls this twice a second."""
        now = self._clock()
        with self._lock:
            late = [request for request, deadline in self._open.items() if deadline <= now]
        for request in late:
            self._noted.say(f"port: clients that took more than {REQUEST_SECONDS:g} s are dropped")
            self._drop(request)

    def drop_oldest(self) -> None:
        """Drop the oldest connection, if there is one."""
        with self._lock:
            oldest = next(iter(self._open), None)
        if oldest is not None:
            self._drop(oldest)

    def _drop(self, request: socket.socket) -> None:
        """Shut a connection down, so that its thread's pending read or write fails and it ends."""
        with self._lock:
            if self._open.pop(request, None) is None:
                return
            self._ending.add(request)
            # Under the lock, so that its thread cannot close it meanwhile and its number be reused.
            with suppress(OSError):  # The client is gone.
                request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, which then no longer counts."""
        with self._lock:
            self._open.pop(request, None)
            self._ending.discard(request)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a client's error, without a traceback; a disconnect is ignored."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            self._noted.say(f"port: a request failed: {type(error).__name__}", str(error))

    def server_close(self) -> None:
        """Close the listening socket, and drop all connections."""
        self._closed.set()
        super().server_close()
        with self._lock:
            left = list(self._open)
        for request in left:
            self._drop(request)
