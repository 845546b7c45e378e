"""The port of a controller: what it says, and that it waits for nobody."""

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.stats import HeldGpus
from ntlbg_service.monitoring.health_checks import health_checks, write_in
from ntlbg_service.monitoring.loop_metrics import LoopMetrics
from ntlbg_service.monitoring.port import STALE_SECONDS, STUCK_SECONDS, Port
from ntlbg_service.monitoring.sampling import Sampler
from ntlbg_service.monitoring.snapshot import Gpus, HealthCheck, gpus_of
from ntlbg_service.storage.local import LocalStorage
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_ledger, new_run, open_test_ledger
from tests.support.command_line import until
from tests.support.patience import PATIENCE

NODES = (
    Node(name="a1", group=0, profile="A100-80GB", gpus=8),
    Node(name="v1", group=1, profile="V100-32GB", gpus=4),
    Node(name="v2", group=1, profile="V100-32GB", gpus=4),
    Node(name="later", group=1, profile="V100-32GB", gpus=4, ready_hours=0.1),
)


class Watched:
    """A port with a clock that stands still until it is moved."""

    def __init__(self, folder: Path, asks: dict[str, HealthCheck] | None = None) -> None:
        self.now = 100.0
        self.loop_metrics = LoopMetrics(lambda: self.now)
        self.ledger = new_ledger(folder)
        storage = LocalStorage(folder / "storage")
        self.sampler = Sampler(self.ledger, storage, lambda: NODES, asks or {}, lambda: self.now)
        self.port = Port("127.0.0.1", 0, self.loop_metrics, self.sampler)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.port.url}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Value by name and the values of its labels."""
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    found.port.open()
    until(lambda: found.sampler.newest is not None, "the first look")
    yield found
    found.port.close()


def test_a_loop_that_steps_is_healthy_and_one_that_stopped_is_not(watched: Watched) -> None:
    assert watched.get("/healthz")[0] == 200
    watched.now += STUCK_SECONDS + 1
    status, said = watched.get("/healthz")
    assert (status, json.loads(said)["alive"]) == (503, False)
    with watched.loop_metrics.step():
        assert watched.get("/healthz")[0] == 200


def test_readiness_names_what_does_not_answer(tmp_path: Path) -> None:
    def away() -> None:
        raise InfrastructureError("Ray at head:6379: no answer within 20 s")

    watched = Watched(tmp_path, {"storage": lambda: None, "executor": away})
    watched.port.open()
    try:
        until(lambda: watched.sampler.newest is not None, "the first look")
        status, text = watched.get("/readyz")
        said = json.loads(text)
        assert (status, said["ready"], said["role"]) == (503, False, "stands by")
        assert said["checks"]["database"] == said["checks"]["storage"] == "answers"
        assert "no answer" in said["checks"]["executor"]
        assert watched.metrics()["ntlbg_answers", "executor"] == 0
        assert watched.metrics()["ntlbg_answers", "database"] == 1
    finally:
        watched.port.close()


def test_a_ready_controller_says_its_role_until_what_was_seen_is_old(watched: Watched) -> None:
    watched.loop_metrics.leads = True
    status, said = watched.get("/readyz")
    assert (status, json.loads(said)["role"]) == (200, "leads")
    watched.now += STALE_SECONDS + 1  # A look that hangs leaves what was seen before.
    assert watched.get("/readyz")[0] == 503


def test_other_paths_name_the_valid_ones(watched: Watched) -> None:
    status, said = watched.get("/metricz")
    assert status == 404 and "/metrics" in said


def test_answers_come_while_the_look_hangs(tmp_path: Path) -> None:
    freed = threading.Event()
    watched = Watched(tmp_path, {"storage": lambda: freed.wait(60) and None})
    watched.port.open()
    try:
        assert watched.get("/healthz")[0] == 200
        status, said = watched.get("/readyz")
        assert status == 503 and "under way" in said
        assert ("ntlbg_leads",) in watched.metrics()
    finally:
        freed.set()
        watched.port.close()


def test_a_look_that_breaks_is_shown_and_the_next_one_counts(tmp_path: Path) -> None:
    broken = [RuntimeError("a bug")]

    def ask() -> None:
        if broken:
            raise broken.pop()

    watched = Watched(tmp_path, {"storage": ask})
    watched.sampler.every = 0.01
    watched.port.open()
    try:
        until(lambda: watched.sampler.newest is not None and not broken, "the first look")
        until(lambda: watched.get("/readyz")[0] == 200, "a later look")
    finally:
        watched.port.close()


def test_a_client_that_says_nothing_holds_up_nobody(watched: Watched) -> None:
    host, _, port = watched.port.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.send(b"GET /met")
        assert watched.get("/healthz")[0] == 200
        assert watched.get("/metrics")[0] == 200


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        sampler = Sampler(new_ledger(tmp_path), LocalStorage(tmp_path), lambda: (), {})
        with pytest.raises(UserError, match="--port chooses another"):
            Port("127.0.0.1", taken.getsockname()[1], LoopMetrics(), sampler)


def test_metrics_count_the_ledger(watched: Watched) -> None:
    ledger = watched.ledger
    ledger.submit(SUITE, [new_run("uniform"), new_run("ntlbg"), new_run("ntlbg", 2)])
    first, second, _ = ledger.queued()
    fit = replace(first.fits[0], profile="V100-32GB")
    one = start_attempt(ledger, first, fit, None, "simulated", "", ("v1",))
    start_attempt(ledger, second, fit, None, "simulated", "", ("v2",))
    ledger.drain("v2", "ada")
    ledger.end_attempt(
        one,
        AttemptState.LOST,
        RunState.QUEUED,
        failure=FailureClass.INFRASTRUCTURE,
        not_before=ledger.now() + 1e6,
    )
    ledger.set_aside(ledger.unsent()[0], "no")
    watched.loop_metrics.leads = True
    watched.loop_metrics.decided(0.02)
    watched.sampler.look()
    found = watched.metrics()
    assert found["ntlbg_runs", "queued"] == 2
    assert found["ntlbg_runs", "running"] == 1
    assert found["ntlbg_runs", "lost"] == 0
    assert found["ntlbg_queue_runs", "place"] == 1
    assert found["ntlbg_queue_runs", "pause_after_failure"] == 1
    assert found["ntlbg_queue_oldest_seconds",] > 0
    assert found["ntlbg_launches_total",] == 2
    assert found["ntlbg_attempts_ended_total", "infrastructure"] == 1
    assert found["ntlbg_outbox_entries",] > 0
    assert found["ntlbg_outbox_refused_entries",] == 1
    assert found["ntlbg_gpus", "V100-32GB", "held"] == 1
    assert found["ntlbg_gpus", "V100-32GB", "drained"] == 3
    assert found["ntlbg_gpus", "V100-32GB", "idle"] == 4
    assert found["ntlbg_gpus", "A100-80GB", "idle"] == 8
    assert found["ntlbg_scheduling_seconds_count",] == 1
    assert found["ntlbg_scheduling_seconds_sum",] == pytest.approx(0.02)
    assert any(name[0] == "ntlbg_build_info" for name in found)
    assert ("process_resident_memory_bytes",) in found


def test_labels_name_neither_runs_nor_people(watched: Watched) -> None:
    watched.ledger.submit(SUITE, [new_run()])
    (run,) = watched.ledger.queued()
    watched.sampler.look()
    text = watched.get("/metrics")[1]
    assert 'ntlbg_runs{state="queued"} 1.0' in text
    assert run.run_id not in text and "ada" not in text and "uniform" not in text


def test_gpus_are_of_one_state_each_whatever_is_drained() -> None:
    held = [HeldGpus(profile="A100-80GB", gpus=2, nodes=("a1",))]
    found = gpus_of(NODES, held, frozenset({"a1"}))
    assert found["A100-80GB"] == Gpus(held=2, idle=0, drained=6)
    assert found["V100-32GB"] == Gpus(held=0, idle=8, drained=0)
    gone = gpus_of((), [HeldGpus(profile="L4", gpus=0.5, nodes=("left",))], frozenset())
    assert gone == {"L4": Gpus(held=0.5)}


def test_figures_are_the_same_of_both_databases(ledger_url: str) -> None:
    ledger = open_test_ledger(ledger_url)
    ledger.submit(SUITE, [new_run("uniform"), new_run("ntlbg")])
    run = ledger.queued()[0]
    start_attempt(ledger, run, run.fits[0], None, "simulated", "", ("here",))
    assert ledger.lead("somebody", 1000.0)
    found = ledger.figures()
    assert found.runs["queued"] == found.runs["running"] == 1
    assert found.waiting == {"place": 1, "pause_after_failure": 0, "paused": 0}
    assert found.held == (HeldGpus(profile="cpu", gpus=1.0, nodes=("here",)),)
    assert (found.leader, found.launches, found.attempts) == ("somebody", 1, {})
    assert 0 < found.lease_left <= 1000
    ledger.close()


def test_storage_that_takes_nothing_is_no_answer(tmp_path: Path) -> None:
    in_the_way = tmp_path / "storage"
    in_the_way.write_text("a file")
    with pytest.raises(InfrastructureError, match="storage"):
        write_in(LocalStorage(in_the_way))
    asks = health_checks(LocalStorage(tmp_path / "other"), {}, None)
    for ask in asks.values():
        ask()


def test_a_controller_tells_each_decision_and_each_look(tmp_path: Path) -> None:
    service = Service(tmp_path)
    took: list[float] = []
    alive: list[float] = []
    service.ledger.submit(SUITE, [new_run()])
    controller = replace(
        service.controller, decided=took.append, alive=lambda: alive.append(time.monotonic())
    )
    controller.step()
    begun = len(alive)
    controller.step()
    assert len(took) == 1 and took[0] > 0
    assert 0 < begun < len(alive)  # It starts a run, then looks at what runs.


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_what_is_shipped_asks_for_metrics_that_there_are(watched: Watched, file: str) -> None:
    watched.loop_metrics.leads, watched.loop_metrics.renewed_at = True, 90.0
    watched.sampler.look()
    text = watched.get("/metrics")[1]
    shipped = (Path(__file__).parents[3] / "deploy/monitoring" / file).read_text()
    asked_for = set(re.findall(r"\b(?:ntlbg|process)_[a-z_]+", shipped))
    assert len(asked_for) > 5
    for name in asked_for:
        family = name.removesuffix("_bucket").removesuffix("_total")
        assert f"# TYPE {family}" in text, name
