"""Content that MLflow gets about a run or a suite, read from ledger and storage when it is sent."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ntlbg_model.config import Config
from ntlbg_model.names import flaw_of_file_name
from ntlbg_service.domain.launch import MetricLine, Work
from ntlbg_service.domain.resolve import leaves, parse
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.ledger.records import OutboxEntry, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.report.kept_frames import selection_picture
from ntlbg_service.results.attempts import TrialResult, read_results, read_trials
from ntlbg_service.storage.layout import report
from ntlbg_service.storage.local import Storage
from ntlbg_service.tracking import LoggedMetrics, Status, Tracker

STATUS: dict[RunState, Status] = {
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "killed",
    RunState.LOST: "failed",
}


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Sender of everything that an outbox entry is about; idempotent."""

    ledger: Ledger
    storage: Storage
    tracker: Tracker
    workspace: Workspace

    def tell(self, entry: OutboxEntry) -> None:
        """Send one entry. Raises TrackingError, and UserError for a config of other code."""
        if entry.run_id is None:
            self._suite_finished(entry.suite_key)
            return
        run = self.ledger.run(entry.run_id)
        self._run(run)
        if entry.topic == "run_finished" and run.state in STATUS:
            self._run_finished(run)

    def _suite(self, suite_key: str) -> None:
        suite = self.ledger.suite(suite_key)
        assert suite is not None
        self.tracker.suite(
            suite_key,
            suite.name,
            {
                "mlflow.user": suite.submitter,
                "ntlbg.submitter": suite.submitter,
                "ntlbg.description": suite.description,
            },
        )

    def _run(self, run: Run) -> None:
        """Send the parent, the run and its metrics so far; each is idempotent."""
        self._suite(run.suite_key)
        config = parse(Config, run.config, f"ledger run {run.run_id}")
        attempts = self.ledger.attempts_of(run.run_id)
        self.tracker.run_started(
            run.suite_key,
            run.run_id,
            f"{run.variant}/seed{run.seed}" if run.work is Work.TRAIN else run.variant,
            _params(leaves(config), run.seed),
            self._tags(run),
            started_at=attempts[0].launched_at if attempts else None,
        )
        lines = read_results(self.storage, attempts, ()).history
        self.tracker.run_metrics(run.run_id, _rows(lines))
        if run.work is Work.SWEEP:
            for trial in read_trials(self.storage, run, attempts):
                self._trial(run, trial)

    def _trial(self, run: Run, trial: TrialResult) -> None:
        if not trial.history and trial.exit is None:
            return
        trial_id = f"{run.run_id}/{trial.name}"
        config = parse(Config, trial.config, trial_id)
        self.tracker.run_started(
            run.suite_key,
            trial_id,
            trial.name,
            _params(leaves(config), run.seed),
            {
                "mlflow.user": run.submitter,
                "ntlbg.trial_of": run.run_id,
                "ntlbg.point": json.dumps(trial.point),
            },
        )
        self.tracker.run_metrics(trial_id, _rows(trial.history))
        if trial.exit is not None:
            status: Status = "finished" if trial.exit.finished else "failed"
            self.tracker.run_finished(trial_id, status, trial.exit.results, {})

    def _tags(self, run: Run) -> dict[str, str]:
        attempts = self.ledger.attempts_of(run.run_id)
        suite = self.ledger.suite(run.suite_key)
        tags = {
            "mlflow.user": run.submitter,
            "ntlbg.submitter": run.submitter,
            "ntlbg.suite_submitter": suite.submitter if suite else "",
            "ntlbg.suite": run.suite_key,
            "ntlbg.group": run.group,
            "ntlbg.variant": run.variant,
            "ntlbg.seed": str(run.seed),
            "ntlbg.baseline": str(run.baseline).lower(),
            "ntlbg.code_version": str(run.identity["code"]),
            "ntlbg.data_identity": str(run.identity["data"])[:12],
            "ntlbg.attempts": str(len(attempts)),
        }
        if attempts:
            fit = attempts[-1].fit
            tags |= {"ntlbg.profile": fit.profile, "ntlbg.numerics": fit.numerics}
        exit_record = read_results(self.storage, attempts, ()).exit
        if exit_record is not None:
            tags |= {
                f"ntlbg.version.{name}": version for name, version in exit_record.versions.items()
            }
        return tags

    def _run_finished(self, run: Run) -> None:
        attempts = self.ledger.attempts_of(run.run_id)
        datasets = [dataset["name"] for dataset in run.config["data"]["evaluation"]]
        results = read_results(self.storage, attempts, datasets)
        metrics: dict[str, float] = {}
        if results.exit is not None:
            metrics = dict(results.exit.results)
            peak, seconds = results.exit.peak_memory_mib, results.exit.train_seconds
            metrics |= {} if peak is None else {"peak_memory_mib": peak}
            metrics |= {} if seconds is None else {"train_seconds": seconds}
        if attempts:
            metrics["predicted_memory_mib"] = attempts[-1].fit.predicted_gib * 1024
        with TemporaryDirectory(prefix="ntlbg-") as folder:
            artifacts = _documents(run, Path(folder), asdict(attempts[-1].fit) if attempts else {})
            picture = selection_picture(run, results, self.workspace, Path(folder))
            artifacts |= {"frames/kept.png": picture} if picture else {}
            self.tracker.run_finished(
                run.run_id, STATUS[run.state], metrics, artifacts, ended_at=run.updated_at
            )

    def _suite_finished(self, suite_key: str) -> None:
        self._suite(suite_key)
        states = self.ledger.count(RunFilter(suite=suite_key)).keys()
        if not states <= TERMINAL:
            return  # The suite was submitted again since; its next end posts another entry.
        status: Status = "finished" if states == {RunState.FINISHED} else "failed"
        html = self.storage.path(report(suite_key))
        artifacts = {"report.html": html} if html.is_file() else {}
        suite = self.ledger.suite(suite_key)
        with TemporaryDirectory(prefix="ntlbg-") as folder:
            spec = suite.spec if suite else {}
            for name in filter(lambda name: flaw_of_file_name(name) is None, spec):
                content = spec[name]
                path = Path(folder) / f"{name}.json"
                path.write_text(json.dumps(content, indent=1, sort_keys=True))
                artifacts[path.name] = path
            self.tracker.suite_finished(suite_key, status, artifacts)


def _params(values: Mapping[str, Any], seed: int) -> dict[str, str | int | float | bool | None]:
    plain = {
        path: value
        if isinstance(value, str | int | float | bool) or value is None
        else json.dumps(value)
        for path, value in values.items()
    }
    return {**plain, "seed": seed}


def _rows(lines: tuple[MetricLine, ...]) -> list[LoggedMetrics]:
    return [LoggedMetrics(step=line.step, seconds=line.time, values=line.values) for line in lines]


def _documents(run: Run, folder: Path, fit: Mapping[str, Any]) -> dict[str, Path]:
    documents = {"config.json": run.config, "fit.json": fit, "identity.json": run.identity}
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content, indent=1, sort_keys=True))
    return {name: folder / name for name in documents}
