"""Lets a run suffer faults, and measures what each of them cost: rows of the table."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ntlbg_model.config import Config
from ntlbg_service.domain.states import RunState
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.command_line import until
from tests.support.faults_on_ray.home import CONFIG, TWO, Home
from tests.support.faults_on_ray.outcome import Outcome, doubled, outcome_of

Hurt = Callable[[Home, AttemptKeys], object]
"""Does something bad to an attempt that has just saved a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a fault did to a run."""

    fault: str
    detected_seconds: float | None
    """From the fault until the ledger says that the attempt ended. None where none had to end."""
    save_steps: int
    """Steps from one checkpoint to the next."""
    lost_steps: int
    """Steps that the next attempt did again."""
    different: list[str]
    """What of the finished run is not as in the undisturbed one."""
    runs_lost: int
    doubled: list[str]
    attempts: int
    """Of the run, in all."""
    ended_as: str
    """What the ledger says of the attempt."""


def undisturbed(home: Home, config: Config = CONFIG, **fit: int) -> Outcome:
    """The outcome of a run that nothing happens to."""
    run_id = home.submit("undisturbed", config, **(fit or TWO))
    home.until_ended(run_id)
    assert home.ledger.run(run_id).state is RunState.FINISHED, home.said()
    return outcome_of(home.storage, home.attempts(run_id))


def suffer(
    home: Home,
    hurts: Mapping[str, Hurt],
    whole: Outcome,
    *,
    config: Config = CONFIG,
    mlflow: Path | None = None,
    **fit: int | str,
) -> list[Row]:
    """One run whose first attempt suffers the first fault, its second the next, to its end.

    `whole` is what the run is held against; `mlflow` is MLflow's database, by default the home's.
    """
    run_id = home.submit(", ".join(hurts), config, **(TWO | fit))
    hurt_at = []
    for number, hurt in enumerate(hurts.values(), start=1):
        hurt(home, home.until_saved(run_id, number))
        hurt_at.append(time.time())
    home.until_ended(run_id)
    # MLflow is told last.
    until(lambda: not home.ledger.unsent(), f"MLflow to be told\n{home.said()}")
    run, attempts = home.ledger.run(run_id), home.attempts(run_id)
    finished = run.state is RunState.FINISHED
    different = outcome_of(home.storage, attempts).differences(whole) if finished else ["it ended"]
    twice = doubled(home.storage, attempts, mlflow or home.folder / "mlflow.db")
    ends = [attempt.ended_at for attempt in attempts[:-1]]
    rows = []
    for number, name in enumerate(hurts, start=1):
        ended = ends[number - 1] if number <= len(ends) else None
        rows.append(
            Row(
                fault=name,
                detected_seconds=None if ended is None else round(ended - hurt_at[number - 1], 1),
                save_steps=config.training.save_steps,
                lost_steps=repeated_steps(home, run_id, number),
                different=different,
                runs_lost=int(not finished),
                doubled=twice,
                attempts=len(attempts),
                ended_as=attempts[number - 1].message if ended is not None else "",
            )
        )
    return rows


def repeated_steps(home: Home, run_id: str, number: int) -> int:
    """Steps of an attempt that a later one did again."""
    later = [AttemptKeys(run_id, each.number) for each in home.attempts(run_id)[number:]]
    again = [int(row["step"]) for keys in later for row in home.storage.lines(keys.metrics)]
    return home.steps(AttemptKeys(run_id, number)) + 1 - min(again) if again else 0
