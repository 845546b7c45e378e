"""As much of MLflow's REST API as the tracker asks for, in memory, with a turn for whatever else a
server may answer. Filters are read by MLflow's own parser."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mlflow.utils.search_utils import SearchUtils

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """Said of the body; None: its own."""
    raw: bytes | None = None
    """In place of all of it: no HTTP, or nothing at all."""


def json_answer(status: int, said: Any) -> Answer:
    return Answer(status, json.dumps(said).encode(), {"Content-Type": "application/json"})


class Refusal(Exception):
    """MLflow's own error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.answer = json_answer(400, {"error_code": code, "message": "no"})


class MlflowStub:
    """Listens on the loopback until it is closed."""

    def __init__(self) -> None:
        self.experiments: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.turn: Callable[[Answer], Answer] = lambda honest: honest
        """What becomes of an honest answer."""
        self.instead: Callable[[str, bytes], Answer | None] = lambda path, said: None
        """What is answered to a path and a body without doing anything; None: do it."""
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Answer nobody; it may be said again."""
        self._server.shutdown()
        self._server.server_close()

    def tagged(self, tag: str) -> dict[str, Json]:
        """Runs by the value of a tag."""
        found = {}
        for run in self.runs.values():
            tags = {each["key"]: each["value"] for each in run["data"]["tags"]}
            if tag in tags:
                found[tags[tag]] = run
        return found

    def answer(self, method: str, path: str, said: Json) -> Answer:
        """The honest one."""
        act = getattr(self, "_" + path.rpartition("mlflow/")[2].replace("/", "_").replace("-", "_"))
        try:
            return json_answer(200, act(said))
        except Refusal as refusal:
            return refusal.answer

    def _experiments_get_by_name(self, said: Json) -> Json:
        for each in self.experiments.values():
            if each["name"] == said["experiment_name"]:
                return {"experiment": each}
        raise Refusal("RESOURCE_DOES_NOT_EXIST")

    def _experiments_create(self, said: Json) -> Json:
        if any(each["name"] == said["name"] for each in self.experiments.values()):
            raise Refusal("RESOURCE_ALREADY_EXISTS")
        found = str(len(self.experiments) + 1)
        self.experiments[found] = {
            "experiment_id": found,
            "name": said["name"],
            "lifecycle_stage": "active",
            "artifact_location": f"mlflow-artifacts:/{found}",
            "tags": said.get("tags", []),
        }
        return {"experiment_id": found}

    def _experiments_restore(self, said: Json) -> Json:
        return {}

    def _experiments_search(self, said: Json) -> Json:
        return {"experiments": list(self.experiments.values())}

    def _runs_create(self, said: Json) -> Json:
        if said["experiment_id"] not in self.experiments:
            raise Refusal("RESOURCE_DOES_NOT_EXIST")
        run_id = f"{len(self.runs) + 1:032x}"
        self.runs[run_id] = {
            "info": {
                "run_id": run_id,
                "run_uuid": run_id,
                "run_name": said.get("run_name", ""),
                "experiment_id": said["experiment_id"],
                "status": "RUNNING",
                "start_time": said.get("start_time", 1),
                "artifact_uri": f"mlflow-artifacts:/{said['experiment_id']}/{run_id}/artifacts",
                "lifecycle_stage": "active",
            },
            "data": {"metrics": [], "params": [], "tags": list(said.get("tags", []))},
        }
        return {"run": self.runs[run_id]}

    def _run(self, said: Json) -> Json:
        run = self.runs.get(said.get("run_id") or said.get("run_uuid") or "")
        if run is None:
            raise Refusal("RESOURCE_DOES_NOT_EXIST")
        return run

    def _runs_get(self, said: Json) -> Json:
        return {"run": self._run(said)}

    def _runs_search(self, said: Json) -> Json:
        (wanted,) = SearchUtils.parse_search_filter(said["filter"])
        pair = {"key": wanted["key"], "value": wanted["value"]}
        return {"runs": [run for run in self.runs.values() if pair in run["data"]["tags"]]}

    def _runs_log_batch(self, said: Json) -> Json:
        data = self._run(said)["data"]
        for kind in ("metrics", "params", "tags"):
            fresh = {each["key"]: each for each in [*data[kind], *said.get(kind, [])]}
            data[kind] = list(fresh.values())
        return {}

    def _runs_update(self, said: Json) -> Json:
        run = self._run(said)
        run["info"].update({name: said[name] for name in ("status", "end_time") if name in said})
        return {"run_info": run["info"]}


def _handler(stub: MlflowStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            said = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            with stub.lock:
                instead = stub.instead(address.path, said)
                answer = instead or stub.turn(self._honest(address.path, address.query, said))
            if answer.raw is not None:
                self.wfile.write(answer.raw)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)

        def _honest(self, path: str, query: str, said: bytes) -> Answer:
            if "mlflow-artifacts" in path:
                return json_answer(200, {})
            try:
                return stub.answer(
                    self.command, path, json.loads(said) if said else dict(parse_qsl(query))
                )
            except AttributeError:
                return json_answer(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": path})
            except (KeyError, ValueError, TypeError) as error:
                code = {"error_code": "INVALID_PARAMETER_VALUE", "message": repr(error)}
                return json_answer(400, code)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler
