"""A controller whose MLflow answers anything: it goes on, nobody is held up, and everything is told
once answers are honest again."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ntlbg_service.controller.lease import Lease
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.service import Service
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.launch import MetricLine, to_json
from ntlbg_service.ledger.records import NewSuite
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.tracking import Tracker
from ntlbg_service.tracking.publisher import LONGEST_PAUSE
from ntlbg_service.tracking.rebuild import note_all
from tests.support.builders import new_ledger, new_run
from tests.support.fuzz.hostile import Hostile
from tests.support.mlflow_stub import Answer, MlflowStub, json_answer
from tests.support.simulated_executor import SimulatedExecutor

RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
"""What steers a terminal."""
CODES = (
    *("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"),
    *("INVALID_STATE", "INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"),
    *("PERMISSION_DENIED", "BAD_REQUEST", "NO_SUCH_CODE", "\x1b[31m", 500, -1, None, ["x"], {}),
)
STATUSES = (201, 204, 206, 304, 400, 401, 403, 404, 409, 413, 418, 429, 500, 502, 503, 504, 599)
PAGES = (
    b"<html>\x1b[31mlog in\x1b[0m</html>",
    b"",
    b"\xff\xfe\x00",
    b"OK",
    b"[]",
    b"null",
    b'{"experiments": 5}',
    b"[" * 5000,
    b'{"run": ' * 300 + b"1" + b"}" * 300,
)


A_WORLD = 100
"""Wrong answers after which a world's MLflow becomes honest."""


class Turn:
    """Makes of an honest answer, most of the time, one that is not."""

    def __init__(self, seed: str, elsewhere: str) -> None:
        self.source = Hostile(seed)
        self.elsewhere = elsewhere
        self.met = 0

    def __call__(self, honest: Answer) -> Answer:
        random = self.source.random
        if random.random() < 0.6:
            return honest
        self.met += 1
        match random.randrange(9):
            case 0:
                message = f"\x1b]0;title\x07{self.source.name()[:2000]}"
                said = {"error_code": random.choice(CODES), "message": message}
                return json_answer(random.choice(STATUSES), said)
            case 1:
                return Answer(random.choice((200, *STATUSES)), random.choice(PAGES))
            case 2:
                status = random.choice((301, 302, 303, 307, 308))
                return Answer(status, b"", {"Location": f"{self.elsewhere}/api"})
            case 3:
                half = honest.body[: len(honest.body) // 2]
                return Answer(200, half, honest.headers, length=random.choice((len(half), 10**6)))
            case 4:
                return Answer(0, b"", raw=random.choice((b"", b"\x1b[31mSSH-2.0\r\n", b"HTTP/9 x")))
            case 5:
                return Answer(200, b'{"runs": [' + b"0," * 300_000 + b"0]}")
            case 6:
                return Answer(429, b"{}", {"Retry-After": "99999999"})
            case _:
                return Answer(honest.status, self._changed(honest), honest.headers)

    def _changed(self, honest: Answer) -> bytes:
        said = json.loads(honest.body or b"{}")
        body = self.source.document(said)
        # Where files go is what a server may say; the test's own machine is not to be written to.
        return honest.body if b"artifact" in honest.body and b"mlflow-art" not in body else body


class World:
    """A service with a few runs whose MLflow is the stub."""

    def __init__(self, folder: Path, stub: MlflowStub, name: str) -> None:
        self.now = 1000.0
        self.said: list[str] = []
        self.suite = NewSuite(key=name, name=name, description="", submitter="ada", spec={})
        self.workspace = Workspace(home=folder, data_root=folder / "data", mlflow=stub.address)
        self.storage = LocalStorage(self.workspace.storage)
        self.ledger = new_ledger(folder)
        self.executor = SimulatedExecutor(self.storage)
        group = NodeGroup(profile="cpu", gpus=2, nodes=1, cores=2, host_memory_gib=16)
        self.service = Service(
            ledger=self.ledger,
            storage=self.storage,
            executor=self.executor,
            tracker=Tracker(stub.address),
            workspace=self.workspace,
            ground=ClusterView(inventory=Inventory(name="laptop", groups=(group,))),
            lease=Lease(self.ledger, lambda: self.now, seconds=1e9),
            clock=lambda: self.now,
            note=self.said.append,
        )

    def step(self, seconds: float) -> None:
        """One step of the loop, so long after the one before."""
        self.now += seconds
        self.service.step()

    def live(self, runs: int) -> None:
        """Submit runs and let them write a metric line and end."""
        submitted = [new_run(seed=seed) for seed in range(runs)]
        self.ledger.submit(self.suite, submitted)
        while self.ledger.active_attempts() or self.ledger.current_runs(self.suite.key):
            self.step(15)
            for spec in list(self.executor.running.values()):
                line = MetricLine(attempt=spec.attempt, step=1, time=5.0, values={"loss": 1.0})
                keys = AttemptKeys(spec.run_id, spec.attempt)
                self.storage.append(keys.metrics, to_json(line))
                self.executor.complete(spec.run_id)
            if not self.executor.running and all(
                run.state == "finished" for run in self.ledger.current_runs(self.suite.key)
            ):
                return


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[MlflowStub, MlflowStub]]:
    """MLflow, and a place elsewhere that nothing is to be sent to."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    found = MlflowStub(), MlflowStub()
    yield found
    for each in found:
        each.close()


def drive(folder: Path, stubs: tuple[MlflowStub, MlflowStub], answers: int) -> None:
    """Worlds until MLflow gave so many wrong answers."""
    stub, elsewhere = stubs
    touched: list[Answer] = []
    elsewhere.turn = lambda honest: touched.append(honest) or honest  # type: ignore[func-returns-value]
    turn = Turn("answers", elsewhere.address)
    number = 0
    while turn.met < answers:
        world = World(folder / str(number), stub, f'ada\'s "suite" {number}')
        stub.turn, before = turn, turn.met
        world.live(3)
        while turn.met < before + A_WORLD and world.ledger.unsent():
            world.step(LONGEST_PAUSE)
        stub.turn = lambda honest: honest
        waiting = len(world.ledger.unsent())
        world.step(LONGEST_PAUSE)
        assert len(world.ledger.unsent()) < waiting or not waiting, world.said[-3:]
        for entry in world.ledger.refused():
            assert not RAW.search(entry.error), entry
        world.ledger.resend()
        for _ in range(3):
            world.step(LONGEST_PAUSE)
        assert not world.ledger.unsent() and not world.ledger.refused(), world.said[-3:]
        # A well-formed lie (no such run, it has ended) is believed, and mended from the ledger.
        note_all(world.ledger, [world.suite.key])
        world.step(LONGEST_PAUSE)
        shown = Tracker(stub.address).statuses(world.suite.key)
        for run in world.ledger.current_runs(world.suite.key):
            assert "finished" in shown[run.run_id], (number, shown)
        assert not [line for line in world.said if RAW.search(line)]
        world.ledger.close()
        stub.runs.clear()
        stub.experiments.clear()
        number += 1
    assert not touched


def test_wrong_answers(
    tmp_path: Path, stubs: tuple[MlflowStub, MlflowStub], capfd: pytest.CaptureFixture[str]
) -> None:
    drive(tmp_path, stubs, 100)
    assert "\x1b" not in "".join(capfd.readouterr())


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_wrong_answers(
    tmp_path: Path, stubs: tuple[MlflowStub, MlflowStub], capfd: pytest.CaptureFixture[str]
) -> None:
    drive(tmp_path, stubs, int(os.environ.get("NTLBG_FUZZ", "10000")))
    assert "\x1b" not in "".join(capfd.readouterr())
