"""The driver of a sweep: Ray Tune over small Ray Train jobs, one per trial."""

import time
import traceback
from dataclasses import replace
from typing import Any

from ray import tune
from ray.exceptions import RayError
from ray.tune import RunConfig, TuneConfig, Tuner

from ntlbg_model.config import Metric
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, Trial, Work, to_json
from ntlbg_service.domain.measures import MEASURES
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse
from ntlbg_service.process.redaction import redacted
from ntlbg_service.runner.cluster import connection
from ntlbg_service.runner.train import run_trainer
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage, Storage

TUNE = "tune"
"""Name of Ray Tune's folder, below the attempt's."""


def sweep(spec: LaunchSpec, storage: LocalStorage) -> None:
    """Run every trial; the exit record names the best."""
    keys = AttemptKeys(spec.run_id, spec.attempt)
    try:
        cores = max(trial.fit.workers * trial.fit.cores for trial in spec.trials)
        with connection(cpus=spec.concurrency * (1 + cores)):
            _tune(spec, storage, keys)
        record = _record(spec, storage)
    # Every error of the attempt becomes its exit record.
    except Exception as error:
        traceback.print_exc()
        lost = isinstance(error, RayError | ConnectionError | InfrastructureError)
        failure = FailureClass.INFRASTRUCTURE if lost else FailureClass.BUG
        record = _ended(spec, failure, f"{type(error).__name__}: {error}", {})
    storage.put(keys.exit, to_json(record))


def _tune(spec: LaunchSpec, storage: LocalStorage, keys: AttemptKeys) -> None:
    by_name = {trial.name: trial for trial in spec.trials}

    def run_trial(point: dict[str, Any]) -> None:
        trial = by_name[point["trial"]]
        run_trainer(trial_spec(spec, trial), storage)
        record = trial_exit(spec, trial, storage)
        if record is None or not record.finished:
            raise RuntimeError(record.message if record else "the trial left no exit record")
        tune.report({spec.metric: objective(record, trial, spec.metric), "step": record.steps})

    # Ray's own processes would create the folder with their own umask.
    (storage.path(keys.folder) / TUNE).mkdir(parents=True, exist_ok=True)
    Tuner(
        tune.with_resources(run_trial, {"CPU": 1}),
        param_space={"trial": tune.grid_search(list(by_name))},
        tune_config=TuneConfig(max_concurrent_trials=spec.concurrency),
        run_config=RunConfig(name=TUNE, storage_path=str(storage.path(keys.folder)), verbose=0),
    ).fit()


def trial_spec(spec: LaunchSpec, trial: Trial) -> LaunchSpec:
    """Return the launch spec of a trial, as a training of its own."""
    keys = AttemptKeys(spec.run_id, spec.attempt).trial(trial.name)
    return replace(
        spec,
        launch_id=f"{spec.launch_id}-{trial.name}",
        run_id=keys.run_id,
        work=Work.TRAIN,
        config=trial.config,
        fit=trial.fit,
        nodes=(),  # Several trials run at once; Ray places them on nodes of their kinds.
        trials=(),
    )


def trial_exit(spec: LaunchSpec, trial: Trial, storage: Storage) -> ExitRecord | None:
    """Return the exit record of a trial; None where it has not ended."""
    key = AttemptKeys(trial_spec(spec, trial).run_id, spec.attempt).exit
    found = storage.get(key)
    return parse(ExitRecord, found, key) if found is not None else None


def objective(record: ExitRecord, trial: Trial, metric: Metric) -> float:
    """Return the objective of a finished trial. Raises RuntimeError where it was not measured."""
    weights = {dataset.name: dataset.weight for dataset in trial.config.data.evaluation}
    score = MEASURES[metric].score(record, weights)
    if score is None:
        raise RuntimeError(f"the trial measured no {metric}")
    return score


def _record(spec: LaunchSpec, storage: Storage) -> ExitRecord:
    ended = {trial.name: trial_exit(spec, trial, storage) for trial in spec.trials}
    trials = {trial.name: trial for trial in spec.trials}
    scores = {
        name: objective(record, trials[name], spec.metric)
        for name, record in ended.items()
        if record is not None and record.finished
    }
    results = {f"{name}/{spec.metric}": score for name, score in scores.items()}
    failed = sorted(set(ended) - set(scores))
    if failed:
        return _ended(spec, FailureClass.BUG, f"trials failed: {', '.join(failed)}", results)
    best = MEASURES[spec.metric].best(scores)
    return _ended(spec, None, f"best: {best}", results)


def _ended(
    spec: LaunchSpec, failure: FailureClass | None, message: str, results: dict[str, float]
) -> ExitRecord:
    return ExitRecord(
        run_id=spec.run_id,
        attempt=spec.attempt,
        finished=failure is None,
        failure=failure,
        message=redacted(message)[:500],
        ended_at=time.time(),
        results=results,
    )
