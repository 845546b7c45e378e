"""Suites and runs in MLflow. Every method is idempotent: it adds only what is missing.

There is one MLflow experiment per suite name, so that its page lists the variants of a suite side
by side; in it one parent run per submitted suite, below it one run per run of ours, whatever its
attempts. MLflow has no idempotency key for a new run, so each is first searched by its tag. MLflow
needs a database: there, logging the same metric point twice keeps one (its folder store keeps
both).
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
"""Tag with a run's suite key, to filter by."""
TRIAL_OF = "ntlbg.trial_of"
"""Tag with the run id of a trial's sweep, below which it is shown instead of below the suite."""

Status = Literal["finished", "failed", "killed"]


@dataclass(frozen=True, kw_only=True)
class LoggedMetrics:
    """Metrics of one step."""

    step: int
    seconds: float
    """Unix time."""
    values: Mapping[str, float]


class Tracker:
    """Writer to MLflow. All methods raise TrackingError and are safe to retry."""

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        """Set the folder for files of new experiments; None leaves the choice to the server."""
        self._connection = Connection(tracking_uri, artifact_root)
        self._artifact_root = artifact_root
        self._runs = RunIndex()
        self._sent: dict[str, set[tuple[int, int]]] = {}
        """Step and time of the lines that this process has sent, by run id."""

    def suite(
        self,
        suite_key: str,
        name: str,
        tags: Mapping[str, str],
        *,
        started_at: float | None = None,
    ) -> str:
        """Ensure the parent run of a submitted suite exists, and return its MLflow id.

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
        """Ensure the MLflow run of one run exists below its suite, with its resolved config.

        Known params stay unchanged; tags are set to the values given last. With the tag
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
        """Log metric lines of a run that are not logged yet.

        Lines with an invalid time or step are left out.
        """
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
        """Log final metrics and files (path in MLflow to local file), and end the run.

        `ended_at` is Unix time; None is now. An end that is already recorded stays.
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
        """Log files, for example the report, and end the suite's run."""
        with self._connection.client(self._forget) as client:
            place = self._known(client, SUITE_KEY, suite_key)
            self._end(client, place.run, status, {}, artifacts, ended_at)

    def reopened(self, run_id: str) -> None:
        """Reopen an active run that MLflow shows as ended, by another tool or an outdated state."""
        with self._connection.client(self._forget) as client:
            place = self._known(client, RUN_ID, run_id)
            client.update_run(place.run, "RUNNING")

    def statuses(self, suite_key: str) -> dict[str, list[str]]:
        """Return MLflow's states of each run: 'finished', 'failed', 'killed', 'running'.

        A run with duplicates has several.
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
        """Send MLflow an ordinary query. Raises TrackingError, and never RefusedError."""
        try:
            with self._connection.client(self._forget) as client:
                client.search_experiments(max_results=1)
        except RefusedError as error:
            raise TrackingError(str(error)) from error

    def link(self, run_id: str) -> str | None:
        """Return the URL of a run's page; None without a server or before the run is there."""
        place = self._page(RUN_ID, run_id)
        return place and f"{self._runs_of(place)}/{quote(place.run)}"

    def suite_link(self, suite_key: str) -> str | None:
        """Return the URL that compares all runs of a suite, as a list and as charts.

        None without a server or before the suite is there. MLflow opens an experiment on its GenAI
        page and collapses child runs, unless the URL says otherwise: `workflowType` for the former,
        an order that is not by time for the latter.
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
        """Address of MLflow, without user and password."""
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
        """Clear all caches: after a failure they may be stale."""
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
