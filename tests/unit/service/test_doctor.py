"""`ntlbg doctor` on homes of every kind, and against heads that answer, refuse or are silent."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ntlbg_service.domain.diagnosis.finding import Finding, Level
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.dashboard import MODE, Dashboard, DashboardRefusedError, token_of
from ntlbg_service.executors.job_client import ClusterAwayError, JobClient
from ntlbg_service.maintenance.doctor import Examination, on_loopback, store_behind
from ntlbg_service.nodes import probe
from ntlbg_service.nodes.probing import left_in, read_cluster
from ntlbg_service.process.workspace import Workspace
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import command_on


@contextmanager
def head(answers: Mapping[str, Any], token: str | None = None) -> Iterator[str]:
    """A server that gives these answers, behind a token where there is one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.headers.get("Authorization")
            refused = token and shown != f"Bearer {token}" and self.path != MODE
            found = answers.get(self.path)
            self.send_response(401 if refused else 404 if found is None else 200)
            self.end_headers()
            self.wfile.write(b"no token" if refused else json.dumps(found).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def examined(home: Path, **environment: str) -> dict[str, Finding]:
    workspace = Workspace(home=home, data_root=home / "data")
    found = Examination(workspace=workspace, environment=environment).findings()
    return {finding.check: finding for finding in found}


def test_where_nothing_is_yet_nothing_is_made_and_nothing_is_wrong(tmp_path: Path) -> None:
    found = examined(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    assert found["versions"].level is Level.OK
    assert found["ray"].level is found["database"].level is Level.NOT_CHECKED
    assert Level.PROBLEM not in [each.level for name, each in found.items() if name != "disk"]


def test_runs_that_wait_without_a_leader_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run()])
    service.ledger.close()
    ntlbg = command_on(service, monkeypatch, capsys)
    said = ntlbg("doctor")
    assert said.code == 4
    assert "no controller leads" in said.out and "-> start 'ntlbg controller'" in said.out
    assert said.err == "ntlbg: doctor: 1 problem\n"
    rows = {row["check"]: row for row in ntlbg("doctor", "--json").json}
    assert rows["leader"]["level"] == "problem"
    assert rows["database"]["level"] == rows["storage"]["level"] == "ok"
    assert not list((tmp_path / "home/storage").glob(".doctor-*"))


def test_an_old_schema_and_a_broken_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database, whatever its name says" * 30)
    found = examined(tmp_path)
    assert found["database"].level is Level.PROBLEM
    assert "not a database" in found["database"].what
    (tmp_path / "mlflow.db").write_text("nor is this" * 100)
    assert examined(tmp_path)["mlflow"].level is Level.PROBLEM


def test_a_storage_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("in the way")
    found = examined(tmp_path)
    assert found["storage"].level is Level.PROBLEM and str(tmp_path) in found["storage"].what


def test_only_addresses_of_http_are_asked(tmp_path: Path) -> None:
    (tmp_path / "health").write_text("a file")
    with pytest.raises(InfrastructureError, match="not an address of HTTP"):
        Dashboard({"RAY_ADDRESS": tmp_path.as_uri()}).get("/health")
    with pytest.raises(ValueError, match="not an address of HTTP"):
        store_behind(tmp_path.as_uri())


def test_a_head_that_is_silent_is_one_problem_not_a_crash(tmp_path: Path) -> None:
    found = examined(tmp_path, RAY_ADDRESS="http://127.0.0.1:9")
    assert found["authentication"].level is found["ray"].level is Level.PROBLEM
    assert found["database"].level is Level.NOT_CHECKED  # The rest is looked at all the same.


def test_a_token_opens_and_another_one_does_not() -> None:
    with head({"/x": 7, MODE: {"authentication_mode": "token"}}, token="t" * 8) as url:
        with_it = Dashboard({"RAY_ADDRESS": url, "RAY_AUTH_TOKEN": "t" * 8})
        assert with_it.get("/x") == 7 and with_it.asks_for_token()
        other = Dashboard({"RAY_ADDRESS": url, "RAY_AUTH_TOKEN": "other"})
        assert other.asks_for_token()
        with pytest.raises(DashboardRefusedError, match="no token"):
            other.get("/x")
    with pytest.raises(ClusterAwayError):
        other.get("/x")


def test_an_address_without_a_url_is_looked_up_once(tmp_path: Path) -> None:
    asked: list[str] = []
    with head({"/x": 1}) as url:
        here = Dashboard({"RAY_ADDRESS": "head:6379"}, lambda name: asked.append(name) or url)
        assert here.get("/x") == here.get("/x") == 1
    assert asked == ["head:6379"]


def test_tokens_are_found_where_rays_own_clients_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_of({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("own\n")
    (tmp_path / "named").write_text("named\n")
    assert token_of({}) == "own"
    assert token_of({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "named")}) == "named"
    assert token_of({"RAY_AUTH_TOKEN": "given"}) == "given"
    assert token_of({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "given"}) is None


def test_mlflow_says_what_is_behind_it() -> None:
    info = {"store_type": "SqlStore"}
    with head({"/health": "OK", "/api/3.0/mlflow/server-info": info}) as url:
        assert store_behind(url) == "SqlStore"
    with head({"/health": "OK"}) as url:
        assert store_behind(url) is None


def test_loopback_is_told_from_the_network() -> None:
    assert on_loopback("http://127.0.0.1:8265") and on_loopback("http://localhost:8265")
    assert not on_loopback("http://10.0.0.7:8265") and not on_loopback("http://head:8265")


def test_storage_of_the_same_name_elsewhere_is_no_shared_storage(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with left_in(tmp_path / "here") as token:
        assert probe.try_storage(tmp_path / "here", token) == ""
        assert "another folder" in probe.try_storage(tmp_path / "other", token)
        assert "not there" in probe.try_storage(tmp_path / "nowhere", token)
    assert not (tmp_path / "here").exists()  # It was not there before.
    (tmp_path / "there").mkdir()
    with left_in(tmp_path / "there"):
        pass
    assert not list((tmp_path / "there").iterdir())


class Jobs:
    """Ray's client of jobs, with one job that has printed this."""

    def __init__(self, printed: str) -> None:
        self.printed = printed
        self.deleted: list[str] = []
        self.entrypoint = ""

    def submit_job(self, *, submission_id: str, entrypoint: str, runtime_env: Any) -> None:
        self.entrypoint = entrypoint

    def get_job_info(self, submission_id: str) -> Any:
        return SimpleNamespace(status="SUCCEEDED")

    def get_job_logs(self, submission_id: str) -> str:
        return self.printed

    def delete_job(self, submission_id: str) -> None:
        self.deleted.append(submission_id)


def of_cluster(jobs: Jobs, *times: float) -> Any:
    clock = iter(times)
    client = JobClient("head", lambda _: jobs)
    return read_cluster(client, {"id1": "lab-1"}, Path("/s"), "t", clock=lambda: next(clock))


def test_readings_of_nodes_come_from_the_jobs_one_line() -> None:
    row = {"python": "3.11.7", "packages": {}, "storage": "", "free_gib": {}, "clock_off": -4.0}
    said = {"nodes": {"id1": row, "id2": {"trouble": "gone"}}, "time": 130.0}
    jobs = Jobs(f"noise\n{probe.MARK}{json.dumps(said)}\nmore noise\n")
    first, second = of_cluster(jobs, 100.0, 110.0)
    assert (first.name, first.python) == ("lab-1", "3.11.7")
    assert first.clock_off == 16.0  # The head is 20 s ahead of here, the node 4 s behind that.
    assert (second.name, second.trouble) == ("id2", "gone")
    assert jobs.deleted == ["ntlbg-doctor-t"]
    assert "def try_storage" in jobs.entrypoint


def test_a_job_that_says_nothing_is_quoted() -> None:
    with pytest.raises(InfrastructureError, match="No module named ray"):
        of_cluster(Jobs("Traceback\nModuleNotFoundError: No module named ray\n\n"), 0.0, 1.0)
