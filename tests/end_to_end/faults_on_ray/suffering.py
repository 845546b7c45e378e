"""Lets a run suffer a fault, and measures what it cost: one row of the table."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from ntlbg_service.domain.states import RunState
from ntlbg_service.storage.layout import AttemptKeys
from tests.end_to_end.conftest import until
from tests.end_to_end.faults_on_ray.home import SAVE_STEPS, TWO, Home
from tests.end_to_end.faults_on_ray.outcome import Outcome, doubled, outcome_of

Hurt = Callable[[Home, AttemptKeys], None]
"""Does something bad to an attempt that has saved its first checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a fault did to a run."""

    fault: str
    detected_seconds: float | None
    """From the fault until the ledger says that the attempt ended. None where none had to end."""
    save_steps: int
    """Steps from one checkpoint to the next."""
    lost_steps: int
    """Steps that were done twice."""
    different: list[str]
    """What is not as in the undisturbed run."""
    runs_lost: int
    doubled: list[str]
    attempts: int
    ended_as: list[str]
    """How each attempt ended but the last."""


def undisturbed(home: Home, **fit: int) -> Outcome:
    """The outcome of a run that nothing happens to."""
    run_id = home.submit("undisturbed", **(fit or TWO))
    home.until_ended(run_id)
    assert home.ledger.run(run_id).state is RunState.FINISHED, home.said()
    return outcome_of(home.storage, home.attempts(run_id))


def suffer(home: Home, fault: str, hurt: Hurt, expected: Outcome, **fit: int) -> Row:
    """One run with a fault after its first checkpoint, to its end."""
    run_id = home.submit(fault, **(fit or TWO))
    keys = home.until_saved(run_id)
    hurt(home, keys)
    hurt_at = time.time()
    home.until_ended(run_id)
    return row_of(home, fault, run_id, hurt_at, expected)


def row_of(home: Home, fault: str, run_id: str, hurt_at: float, expected: Outcome) -> Row:
    """The row of a run that has ended."""
    # MLflow is told last.
    until(lambda: not home.ledger.unsent(), f"MLflow to be told\n{home.said()}")
    run, attempts = home.ledger.run(run_id), home.attempts(run_id)
    finished = run.state is RunState.FINISHED
    outcome = outcome_of(home.storage, attempts) if finished else None
    ends = [each.ended_at for each in attempts[:-1] if each.ended_at is not None]
    return Row(
        fault=fault,
        detected_seconds=round(ends[0] - hurt_at, 1) if ends else None,
        save_steps=SAVE_STEPS,
        lost_steps=repeated_steps(home, run_id),
        different=["everything"] if outcome is None else outcome.differences(expected),
        runs_lost=int(not finished),
        doubled=doubled(home.storage, attempts, home.folder / "mlflow.db"),
        attempts=len(attempts),
        ended_as=[f"{each.failure}: {each.message}" for each in attempts[:-1]],
    )


def repeated_steps(home: Home, run_id: str) -> int:
    """Steps that the next attempt did again, the most of any."""
    attempts = [AttemptKeys(run_id, each.number) for each in home.attempts(run_id)]
    lost = []
    for before, after in itertools.pairwise(attempts):
        steps = [int(row["step"]) for row in home.storage.lines(after.metrics)]
        lost.append(home.steps(before) + 1 - min(steps) if steps else home.steps(before))
    return max(lost, default=0)
