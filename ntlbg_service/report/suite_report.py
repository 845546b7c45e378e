"""From ledger and storage to the comparison of a suite and its report."""

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from ntlbg_model.records import Prediction
from ntlbg_service.domain.errors import in_one_line
from ntlbg_service.domain.expansion import Variant
from ntlbg_service.domain.suite import SuiteFiles
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.report.compare import compare
from ntlbg_service.report.comparison import Comparison
from ntlbg_service.report.html import Provenance, render_report
from ntlbg_service.report.kept_frames import frame_strips
from ntlbg_service.report.results import GroupResult, RunResult, SuiteResult, VariantResult
from ntlbg_service.report.strips import FrameStrip
from ntlbg_service.results.attempts import Results, damage, read_results
from ntlbg_service.storage.layout import AttemptKeys, report
from ntlbg_service.storage.local import LocalStorage, StorageUnavailableError


@dataclass(frozen=True)
class _Found:
    """One run with what it left."""

    run: Run
    attempts: tuple[Attempt, ...]
    results: Results
    damaged: tuple[str, ...] = ()
    """Objects of its newest attempt that cannot be read."""
    unread: str = ""
    """Why its results are not there."""


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """The comparison of the newest runs of a suite's chosen variants, and how to write it down."""

    comparison: Comparison
    files: SuiteFiles
    variants: Sequence[Variant]
    workspace: Workspace
    found: Sequence[_Found]

    def write(self, written_at: datetime, path: Path | None = None) -> Path:
        """Write the HTML report and return its path. Raises OSError."""
        html = render_report(
            self.comparison,
            _provenance(self.found, self.files, written_at),
            _strips(self.found, self.variants, self.workspace),
        )
        target = path or LocalStorage(self.workspace.storage).path(report(self.files.key))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html, encoding="utf-8")
        return target


def read_report(
    ledger: Ledger, workspace: Workspace, files: SuiteFiles, variants: Sequence[Variant]
) -> SuiteReport:
    """Read the runs of the chosen variants and compare them."""
    found = _find(ledger, workspace, files, variants)
    return SuiteReport(
        comparison=compare(_suite_result(found, files, variants)),
        files=files,
        variants=variants,
        workspace=workspace,
        found=found,
    )


def _find(
    ledger: Ledger, workspace: Workspace, files: SuiteFiles, variants: Sequence[Variant]
) -> list[_Found]:
    storage = LocalStorage(workspace.storage)
    wanted = {(variant.group, variant.name) for variant in variants}
    found: list[_Found] = []
    for run in ledger.current_runs(files.key):
        if (run.group, run.variant) in wanted:
            attempts = ledger.attempts_of(run.run_id)
            datasets = [dataset["name"] for dataset in run.config["data"]["evaluation"]]
            newest = [AttemptKeys(each.run_id, each.number) for each in attempts[-1:]]
            try:
                results = read_results(storage, attempts, datasets)
                damaged = [words for keys in newest for words in damage(storage, keys, datasets)]
            except StorageUnavailableError as error:
                found.append(_Found(run, attempts, Results(), unread=in_one_line(str(error))))
            else:
                found.append(_Found(run, attempts, results, tuple(damaged)))
    return found


def _suite_result(
    found: Sequence[_Found], files: SuiteFiles, variants: Sequence[Variant]
) -> SuiteResult:
    groups = dict.fromkeys(variant.group for variant in variants)
    return SuiteResult(
        name=files.key,
        groups=tuple(
            GroupResult(
                name=group,
                baseline=files.suite.groups[group].baseline,
                variants=tuple(
                    _variant_result(variant, files.seeds, found)
                    for variant in variants
                    if variant.group == group
                ),
            )
            for group in groups
        ),
        metric=files.suite.primary_metric,
    )


def _variant_result(
    variant: Variant, seeds: Sequence[int], found: Sequence[_Found]
) -> VariantResult:
    runs = {
        one.run.seed: _run_result(one)
        for one in found
        if (one.run.group, one.run.variant) == (variant.group, variant.name)
    }
    return VariantResult(
        name=variant.name,
        runs=tuple(
            runs.get(seed) or RunResult(run_id="-", seed=seed, state="not submitted")
            for seed in seeds
        ),
        datasets=tuple(dataset.name for dataset in variant.config.data.evaluation),
        metrics=variant.config.evaluation.metrics,
    )


def _run_result(one: _Found) -> RunResult:
    fit = one.attempts[-1].fit if one.attempts else None
    ended = one.results.exit
    losses = tuple(
        (line.step, line.values["train/loss"])
        for line in one.results.history
        if math.isfinite(line.values.get("train/loss", math.nan))
    )
    return RunResult(
        run_id=one.run.run_id,
        seed=one.run.seed,
        state=f"not read: {one.unread}" if one.unread else one.run.state.value,
        message=one.run.reason,
        profile=fit.profile if fit else None,
        numerics=fit.numerics if fit else None,
        fit=f"{fit.precision}, batch {fit.micro_batch} x {fit.accumulation} x {fit.workers}"
        + (", checkpointing" if fit.gradient_checkpointing else "")
        if fit
        else None,
        predicted_memory_mib=fit.predicted_gib * 1024 if fit else None,
        peak_memory_mib=ended.peak_memory_mib if ended else None,
        train_seconds=ended.train_seconds if ended else None,
        loss_curve=losses,
        damaged=one.damaged,
        predictions=one.results.predictions,
    )


def _strips(
    found: Sequence[_Found], variants: Sequence[Variant], workspace: Workspace
) -> list[FrameStrip]:
    """Strips of the first group's first data set, the first finished seed of each variant."""
    if not variants or not variants[0].config.data.evaluation:
        return []
    group, dataset = variants[0].group, variants[0].config.data.evaluation[0].name
    runs: dict[str, tuple[Run, Sequence[Prediction]]] = {}
    for one in found:
        predictions = one.results.predictions.get(dataset)
        if one.run.group == group and predictions and one.run.variant not in runs:
            runs[one.run.variant] = (one.run, predictions)
    return frame_strips(runs, dataset, workspace) if runs else []


def _provenance(found: Sequence[_Found], files: SuiteFiles, written_at: datetime) -> Provenance:
    exits = [one.results.exit for one in found if one.results.exit is not None]
    memory = psutil.virtual_memory().total / 1024**3
    kinds = sorted({one.attempts[-1].fit.profile for one in found if one.attempts})
    data = sorted({str(one.run.identity["data"])[:12] for one in found})
    return Provenance(
        written_at=written_at,
        code_version=", ".join(sorted({str(one.run.identity["code"]) for one in found})),
        machine=f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}; "
        f"runs on {', '.join(kinds) or 'nothing yet'}",
        versions=exits[-1].versions if exits else {},
        facts={
            "Suite": files.key,
            "What": files.suite.description,
            "Data": ", ".join(data),
            "Seeds": ", ".join(map(str, files.seeds)),
        },
    )
