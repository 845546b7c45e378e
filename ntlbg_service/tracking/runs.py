"""Runs in MLflow's store: found by tag, created where missing, and updated."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from ntlbg_service.tracking import limits
from ntlbg_service.tracking.filters import tag_is, tags_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Param, Run, RunTag

SUITE_KEY = "ntlbg.suite_key"
"""Tag of a suite's parent run."""
RUN_ID = "ntlbg.run_id"
"""Tag of a run of ours."""
KIND = "ntlbg.kind"
"""Tag with the kind: suite, run or trial; also on our experiments."""


class RunLocation(NamedTuple):
    """MLflow's ids of a run and its experiment."""

    experiment: str
    run: str


class RunIndex:
    """Cache from the tag of a run to its location in MLflow, kept until `forget`."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], RunLocation] = {}

    def forget(self) -> None:
        """Clear the cache, since the store may have been replaced."""
        self._places.clear()

    def find(self, client: "MlflowClient", tag: str, value: str) -> RunLocation | None:
        """Return the oldest run with this tag, in any experiment of ours; None without one."""
        if (tag, value) not in self._places:
            ours = client.search_experiments(filter_string=tag_is(KIND, "suite"))
            experiments = [experiment.experiment_id for experiment in ours]
            wanted = tag_is(tag, value)
            runs = (
                client.search_runs(experiments, wanted, max_results=1, order_by=["start_time"])
                if experiments
                else []
            )
            if not runs:
                return None
            self._places[tag, value] = _place(runs[0])
        return self._places[tag, value]

    def ensure(
        self,
        client: "MlflowClient",
        tag: str,
        value: str,
        *,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        started_at: float | None,
    ) -> RunLocation:
        """Return the run with this tag, created if there is none, and set its tags as given."""
        others = {limits.key(key): limits.text(text) for key, text in tags.items()}
        wanted = {**others, **tags_of(tag, value)}
        place = self.find(client, tag, value)
        if place is None:
            start = None if started_at is None else limits.milliseconds(started_at)
            first = dict(list(wanted.items())[-limits.TAGS_PER_BATCH :])
            made = client.create_run(experiment, start, first, limits.name(name))
            place = self._places[tag, value] = _place(made)
            _log_tags(client, made, wanted)
        else:
            _log_tags(client, client.get_run(place.run), wanted)
        return place


def _place(run: "Run") -> RunLocation:
    """Return the location of a run in MLflow's answer. Raises ValueError where an id is missing."""
    if not (run.info.experiment_id and run.info.run_id):
        raise ValueError("a run without an id")
    return RunLocation(run.info.experiment_id, run.info.run_id)


def ensure_experiment(client: "MlflowClient", suite: str, artifact_root: str | None) -> str:
    """Return the experiment of all suites with this name, created or restored where needed."""
    name = limits.name(f"ntlbg/{suite}")
    found = client.get_experiment_by_name(name)
    if found is None:
        # The kind keeps MLflow's page from asking whether these are GenAI traces.
        tags = {KIND: "suite", "mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_root, tags))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def log_params(client: "MlflowClient", run: "Run", params: Mapping[str, limits.ParamValue]) -> None:
    """Log the params that the run lacks; existing ones stay, since MLflow never changes one."""
    from mlflow.entities import Param

    wanted = {limits.key(name): limits.text(value) for name, value in params.items()}
    missing = [Param(*item) for item in wanted.items() if item[0] not in run.data.params]
    for batch in limits.batches(missing, limits.PARAMS_PER_BATCH, _weigh):
        client.log_batch(run.info.run_id, params=batch)


def _log_tags(client: "MlflowClient", run: "Run", tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    changed = [RunTag(*item) for item in tags.items() if run.data.tags.get(item[0]) != item[1]]
    for batch in limits.batches(changed, limits.TAGS_PER_BATCH, _weigh):
        client.log_batch(run.info.run_id, tags=batch)


def _weigh(item: "Param | RunTag") -> int:
    return limits.json_bytes(item.key, item.value)


def log_artifacts(client: "MlflowClient", run: "Run", artifacts: Mapping[str, Path]) -> None:
    """Log files under the names given; a file of the same name is replaced."""
    if not artifacts:
        return
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # MLflow's client caches a run's artifact location, which may have changed since.
    place = get_artifact_repository(run.info.artifact_uri, tracking_uri=client.tracking_uri)
    with TemporaryDirectory(prefix="ntlbg-") as folder:
        for path, file in artifacts.items():
            target = Path(folder) / PurePosixPath(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        place.log_artifacts(folder)


def runs_tagged(client: "MlflowClient", tag: str, value: str) -> "Iterator[Run]":
    """Yield all runs with a tag in experiments of ours, page by page."""
    ours = client.search_experiments(filter_string=tag_is(KIND, "suite"))
    experiments = [experiment.experiment_id for experiment in ours]
    page: str | None = None
    while experiments:
        runs = client.search_runs(experiments, tag_is(tag, value), page_token=page)
        yield from runs
        page = runs.token
        if not page:
            return
