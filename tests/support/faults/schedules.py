"""One seeded life of a service whose controllers die, and what must hold at its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import select

from ntlbg_service.controller.lease import Lease
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.service import Service
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.recovery import HOST_RETRIES, LOSSES, RUNGS
from ntlbg_service.domain.states import TERMINAL, AttemptState, DesiredState, RunState
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt
from ntlbg_service.ledger.tables import outbox
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.attempt_outcome import committed_steps, keys_of
from ntlbg_service.results.attempts import newest_checkpoint, read_exit
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.tracking import TrackingError
from ntlbg_service.tracking.publisher import STATUS
from tests.support.builders import SUITE, new_run
from tests.support.faults.world import FakeTracker, World
from tests.support.simulated_executor import SimulatedExecutor

LEASE = 30.0
LIVES = 40
"""Controllers that may die before one is let live."""
NODES = Inventory(
    name="two nodes",
    groups=(NodeGroup(profile="cpu", gpus=1, nodes=2, cores=2, host_memory_gib=16),),
)


class Died(BaseException):
    """The controller ends here, as by SIGKILL: nothing catches it."""


class Clock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Life:
    """A ledger, a storage and a world that live on, and controllers that do not."""

    folder: Path
    url: str
    seed: int
    clock: Any = field(default_factory=Clock)
    make_executor: Callable[[LocalStorage], Any] = SimulatedExecutor
    doors: list[str] = field(default_factory=list)
    """Every effect that was passed, of all controllers."""
    deaths: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.engine = open_database(self.url)
        self.ledger = Ledger(self.engine, self.clock)
        self.workspace = Workspace(home=self.folder, data_root=self.folder)
        self.storage = LocalStorage(self.workspace.storage)
        self.executor = self.make_executor(self.storage)
        self.world = World(self.storage, self.seed, self.executor)
        self.tracker = FakeTracker(fails=self._mlflow_may_be_away)
        self.run_ids: list[str] = []
        self._submit(3)

    def live(self) -> None:
        """Let controllers live and die until every run has ended and MLflow knows."""
        for number in range(LIVES):
            try:
                if self._one_life(number, self.random.randint(1, 14)):
                    return
            except Died:
                self.deaths += 1
        assert self._one_life(LIVES, None), "the last controller did not come to an end"

    def service(self, holder: str, dies_in: int | None) -> Service:
        """A controller that dies at its so many-th door."""
        left = dies_in

        def at_point(name: str) -> None:
            nonlocal left
            self.doors.append(name)
            if left is not None:
                left -= 1
                if left == 0:
                    raise Died

        return Service(
            ledger=self.ledger,
            storage=self.storage,
            executor=self.executor,
            tracker=self.tracker,  # type: ignore[arg-type]
            workspace=self.workspace,
            ground=ClusterView(inventory=NODES),
            lease=Lease(self.ledger, self.clock, holder, LEASE),
            clock=self.clock,
            keep=1,
            at_point=at_point,
        )

    def _one_life(self, number: int, dies_in: int | None) -> bool:
        service = self.service(f"controller {number}", dies_in)
        for _ in range(3000):
            going = service.step()
            if not service.leads:
                self.clock.now += LEASE + 1  # It waits for the lease of the dead one.
            if service.leads and not going and not self.ledger.unsent():
                return True
            self.world.advance()
            self.people()
            self.clock.now += self.random.choice((1.0, 5.0, 30.0))
        return False

    def people(self) -> None:
        """Now and then somebody submits, cancels, pauses or resumes."""
        chance = self.random.random()
        if chance < 0.02 and len(self.run_ids) < 6:
            self._submit(1)
        run = self.ledger.run(self.random.choice(self.run_ids))
        if run.state not in TERMINAL:
            if run.wanted is DesiredState.PAUSE:
                self.ledger.request(run.run_id, DesiredState.RUN, "ada")
            elif chance > 0.99:
                self.ledger.request(run.run_id, DesiredState.CANCEL, "ada")
            elif chance > 0.97:
                self.ledger.request(run.run_id, DesiredState.PAUSE, "ada")

    def _submit(self, number: int) -> None:
        first = len(self.run_ids)
        runs = [new_run(seed=1000 * self.seed + first + n) for n in range(number)]
        self.run_ids += self.ledger.submit(SUITE, runs).new

    def _mlflow_may_be_away(self) -> None:
        if self.random.random() < 0.02:
            raise TrackingError("away")

    def check(self) -> None:
        """No run lost, none finished twice, all ended, ledger = storage, MLflow told in order."""
        for run_id in self.run_ids:
            self._check_run(run_id)
        assert self.executor.running == {}
        launches = [
            attempt.launch_id
            for run_id in self.run_ids
            for attempt in self.ledger.attempts_of(run_id)
        ]
        assert len(set(self.executor.launched)) == len(self.executor.launched)
        assert set(self.executor.launched) <= set(launches)
        assert self.world.most_at_once <= 2
        self._check_outbox()

    def _check_run(self, run_id: str) -> None:
        run = self.ledger.run(run_id)
        attempts = self.ledger.attempts_of(run_id)
        states = [attempt.state for attempt in attempts]
        assert run.state in TERMINAL
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert AttemptState.LAUNCHED not in states
        finished = [state is AttemptState.FINISHED for state in states]
        assert sum(finished) == (run.state is RunState.FINISHED)
        assert not any(finished[:-1])
        for attempt in attempts:
            record = read_exit(self.storage, AttemptKeys(run_id, attempt.number))
            if record is None or not record.finished:
                assert attempt.state is not AttemptState.FINISHED
            else:
                assert attempt.state is AttemptState.FINISHED
            if attempt.state is AttemptState.LOST:
                assert record is None
        self._check_newest_checkpoint(attempts)
        kinds = [event.kind for event in self.ledger.events_of(run_id)]
        assert kinds.count("submitted") == 1
        assert kinds.count("launched") == len(attempts)
        stopped = states.count(AttemptState.INTERRUPTED)
        assert len(attempts) - stopped <= LOSSES + RUNGS + HOST_RETRIES + 1

    def _check_newest_checkpoint(self, attempts: Sequence[Attempt]) -> None:
        """Whatever was dropped, the newest that was committed is there."""
        steps = [committed_steps(self.storage, keys_of(attempt)) for attempt in attempts]
        newest = newest_checkpoint(self.storage, attempts)
        assert max(steps, default=0) == (newest.step if newest else 0)

    def _check_outbox(self) -> None:
        with self.engine.connect() as connection:
            rows = connection.execute(select(outbox).order_by(outbox.c.id)).all()
        assert all(row.sent_at is not None for row in rows)
        marked = [int(name.split()[-1]) for name in self.doors if name.startswith("before send ")]
        # A run that MLflow failed at lets the others pass; its own entries keep their order.
        for about in {row.run_id for row in rows}:
            of_one = [row.sent_at for row in rows if row.run_id == about]
            assert of_one == sorted(of_one), f"MLflow was told out of order of {about}"
        assert set(marked) == {row.id for row in rows}
        tried = [run_id for run_id in self.run_ids if self.ledger.attempts_of(run_id)]
        for run_id in tried:
            told = [
                said for what, of, said in self.tracker.told if (what, of) == ("finished", run_id)
            ]
            assert told and set(told) == {STATUS[self.ledger.run(run_id).state]}
        states = {run.state for run in self.ledger.current_runs(SUITE.key)}
        ended = [said for what, _, said in self.tracker.told if what == "suite finished"]
        assert ended[-1] == ("finished" if states == {RunState.FINISHED} else "failed")


@contextmanager
def a_life(folder: Path, url: str, seed: int) -> Iterator[Life]:
    """A life whose database connections are closed at the end."""
    life = Life(folder, url, seed)
    try:
        yield life
    finally:
        life.engine.dispose()
