"""Submitting and reading suites, for the CLI and for programs."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ntlbg_service.domain.errors import CapacityError, UserError
from ntlbg_service.domain.expansion import Variant, base_layers, expand
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.launch import Trial, Work
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant, fit_variant, plan
from ntlbg_service.domain.planning.plan_record import to_json
from ntlbg_service.domain.resolve import Layer, resolve
from ntlbg_service.domain.run_identity import Identity, config_digest, digest
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.domain.suite import SuiteFiles
from ntlbg_service.domain.sweep import SweepSpec
from ntlbg_service.identity import acting_user
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import NewRun, NewSuite, Submission
from ntlbg_service.loading import DataIdentities, check_data, code_version, load_suite, load_sweep
from ntlbg_service.shipping import ship, shipped_version
from ntlbg_service.storage.local import Storage
from ntlbg_service.workspace import Workspace


@dataclass(frozen=True)
class Prepared:
    """A suite ready to be submitted: planned, its data present, nothing refused."""

    suite: NewSuite
    runs: tuple[NewRun, ...]
    plan: Plan
    skipped: tuple[str, ...] = ()
    """Points of a sweep that are not tried, each with its reason."""


def prepare_suite(
    files: SuiteFiles,
    variants: Sequence[Variant],
    workspace: Workspace,
    inventory: Inventory,
    *,
    skip_refused: bool = False,
    estimates: Estimates = CLOSED_FORM,
) -> Prepared:
    """Plan and check a suite. Raises before anything is written.

    UserError: an option that is not built, or a missing data set. CapacityError: a variant that
    fits no device. With `skip_refused` such variants are left out (and shown by the plan).
    """
    planned = plan(variants, files.seeds, inventory, estimates, share_gpus=files.suite.share_gpus)
    rows = [_as_built(row, planned.fits_of(row)) for row in planned.variants]
    accepted = [row for row in rows if row.refusal is None]
    refused = [row for row in rows if row.refusal is not None]
    if refused and not (skip_refused and accepted):
        raise _refusal(files.source, refused, bool(accepted))
    for row in accepted:
        place = f"{files.source}: {row.variant.group}/{row.variant.name}"
        check_data(row.variant.config, workspace.data_root, place)
    identities = DataIdentities(workspace.data_root)
    runs = tuple(
        _new_run(files, row, row.fits, seed, identities, workspace)
        for seed in files.seeds
        for row in accepted
    )
    suite = NewSuite(
        key=files.key,
        name=files.suite.name,
        description=files.suite.description,
        submitter=acting_user(os.environ),
        spec={"suite": asdict(files.suite), "plan": to_json(planned)},
    )
    return Prepared(suite, runs, planned)


def _as_built(row: PlannedVariant, fits: tuple[Fit, ...]) -> PlannedVariant:
    """A row with those of its `fits` that the runner can run; refused by name where it has none."""
    if row.refusal is not None:
        return row
    built = tuple(fit for fit in fits if fit.unbuilt is None)
    lacking = tuple(dict.fromkeys(fit.unbuilt for fit in fits if fit.unbuilt is not None))
    return replace(row, fits=built) if built else replace(row, unbuilt=lacking)


def _refusal(
    source: str, refused: Sequence[PlannedVariant], others: bool
) -> UserError | CapacityError:
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    hint = "; --skip-refused runs the others" if others else ""
    kind = UserError if first.unbuilt else CapacityError
    return kind(
        f"{source}: {first.variant.group}/{first.variant.name}: {first.refusal}{more}{hint}"
    )


def _new_run(
    files: SuiteFiles,
    row: PlannedVariant,
    fits: tuple[Fit, ...],
    seed: int,
    identities: DataIdentities,
    workspace: Workspace,
) -> NewRun:
    variant = row.variant
    return NewRun(
        identity=Identity(
            suite=files.key,
            group=variant.group,
            variant=variant.name,
            config=config_digest(variant.config),
            seed=seed,
            data=identities.of(variant.config),
            code=code_version(),
        ),
        work=Work.TRAIN,
        baseline=variant.baseline,
        config=asdict(variant.config),
        fits=fits,
        details={
            "data_root": str(workspace.data_root.resolve()),
            "code": shipped_version(),
            "description": variant.description,
        },
        max_hours=files.suite.max_hours,
    )


def prepare_sweep(
    path: Path,
    workspace: Workspace,
    inventory: Inventory,
    estimates: Estimates = CLOSED_FORM,
) -> Prepared:
    """Fit every point of a sweep before launch; the sweep is one run.

    Points that fit nowhere, or that the runner cannot run, are skipped. Raises UserError or
    CapacityError, as `prepare_suite`, where none is left.
    """
    spec = load_sweep(path)
    files = load_suite(path.parent / spec.suite, spec.scale, inventory.kinds)
    start = next(row for row in expand(files, variants=[spec.variant]) if row.name == spec.variant)
    found = [
        _trial(number, point, spec, start, files, inventory, estimates, str(path))
        for number, point in enumerate(spec.points(), start=1)
    ]
    trials = tuple(trial for trial in found if isinstance(trial, Trial))
    skipped = [refused for refused in found if isinstance(refused, _Refused)]
    if not trials:
        raise skipped[0].error(str(path), len(skipped) - 1)
    for trial in trials:
        check_data(trial.config, workspace.data_root, f"{path}: {trial.name}")
    identity = Identity(
        suite=f"sweep:{spec.name}",
        group="sweep",
        variant=spec.name,
        config=digest([config_digest(trial.config) for trial in trials]),
        seed=spec.seed,
        data=DataIdentities(workspace.data_root).of(start.config),
        code=code_version(),
    )
    run = NewRun(
        identity=identity,
        work=Work.SWEEP,
        baseline=False,
        config=asdict(start.config),
        fits=(trials[0].fit,),
        details={
            "data_root": str(workspace.data_root.resolve()),
            "code": shipped_version(),
            "description": spec.description,
            "trials": [asdict(trial) for trial in trials],
            "skipped": [refused.words for refused in skipped],
            "metric": spec.metric,
            "concurrency": spec.concurrency,
        },
        max_hours=spec.max_hours,
    )
    planned = plan([start], [spec.seed], inventory, estimates)
    suite = NewSuite(
        key=identity.suite,
        name=spec.name,
        description=spec.description,
        submitter=acting_user(os.environ),
        spec={"sweep": asdict(spec), "plan": to_json(planned)},
    )
    return Prepared(suite, (run,), planned, tuple(refused.words for refused in skipped))


@dataclass(frozen=True)
class _Refused:
    """A point of a sweep that cannot run here."""

    trial: str
    point: dict[str, Any]
    row: PlannedVariant

    @property
    def words(self) -> str:
        """'trial-002 (model.quantisation = "nf4"): not built yet: ...'"""
        point = ", ".join(f"{path} = {json.dumps(value)}" for path, value in self.point.items())
        return f"{self.trial} ({point}): {self.row.refusal}"

    def error(self, source: str, others: int) -> UserError | CapacityError:
        """That this is the first of points of which none can run."""
        kind = UserError if self.row.unbuilt else CapacityError
        more = f" (and {others} more)" if others else ""
        return kind(f"{source}: no point can run here: {self.words}{more}")


def _trial(
    number: int,
    point: dict[str, Any],
    spec: SweepSpec,
    start: Variant,
    files: SuiteFiles,
    inventory: Inventory,
    estimates: Estimates,
    source: str,
) -> Trial | _Refused:
    row = next(row for row in files.suite.groups[start.group].variants if row.name == start.name)
    resolved = resolve(
        [
            *base_layers(files),
            Layer(
                f"{files.source} groups.{start.group}", files.suite.groups[start.group].overrides
            ),
            Layer(f"{files.source} variants.{row.name}", row.overrides),
            Layer(f"{source} overrides", spec.overrides),
            Layer(f"{source} space", point),
        ],
        files.kinds,
    )
    variant = Variant(
        group=start.group,
        name=f"trial-{number:03d}",
        description="",
        baseline=False,
        config=resolved.config,
        provenance=resolved.provenance,
    )
    planned = fit_variant(variant, inventory, estimates)
    planned = _as_built(planned, planned.fits)
    if planned.refusal is not None:
        return _Refused(variant.name, point, planned)
    return Trial(
        name=variant.name,
        point=point,
        config=variant.config,
        fit=min(planned.fits, key=lambda fit: fit.gpu_hours),
    )


def submit(
    ledger: Ledger,
    storage: Storage,
    prepared: Prepared,
    again: str | None = None,
    priority: int = 0,
    max_hours: float | None = None,
) -> Submission:
    """Make the runs durable, and the code that they run with. `again`: 'all' or 'failed' queues a
    repetition of ended runs.

    New runs with a higher `priority` go first. `max_hours` is in place of what the file says.
    """
    for version in sorted({str(run.details["code"]) for run in prepared.runs}):
        ship(storage, version)
    newest = _newest(ledger, prepared.runs, again)
    asked = [
        replace(run, priority=priority, max_hours=max_hours or run.max_hours) for run in newest
    ]
    return ledger.submit(prepared.suite, asked)


def _newest(ledger: Ledger, runs: Sequence[NewRun], again: str | None) -> list[NewRun]:
    """The newest repetition of each run, or one more where `again` asks for it."""
    over = {"all": TERMINAL, "failed": TERMINAL - {RunState.FINISHED}, None: frozenset()}[again]
    newest = list(runs)
    left = list(range(len(newest)))
    states = ledger.states([run.identity.run_id for run in newest])
    while left := [place for place in left if newest[place].identity.run_id in states]:
        following = {place: _repetition(newest[place]) for place in left}
        found = ledger.states([run.identity.run_id for run in following.values()])
        for place, run in following.items():
            more = run.identity.run_id in found
            if more or states[newest[place].identity.run_id] in over:
                newest[place] = run
        states = found
    return newest


def _repetition(run: NewRun) -> NewRun:
    return replace(run, identity=replace(run.identity, repetition=run.identity.repetition + 1))
