"""The server behind a controller's port: slow clients take nothing from anybody."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from ntlbg_service.monitoring.connections import (
    REQUEST_SECONDS,
    SAID_AGAIN,
    BoundedServer,
    Noted,
)
from tests.support.command_line import until

PATIENCE = 60.0
"""Seconds for an answer on a busy machine; nothing is decided by it."""


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/broken":
            raise ValueError("a bug")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Served:
    """A server for four clients, with a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.said: list[str] = []
        address = ("127.0.0.1", 0)
        self.server = BoundedServer(address, Hello, self.said.append, lambda: self.now, 4)
        self._loop = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._loop.start()

    def client(self) -> socket.socket:
        return socket.create_connection(self.server.server_address[:2], PATIENCE)

    def get(self, path: str) -> bytes:
        with self.client() as client:
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: client.recv(4096), b""))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._loop.join(PATIENCE)


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.stop()


@contextmanager
def slow_clients(served: Served, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(served.client()) for _ in range(number)]
        for client in clients:
            client.sendall(b"GET /heal")
        yield clients


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection without an answer; waits for that."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_sixty_slow_clients_hold_four_places_and_nobody_up(served: Served) -> None:
    with slow_clients(served, 60) as clients:
        for _ in range(3):
            assert served.get("/").endswith(b"hello")
        assert all(ended(client) for client in clients[:50])
        until(lambda: served.server.connections <= 4, "the dropped ones are closed")
    assert served.said == ["port: more than 4 clients at once, the oldest are dropped"]


def test_a_deadline_is_for_the_whole_request(served: Served) -> None:
    with slow_clients(served, 2) as (talking, silent):
        until(lambda: served.server.connections == 2, "both are accepted")
        served.now += REQUEST_SECONDS / 2
        talking.sendall(b"t")
        with slow_clients(served, 1) as (later,):
            until(lambda: served.server.connections == 3, "the third is accepted")
            served.now += REQUEST_SECONDS / 2
            assert ended(talking) and ended(silent)
            until(lambda: served.server.connections == 1, "the third has time left")
            later.sendall(b"th HTTP/1.0\r\n\r\n")
            assert later.recv(4096).startswith(b"HTTP/1.0 200")
    assert served.said == ["port: clients that took more than 10 s are dropped"]


def test_a_client_that_does_not_read_is_dropped_too(served: Served) -> None:
    with slow_clients(served, 1) as (client,):
        until(lambda: served.server.connections == 1, "it is accepted")
        served.now += REQUEST_SECONDS
        assert ended(client)
    assert served.get("/").endswith(b"hello")


def test_a_request_that_fails_is_a_line_and_ends_alone(served: Served) -> None:
    for _ in range(5):
        assert served.get("/broken") == b""
    assert served.get("/").endswith(b"hello")
    assert served.said == ["port: a request failed: ValueError: a bug"]


def test_each_kind_is_said_once_a_minute_with_how_often_it_came() -> None:
    now, said = [0.0], list[str]()
    noted = Noted(said.append, lambda: now[0])
    for _ in range(21_819):
        noted.say("slow", "one")
    noted.say("broken")
    now[0] += SAID_AGAIN
    noted.say("slow", "another")
    assert said == ["slow: one", "broken", "slow: another (21818 more since it was said last)"]


NO_DESCRIPTORS = """
import os, resource, socket, threading
from http.server import BaseHTTPRequestHandler
from ntlbg_service.monitoring import connections
class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args):
        pass
connections.PAUSE_SECONDS = 0.01
told = threading.Event()
said = []
def note(words):
    said.append(words)
    told.set()
server = connections.BoundedServer(("127.0.0.1", 0), Hello, note, most=2)
threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
client = socket.socket()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
client.connect(server.server_address)
client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
assert told.wait(60)
for number in taken:
    os.close(number)
answer = b"".join(iter(lambda: client.recv(4096), b""))
print(answer.endswith(b"hello"), said)
"""


def test_a_process_without_descriptors_answers_when_it_has_some_again() -> None:
    done = subprocess.run([sys.executable, "-c", NO_DESCRIPTORS], capture_output=True, text=True)
    assert done.stdout == "True ['port: no connection can be accepted: Too many open files']\n", (
        done.stderr
    )
