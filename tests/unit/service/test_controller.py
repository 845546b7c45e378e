"""The controller: every run ends once, whatever is killed between two steps."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import (
    CheckpointMarker,
    ExitRecord,
    LaunchSpec,
    MetricLine,
    to_json,
)
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.recovery import RETRIES, RUNGS, FailureClass
from ntlbg_service.domain.states import TERMINAL, AttemptState, DesiredState, RunState
from ntlbg_service.results.attempt_outcome import suspects
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, a_beat, new_run
from tests.support.simulated_executor import finishes


def submitted(service: Service, runs: int = 3) -> tuple[str, ...]:
    return service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(runs)]).new


def failing(failure: FailureClass) -> "object":
    def outcome(spec: LaunchSpec) -> ExitRecord:
        return replace(finishes(spec), finished=False, failure=failure, message="why")

    return outcome


def test_every_run_finishes_once(tmp_path: Path) -> None:
    service = Service(tmp_path)
    ids = submitted(service)
    service.run_all()
    assert {service.ledger.run(run_id).state for run_id in ids} == {RunState.FINISHED}
    assert sorted(service.executor.launched) == sorted(f"{run_id}-0001" for run_id in ids)


def test_never_more_than_the_capacity(tmp_path: Path) -> None:
    service = Service(tmp_path, places=2)
    submitted(service, 5)
    while service.controller.step():
        assert len(service.executor.running) <= 2
        service.executor.complete(next(iter(service.executor.running.values())).run_id)


def test_a_lost_attempt_goes_on_from_its_newest_committed_checkpoint(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    keys = AttemptKeys(run_id, 1)
    for step in (10, 20, 30):
        folder = service.storage.path(f"{keys.work}/step-{step:08d}")
        folder.mkdir(parents=True)
        if step < 30:  # The third is on disk without its marker: not committed.
            marker = CheckpointMarker(attempt=1, step=step, path=keys.checkpoint(step))
            service.storage.put(keys.marker(step), to_json(marker))
    service.executor.stop(keys)
    while len(service.ledger.attempts_of(run_id)) < 2:  # The clock moves: the back-off ends.
        service.controller.step()
    first, second = service.ledger.attempts_of(run_id)
    assert first.state is AttemptState.LOST
    assert second.resume_from == keys.checkpoint(20)


def test_retries_end(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.executor.outcome = lambda spec: None
    (run_id,) = submitted(service, 1)
    service.run_all()
    assert service.ledger.run(run_id).state is RunState.LOST
    assert len(service.ledger.attempts_of(run_id)) == RETRIES + 1


@pytest.mark.parametrize("failure", [FailureClass.USER, FailureClass.BUG, FailureClass.NON_FINITE])
def test_what_would_fail_alike_is_not_repeated(tmp_path: Path, failure: FailureClass) -> None:
    service = Service(tmp_path)
    service.executor.outcome = failing(failure)  # type: ignore[assignment]
    (run_id,) = submitted(service, 1)
    service.run_all()
    run = service.ledger.run(run_id)
    assert (run.state, run.reason) == (RunState.FAILED, "why")
    assert len(service.ledger.attempts_of(run_id)) == 1


def test_interrupt_queues_and_the_next_controller_goes_on(tmp_path: Path) -> None:
    service = Service(tmp_path)
    ids = submitted(service, 3)
    service.controller.step()
    service.controller.interrupt()
    assert service.executor.running == {}
    assert {service.ledger.run(run_id).state for run_id in ids} == {RunState.QUEUED}
    service.restart()
    service.run_all()
    assert {service.ledger.run(run_id).state for run_id in ids} == {RunState.FINISHED}


def test_a_launch_that_was_only_intended_is_made(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    run = service.ledger.run(run_id)
    start_attempt(service.ledger, run, run.fits[0], None, "simulated", "killed before the launch")
    service.run_all()
    assert service.ledger.run(run_id).state is RunState.FINISHED
    assert service.executor.launched == [f"{run_id}-0001"]


def test_results_that_came_while_nobody_looked_are_taken(tmp_path: Path) -> None:
    service = Service(tmp_path)
    ids = submitted(service, 2)
    service.controller.step()
    for run_id in ids:
        service.executor.complete(run_id)
    service.restart()
    service.run_all()
    assert all(len(service.ledger.attempts_of(run_id)) == 1 for run_id in ids)


def test_what_another_suite_left_behind_holds_no_place(tmp_path: Path) -> None:
    service = Service(tmp_path, places=1)
    (left,) = submitted(service, 1)
    service.controller.step()
    service.executor.running.clear()  # Its driver and its controller were killed.
    other = replace(new_run(), identity=replace(new_run().identity, suite="other"))
    (mine,) = service.ledger.submit(replace(SUITE, key="other"), [other]).new
    service.controller = replace(service.controller, suite_key="other")
    service.run_all()
    assert service.ledger.run(mine).state is RunState.FINISHED
    assert service.ledger.run(left).state is RunState.QUEUED


def test_a_hung_process_is_stopped_and_its_run_goes_on(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    service.storage.touch(AttemptKeys(run_id, 1).heartbeat, a_beat(1))
    for _ in range(int(Timeouts.heartbeat) + 5):  # Ticks: seconds a look.
        service.controller.step()
    first = service.ledger.attempts_of(run_id)[0]
    assert first.state is AttemptState.LOST
    assert first.message.startswith("no sign of life for 30")
    service.run_all()
    assert service.ledger.run(run_id).state is RunState.FINISHED


def test_a_run_leaves_the_node_whose_copy_failed_its_check(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    service.executor.outcome = lambda spec: ExitRecord(
        run_id=spec.run_id,
        attempt=spec.attempt,
        finished=False,
        failure=FailureClass.INFRASTRUCTURE,
        message="the copy of w has other bytes than were written, 2 times",
        suspect="ray-id-2",
        ended_at=1.0,
    )
    service.controller.step()
    (attempt,) = service.ledger.attempts_of(run_id)
    assert suspects(service.storage, attempt) == ()  # It has not ended.
    service.executor.complete(run_id)
    assert suspects(service.storage, attempt) == attempt.nodes  # There is no other node.
    gang = replace(attempt, nodes=("a", "b"))
    assert suspects(service.storage, gang) == ()  # Its spec does not say which of them.
    spec = service.storage.path(AttemptKeys(run_id, 1).spec)
    placed = json.loads(spec.read_text()) | {"nodes": ["ray-id-1", "ray-id-2"]}
    spec.write_text(json.dumps(placed))
    assert suspects(service.storage, gang) == ("b",)
    service.controller.step()
    assert service.ledger.run(run_id).excluded == ()  # No other node holds it here.
    assert service.ledger.attempts_of(run_id)[0].message.startswith("the copy of w")


def test_a_process_that_beats_but_does_nothing_is_stopped_once_it_has_begun(tmp_path: Path) -> None:
    service = Service(tmp_path)
    loading, stuck = submitted(service, 2)
    service.controller = replace(service.controller, timeouts=Timeouts(progress=50.0))
    service.controller.step()
    for time in range(60):
        for run_id, step in ((loading, 0), (stuck, 7)):
            beat = a_beat(step) | {"time": float(time)}
            service.storage.touch(AttemptKeys(run_id, 1).heartbeat, beat)
        service.controller.step()
    states = {each: service.ledger.attempts_of(each)[0] for each in (loading, stuck)}
    assert states[loading].state is AttemptState.LAUNCHED
    assert states[stuck].state is AttemptState.LOST
    assert states[stuck].message.startswith("alive, but no step and no answer for 5")


def test_a_place_is_free_when_the_process_is_gone_not_before(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    (spec,) = service.executor.running.values()
    service.storage.put(AttemptKeys(run_id, 1).exit, to_json(finishes(spec)))
    service.controller.step()
    assert service.ledger.run(run_id).state is RunState.RUNNING
    for _ in range(int(Timeouts.exit_grace) + 5):
        service.controller.step()
    assert service.executor.running == {}
    assert service.ledger.run(run_id).state is RunState.FINISHED


def test_a_running_run_is_cancelled_and_a_paused_one_goes_on_when_it_may(tmp_path: Path) -> None:
    service = Service(tmp_path)
    cancelled, paused = submitted(service, 2)
    service.controller.step()
    service.ledger.request(cancelled, DesiredState.CANCEL, "ada")
    service.ledger.request(paused, DesiredState.PAUSE, "ada")
    for _ in range(3):
        service.controller.step()
    assert service.executor.running == {}
    assert service.ledger.run(cancelled).state is RunState.CANCELLED
    assert service.ledger.run(paused).state is RunState.QUEUED
    service.ledger.request(paused, DesiredState.RUN, "ada")
    service.run_all()
    assert service.ledger.run(paused).state is RunState.FINISHED
    assert len(service.ledger.attempts_of(paused)) == 2


def test_a_process_that_comes_after_it_was_given_up_may_not_start(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    run = service.ledger.run(run_id)
    attempt = start_attempt(service.ledger, run, run.fits[0], None, "simulated", "not yet claimed")
    service.ledger.request(run_id, DesiredState.CANCEL, "ada")
    service.controller.step()
    assert service.ledger.run(run_id).state is RunState.CANCELLED
    service.executor.launch(launch_spec(run, attempt, service.workspace))
    assert service.executor.running == {}


def beats_at(service: Service, keys: AttemptKeys, seconds: float) -> None:
    """A sign of life of an attempt, so long after it was launched."""
    attempt = service.ledger.attempts_of(keys.run_id)[keys.attempt - 1]
    beat = a_beat(1) | {"attempt": keys.attempt, "time": attempt.launched_at + seconds}
    service.storage.touch(keys.heartbeat, beat)


def commits(service: Service, keys: AttemptKeys, step: int) -> str:
    """A checkpoint of an attempt; says its key."""
    folder = service.storage.path(keys.checkpoint(step))
    folder.mkdir(parents=True)
    marker = CheckpointMarker(attempt=keys.attempt, step=step, path=keys.checkpoint(step))
    service.storage.put(keys.marker(step), to_json(marker))
    return keys.checkpoint(step)


def with_hours(service: Service, hours: float) -> str:
    (run_id,) = service.ledger.submit(SUITE, [replace(new_run(), max_hours=hours)]).new
    return run_id


def test_a_run_ends_when_its_attempts_together_have_used_its_hours(tmp_path: Path) -> None:
    service = Service(tmp_path)
    run_id = with_hours(service, 1.0)
    service.controller.step()
    beats_at(service, AttemptKeys(run_id, 1), 2000)
    service.controller.interrupt()
    service.controller.step()
    beats_at(service, AttemptKeys(run_id, 2), 1500)
    service.controller.step()
    assert service.ledger.run(run_id).state is RunState.RUNNING
    beats_at(service, AttemptKeys(run_id, 2), 1600)
    service.controller.step()
    run = service.ledger.run(run_id)
    assert (run.state, run.reason) == (RunState.FAILED, "used its 1 h")
    last = service.ledger.attempts_of(run_id)[-1]
    assert (last.state, last.failure) == (AttemptState.INTERRUPTED, FailureClass.TIME_LIMIT)
    assert service.executor.running == {}


def test_an_attempt_that_is_lost_with_its_hours_used_is_the_last(tmp_path: Path) -> None:
    service = Service(tmp_path)
    run_id = with_hours(service, 1.0)
    service.controller.step()
    beats_at(service, AttemptKeys(run_id, 1), 3600)
    service.executor.running.clear()
    service.controller.step()
    run = service.ledger.run(run_id)
    assert (run.state, run.reason) == (RunState.FAILED, "used its 1 h")


def test_what_used_its_hours_goes_on_from_its_checkpoint_when_it_is_repeated(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path)
    run_id = with_hours(service, 1.0)
    service.controller.step()
    folder = commits(service, AttemptKeys(run_id, 1), 3)
    beats_at(service, AttemptKeys(run_id, 1), 3600)
    service.controller.step()
    second = service.ledger.requeue(run_id, "ada")
    service.controller.step()
    beats_at(service, AttemptKeys(second, 1), 3600)
    service.controller.step()
    third = service.ledger.requeue(run_id, "ada", max_hours=2.0)
    service.controller.step()
    beats_at(service, AttemptKeys(third, 1), 3700)
    service.executor.complete(third)
    service.controller.step()
    hours = [service.ledger.run(each).max_hours for each in (run_id, second, third)]
    assert hours == [1.0, 1.0, 2.0]
    (attempt,) = service.ledger.attempts_of(third)
    assert attempt.resume_from == folder
    assert service.ledger.run(third).state is RunState.FINISHED


def test_a_run_that_failed_otherwise_is_repeated_from_the_start(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.executor.outcome = failing(FailureClass.BUG)  # type: ignore[assignment]
    run_id = with_hours(service, 1.0)
    service.controller.step()
    commits(service, AttemptKeys(run_id, 1), 3)
    service.executor.complete(run_id)
    service.controller.step()
    again = service.ledger.requeue(run_id, "ada")
    service.controller.step()
    assert service.ledger.attempts_of(again)[0].resume_from is None


def on_disk(service: Service, run_id: str) -> set[tuple[int, int]]:
    """Attempt and step of every checkpoint folder of a run."""
    found = service.storage.path(f"runs/{run_id}").glob("attempt-*/train/step-*")
    return {(int(each.parts[-3].split("-")[1]), int(each.name.split("-")[1])) for each in found}


def loses_with(service: Service, keys: AttemptKeys, loss: float, step: int) -> None:
    line = MetricLine(attempt=keys.attempt, step=step, time=1.0, values={"train/loss": loss})
    service.storage.append(keys.metrics, to_json(line))
    commits(service, keys, step)


def test_checkpoints_go_as_newer_ones_are_committed(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.controller = replace(service.controller, keep=2)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    keys = AttemptKeys(run_id, 1)
    for step, loss in ((1, 0.5), (2, 0.1), (3, 0.4), (4, 0.3)):
        loses_with(service, keys, loss, step)
        service.controller.step()
    assert on_disk(service, run_id) == {(1, 2), (1, 3), (1, 4)}  # The best and the two newest.
    assert len(service.storage.keys(keys.markers)) == 4
    loses_with(service, keys, 0.2, 5)  # Committed just before the end.
    service.executor.complete(run_id)
    service.controller.step()
    assert service.ledger.run(run_id).state is RunState.FINISHED
    assert on_disk(service, run_id) == {(1, 2), (1, 4), (1, 5)}


def test_what_an_attempt_goes_on_from_stays_while_it_runs(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.controller = replace(service.controller, keep=1)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    commits(service, AttemptKeys(run_id, 1), 3)
    service.controller.interrupt()
    service.controller.step()
    second = AttemptKeys(run_id, 2)
    assert service.ledger.attempts_of(run_id)[1].resume_from is not None
    for step in (4, 5):
        commits(service, second, step)
        service.controller.step()
    assert on_disk(service, run_id) == {(1, 3), (2, 5)}


def test_a_checkpoint_that_cannot_be_deleted_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("ntlbg_service.controller.effects.delete_atomically", refuses)
    service = Service(tmp_path)
    said: list[str] = []
    effects = replace(service.controller.effects, note=said.append)
    service.controller = replace(service.controller, effects=effects, keep=1)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    for step in (1, 2):
        commits(service, AttemptKeys(run_id, 1), step)
    service.executor.complete(run_id)
    service.controller.step()
    assert service.ledger.run(run_id).state is RunState.FINISHED
    assert [
        words for words in said if words.endswith("step-00000001: not deleted: Permission denied")
    ]


def test_all_checkpoints_stay_where_that_is_asked_for(tmp_path: Path) -> None:
    service = Service(tmp_path)
    (run_id,) = submitted(service, 1)
    service.controller.step()
    for step in (1, 2, 3, 4):
        commits(service, AttemptKeys(run_id, 1), step)
        service.controller.step()
    assert len(on_disk(service, run_id)) == 4


def test_out_of_memory_goes_down_the_ladder_with_the_same_global_batch(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.executor.outcome = failing(FailureClass.OUT_OF_MEMORY)  # type: ignore[assignment]
    (run_id,) = submitted(service, 1)
    service.run_all()
    fits = [attempt.fit for attempt in service.ledger.attempts_of(run_id)]
    assert service.ledger.run(run_id).state is RunState.FAILED
    assert 1 < len(fits) <= RUNGS + 1
    assert {fit.micro_batch * fit.accumulation * fit.workers for fit in fits} == {8}
    assert all(later.predicted_gib < fit.predicted_gib for fit, later in pairwise(fits))


def test_trouble_with_one_launch_touches_no_other_and_is_noted_once(tmp_path: Path) -> None:
    service = Service(tmp_path)
    notes: list[str] = []
    effects = replace(service.controller.effects, note=notes.append)
    service.controller = replace(service.controller, effects=effects)
    ids = submitted(service, 2)
    launch = service.executor.launch

    def away(spec: LaunchSpec) -> None:
        if spec.run_id == ids[0]:
            raise InfrastructureError("the cluster does not answer")
        launch(spec)

    service.executor.launch = away  # type: ignore[method-assign]
    for _ in range(3):
        service.controller.step()
    assert [spec.run_id for spec in service.executor.running.values()] == [ids[1]]
    assert notes.count("the cluster does not answer") == 1
    service.executor.launch = launch  # type: ignore[method-assign]
    service.run_all()
    assert all(len(service.ledger.attempts_of(run_id)) == 1 for run_id in ids)


class Killed(BaseException):
    """The controller dies here."""


class DyingExecutor:
    """Passes calls on; dies before or after the n-th of them."""

    name = "simulated"

    def __init__(self, service: Service, dies_at: int) -> None:
        self._inner = service.executor
        self._left = dies_at

    def _door(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed

    def launch(self, spec: LaunchSpec) -> None:
        self._door()
        self._inner.launch(spec)
        self._door()

    def status(self, keys: AttemptKeys) -> "object":
        self._door()
        return self._inner.status(keys)

    def stop(self, keys: AttemptKeys) -> None:
        self._inner.stop(keys)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(deaths=st.lists(st.integers(1, 8), min_size=1, max_size=6))
def test_killed_anywhere_no_run_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, deaths: list[int]
) -> None:
    service = Service(tmp_path_factory.mktemp("service"))
    ids = submitted(service, 4)
    for dies_at in deaths:
        service.restart()
        effects = replace(service.controller.effects, executor=DyingExecutor(service, dies_at))
        service.controller = replace(service.controller, effects=effects)
        try:
            service.run_all()
        except Killed:
            continue
    service.restart()
    service.run_all()
    assert all(service.ledger.run(run_id).state in TERMINAL for run_id in ids)
    assert sorted(service.executor.launched) == sorted(f"{run_id}-0001" for run_id in ids)
