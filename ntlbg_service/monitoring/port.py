"""HTTP endpoints /healthz, /readyz and /metrics, answered from memory without blocking calls."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder

from ntlbg_service.domain.errors import UserError
from ntlbg_service.monitoring.connections import BoundedServer
from ntlbg_service.monitoring.exposition import SnapshotCollector
from ntlbg_service.monitoring.loop_metrics import LoopMetrics
from ntlbg_service.monitoring.sampling import Sampler
from ntlbg_service.process.redaction import redacted

STUCK_SECONDS = 300.0
"""Seconds without activity after which the loop counts as hung.

It blocks for 20 s where Ray does not answer, and for about 80 where a job takes long to stop.
"""
STALE_SECONDS = 120.0
"""Age from which a snapshot is stale: some dependency neither answers nor fails."""

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class Port:
    """Monitoring server, for a few clients at once."""

    def __init__(
        self,
        host: str,
        port: int,
        loop_metrics: LoopMetrics,
        sampler: Sampler,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Bind the address; `note` is called with errors of clients.

        Raises UserError where the address is not available.
        """
        self._vitals = loop_metrics
        self._sampler = sampler
        registry = loop_metrics.registry
        registry.register(SnapshotCollector(lambda: sampler.newest, loop_metrics))
        ProcessCollector(registry=registry)
        try:
            self._server = BoundedServer((host, port), _handler(self), note, loop_metrics.clock)
        except (OSError, OverflowError) as error:
            raise UserError(
                f"controller --host {host} --port {port}: {error}; --port chooses another"
            ) from None

    @property
    def url(self) -> str:
        """URL of the server."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def open(self) -> None:
        """Start sampling and serving."""
        self._sampler.start()
        threading.Thread(target=self._server.serve_forever, name="port", daemon=True).start()

    def close(self) -> None:
        """Stop sampling and serving."""
        self._sampler.stop()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, accept: str) -> Answer:
        """Return the answer to a GET of this path."""
        match path.partition("?")[0]:
            case "/healthz":
                return self._health()
            case "/readyz":
                return self._readiness()
            case "/metrics":
                encode, kind = choose_encoder(accept)
                return 200, kind, encode(self._vitals.registry)
        return _json(404, {"error": "valid: /healthz, /readyz, /metrics"})

    def _health(self) -> Answer:
        age = self._vitals.clock() - self._vitals.beat_at
        alive = age < STUCK_SECONDS
        return _json(200 if alive else 503, {"alive": alive, "loop_age_seconds": round(age, 3)})

    def _readiness(self) -> Answer:
        role = "leads" if self._vitals.leads else "stands by"
        seen = self._sampler.newest
        if seen is None:
            return _json(503, {"ready": False, "role": role, "why": "the first look is under way"})
        age = self._vitals.clock() - seen.taken_at
        ready = seen.ready and age < STALE_SECONDS
        checks = {name: redacted(trouble) or "answers" for name, trouble in seen.troubles.items()}
        said = {"ready": ready, "role": role, "seen_seconds_ago": round(age, 3), "checks": checks}
        return _json(200 if ready else 503, said)


def _json(status: int, said: Mapping[str, Any]) -> Answer:
    return status, "application/json", json.dumps(said).encode() + b"\n"


def _handler(port: Port) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "ntlbg"
        sys_version = ""

        def do_GET(self) -> None:
            self._send(body=True)

        def do_HEAD(self) -> None:
            self._send(body=False)

        def _send(self, *, body: bool) -> None:
            status, kind, content = port.answer(self.path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Suppress the access log: scrapes come every few seconds."""

    return Handler
