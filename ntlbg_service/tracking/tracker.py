"""Suites and runs in MLflow. Every method may be called again: it adds only what is missing.

One MLflow experiment per suite name, so that its page lists the variants of a suite side by side;
in it one parent run per submitted suite, below it one run per run of ours, whatever its attempts.
MLflow has no idempotency key for a new run, so each is found by its tag first. Needs a database
behind MLflow: there, logging the same metric point twice keeps one (its folder store keeps both).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlencode

from ntlbg_service.domain.errors import in_one_line
from ntlbg_service.tracking import limits
from ntlbg_service.tracking.connection import Connection, RefusedError, TrackingError
from ntlbg_service.tracking.filters import tag_is, tags_of
from ntlbg_service.tracking.runs import (
    KIND,
    RUN_ID,
    SUITE_KEY,
    RunIndex,
    RunLocation,
    ensure_experiment,
    log_artifacts,
    log_params,
    runs_tagged,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

SUITE = "ntlbg.suite"
"""Suite key of a run, to filter by."""
TRIAL_OF = "ntlbg.trial_of"
"""Run id of the sweep that a trial belongs to: it is shown below that run, not below the suite."""

Status = Literal["finished", "failed", "killed"]


@dataclass(frozen=True, kw_only=True)
class LoggedMetrics:
    """Metrics of one step."""

    step: int
    seconds: float
    """Unix time."""
    values: Mapping[str, float]


class Tracker:
    """Writes to MLflow. All methods raise TrackingError and are safe to repeat."""

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        """`artifact_root`: where files of new experiments go; None leaves it to the server."""
        self._connection = Connection(tracking_uri, artifact_root)
        self._artifact_root = artifact_root
        self._runs = RunIndex()
        self._sent: dict[str, set[tuple[int, int]]] = {}
        """By run id: step and time of the lines that this process has sent."""

    def suite(
        self,
        suite_key: str,
        name: str,
        tags: Mapping[str, str],
        *,
        started_at: float | None = None,
    ) -> str:
        """The parent run of a submitted suite, made if there is none. Returns its MLflow id.

        `started_at` is Unix time; None is now.
        """
        with self._connection.client(self._forget) as client:
            place = self._runs.ensure(
                client,
                SUITE_KEY,
                suite_key,
                experiment=ensure_experiment(client, name, self._artifact_root),
                name=f"{name} (suite)",
                tags={**tags, KIND: "suite"},
                started_at=started_at,
            )
            return place.run

    def run_started(
        self,
        suite_key: str,
        run_id: str,
        name: str,
        params: Mapping[str, limits.ParamValue],
        tags: Mapping[str, str],
        *,
        started_at: float | None = None,
    ) -> None:
        """The MLflow run of one run, below its suite, with its resolved config.

        Known params stay as they are; tags take the values given last. With the tag
        `ntlbg.trial_of` it is shown below that run.
        """
        with self._connection.client(self._forget) as client:
            sweep = tags.get(TRIAL_OF)
            tag, value = (RUN_ID, sweep) if sweep else (SUITE_KEY, suite_key)
            parent = self._known(client, tag, value)
            place = self._runs.ensure(
                client,
                RUN_ID,
                run_id,
                experiment=parent.experiment,
                name=name,
                tags={
                    **tags,
                    **tags_of(SUITE, suite_key),
                    KIND: "trial" if sweep else "run",
                    "mlflow.parentRunId": parent.run,
                },
                started_at=started_at,
            )
            log_params(client, client.get_run(place.run), params)

    def run_metrics(self, run_id: str, rows: Sequence[LoggedMetrics]) -> None:
        """Metric lines of a run; lines that are there already add nothing, nor do those whose time
        is not a time or whose step is none."""
        with self._connection.client(self._forget) as client:
            from mlflow.entities import Metric

            place = self._known(client, RUN_ID, run_id)
            sent = self._sent.setdefault(run_id, set())
            fresh = {
                (row.step, instant): row.values
                for row in rows
                if (instant := limits.milliseconds(row.seconds)) is not None
                and limits.is_step(row.step)
                and (row.step, instant) not in sent
            }
            points = [
                Metric(limits.key(name), value, instant, step)
                for (step, instant), values in fresh.items()
                for name, value in values.items()
            ]
            for batch in limits.batches(points, limits.METRICS_PER_BATCH, _weigh):
                client.log_batch(place.run, metrics=batch)
            sent.update(fresh)

    def run_finished(
        self,
        run_id: str,
        status: Status,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, Path],
        *,
        ended_at: float | None = None,
    ) -> None:
        """Final metrics, files (path in MLflow to local file) and the end of a run.

        `ended_at` is Unix time; None is now. An end that is recorded already stays.
        """
        with self._connection.client(self._forget) as client:
            place = self._known(client, RUN_ID, run_id)
            self._end(client, place.run, status, metrics, artifacts, ended_at)
            self._sent.pop(run_id, None)

    def suite_finished(
        self,
        suite_key: str,
        status: Status,
        artifacts: Mapping[str, Path],
        *,
        ended_at: float | None = None,
    ) -> None:
        """Files, for example the report, and the end of a suite."""
        with self._connection.client(self._forget) as client:
            place = self._known(client, SUITE_KEY, suite_key)
            self._end(client, place.run, status, {}, artifacts, ended_at)

    def reopened(self, run_id: str) -> None:
        """A run goes on that MLflow shows as ended: somebody's tool ended it, or an older state."""
        with self._connection.client(self._forget) as client:
            place = self._known(client, RUN_ID, run_id)
            client.update_run(place.run, "RUNNING")

    def statuses(self, suite_key: str) -> dict[str, list[str]]:
        """What MLflow shows for each run of a suite: 'finished', 'failed', 'killed', 'running'.

        More than one for a run that is there more than once.
        """
        found: dict[str, list[str]] = {}
        with self._connection.client(self._forget) as client:
            for run in runs_tagged(client, SUITE, suite_key):
                known = run.data.tags.get(RUN_ID)
                if known is not None and TRIAL_OF not in run.data.tags:
                    shown = str(run.info.status).lower()
                    found.setdefault(known, []).append(shown if shown.isalpha() else "unknown")
        return found

    def ask(self) -> None:
        """Ask MLflow something ordinary. Raises TrackingError, and never RefusedError."""
        try:
            with self._connection.client(self._forget) as client:
                client.search_experiments(max_results=1)
        except RefusedError as error:
            raise TrackingError(str(error)) from error

    def link(self, run_id: str) -> str | None:
        """Address of a run's page; None without a server or before the run is there."""
        place = self._page(RUN_ID, run_id)
        return place and f"{self._runs_of(place)}/{quote(place.run)}"

    def suite_link(self, suite_key: str) -> str | None:
        """Address where all runs of a suite stand side by side, as a list and as charts.

        None without a server or before the suite is there. MLflow opens an experiment on its
        GenAI page and folds child runs away, unless the address says otherwise: `workflowType`
        for the one, an order that is not by time for the other.
        """
        place = self._page(SUITE_KEY, suite_key)
        view = {
            "workflowType": "machine_learning",
            "compareRunsMode": "CHART",
            "searchFilter": tag_is(SUITE, suite_key),
            "orderByKey": "tags.`mlflow.runName`",
            "orderByAsc": "true",
        }
        query = urlencode(view, quote_via=quote)
        return place and f"{self._runs_of(place)}?{query}"

    @property
    def address(self) -> str:
        """Where MLflow is, without user and password."""
        return self._connection.shown

    def _runs_of(self, place: RunLocation) -> str:
        server = self._connection.shown.rstrip("/")
        return f"{server}/#/experiments/{quote(place.experiment)}/runs"

    def _page(self, tag: str, value: str) -> RunLocation | None:
        if not self._connection.tracking_uri.startswith(("http://", "https://")):
            return None
        with self._connection.client(self._forget) as client:
            return self._runs.find(client, tag, value)

    def _forget(self) -> None:
        """After a failure: nothing that this process remembers is certain."""
        self._runs.forget()
        self._sent.clear()

    def _known(self, client: "MlflowClient", tag: str, value: str) -> RunLocation:
        place = self._runs.find(client, tag, value)
        if place is None:
            shown = in_one_line(limits.text(value))
            raise RefusedError(f"MLflow at {self._connection.shown}: no run has {tag} {shown}")
        return place

    def _end(
        self,
        client: "MlflowClient",
        found: str,
        status: Status,
        metrics: Mapping[str, float],
        artifacts: Mapping[str, Path],
        ended_at: float | None,
    ) -> None:
        from mlflow.entities import Metric

        run = client.get_run(found)
        ended = None if ended_at is None else limits.milliseconds(ended_at)
        end = run.info.end_time or ended or round(1000 * time.time())
        fresh = [
            Metric(limits.key(name), value, end, 0)
            for name, value in metrics.items()
            if run.data.metrics.get(limits.key(name)) != value
        ]
        for batch in limits.batches(fresh, limits.METRICS_PER_BATCH, _weigh):
            client.log_batch(found, metrics=batch)
        log_artifacts(client, run, artifacts)
        if run.info.status != status.upper():
            client.set_terminated(found, status.upper(), end)


def _weigh(point: "Metric") -> int:
    return limits.json_bytes(point.key, str(point.value))
