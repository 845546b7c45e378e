"""Prometheus as Debian ships it, with what deploy/monitoring holds."""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

SHIPPED = Path(__file__).parents[2] / "deploy/monitoring"


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"these tests need {name} (Debian: apt-get install prometheus)"
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Prometheus:
    """Reads what is shipped, every second and from another port."""

    def __init__(self, folder: Path, target: int) -> None:
        shipped = (SHIPPED / "prometheus.yml").read_text()
        assert "scrape_interval: 15s" in shipped and "127.0.0.1:9464" in shipped
        here = shipped.replace("15s", "1s").replace("9464", str(target))
        (folder / "prometheus.yml").write_text(f"global:\n  evaluation_interval: 1s\n{here}")
        shutil.copy(SHIPPED / "alerts.yml", folder)
        port = free_port()
        self._address = f"http://127.0.0.1:{port}"
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    *("--config.file", str(folder / "prometheus.yml")),
                    *("--storage.tsdb.path", str(folder / "data")),
                    *("--web.listen-address", f"127.0.0.1:{port}"),
                ],
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        """Whether it answers."""
        assert self._process.poll() is None
        try:
            return bool(self._get("-/ready", {}))
        except URLError:
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of a query, with their values now. Raises HTTPError for one that is none."""
        answer = json.loads(self._get("api/v1/query", {"query": query}))
        assert answer["status"] == "success"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def alerts(self) -> dict[str, str]:
        """States by name of the alerts that are about to fire or do."""
        found = json.loads(self._get("api/v1/alerts", {}))["data"]["alerts"]
        return {alert["labels"]["alertname"]: alert["state"] for alert in found}

    def _get(self, path: str, values: dict[str, str]) -> bytes:
        with urlopen(f"{self._address}/{path}?{urlencode(values)}", timeout=30) as answer:
            said: bytes = answer.read()
            return said

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
