"""An MLflow server that is a real process, and can be taken away."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from tests.end_to_end.conftest import until


class MlflowServer:
    """On a database of its own; what it is told stays there while it is away."""

    def __init__(self, database: Path) -> None:
        self.database = database
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{found.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        """Returns when it answers."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        artifacts = self.database.with_name("mlartifacts")
        port = self.address.rpartition(":")[2]
        with self.database.with_name("mlflow.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", port),
                    *("--backend-store-uri", f"sqlite:///{self.database}"),
                    *("--artifacts-destination", str(artifacts)),
                ],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._answers, "MLflow's first answer")

    def kill(self) -> None:
        """SIGKILL to the server and each of its processes."""
        server = psutil.Process(self._process.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(processes, timeout=30)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "MLflow's server ended"
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                return True
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False
