"""A receiver of notices on this machine: takes, refuses, is silent, goes down and comes back."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, str]]]


class Receiver:
    """Keeps what it took, in order, and every request that came."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.came: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        """Path, headers and content of each request."""
        self.answer: Answer = lambda _: (200, {})
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen; where it did before, on the same port."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) < int(self.headers["Content-Length"]):
                    return  # Its sender was killed meanwhile.
                content = json.loads(body)
                receiver.came.append((self.path, dict(self.headers), content))
                code, headers = receiver.answer(content)
                if code == 200:
                    receiver.taken.append(content)
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go down."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def url(self, path: str = "/hook", word: str = "") -> str:
        """Where it is."""
        return f"http://{word}127.0.0.1:{self.port}{path}"

    @property
    def states(self) -> list[tuple[str, str]]:
        """Kind and state of what it took."""
        return [(each["kind"], each["state"]) for each in self.taken]


@contextmanager
def a_receiver() -> Iterator[Receiver]:
    """One that listens."""
    receiver = Receiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
