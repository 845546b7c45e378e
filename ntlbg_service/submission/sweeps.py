"""Preparation of a sweep for submission: one run, with every point fitted."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ntlbg_service.config_files.loader import load_suite, load_sweep
from ntlbg_service.config_files.missing_data import check_checkpoints, check_data
from ntlbg_service.domain.errors import CapacityError, UserError
from ntlbg_service.domain.expansion import Variant, expand, variant_layers
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.launch import Trial, Work
from ntlbg_service.domain.planning.plan import PlannedVariant, fit_variant, plan
from ntlbg_service.domain.planning.plan_record import to_json
from ntlbg_service.domain.resolve import Layer, resolve
from ntlbg_service.domain.run_identity import Identity, config_digest, digest
from ntlbg_service.domain.suite import SuiteFiles
from ntlbg_service.domain.sweep import SweepSpec
from ntlbg_service.ledger.records import NewRun, NewSuite
from ntlbg_service.process.user import acting_user
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.submission.code_snapshot import shipped_version
from ntlbg_service.submission.fingerprints import DataIdentities, code_version
from ntlbg_service.submission.prepared import Prepared, as_built


def prepare_sweep(
    path: Path,
    workspace: Workspace,
    inventory: Inventory,
    estimates: Estimates = CLOSED_FORM,
) -> Prepared:
    """Fit every point of a sweep before launch; the sweep is one run.

    Points that fit no device, or that the runner does not support, are skipped. Raises UserError
    or CapacityError, as `prepare_suite` does, if no point is left.
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
        check_checkpoints(trial.config, f"{path}: {trial.name}")
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
            "data_root": workspace.data_root_kept,
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
        """The reason as text.

        For example 'trial-002 (model.quantisation = "nf4"): not built yet: ...'.
        """
        point = ", ".join(f"{path} = {json.dumps(value)}" for path, value in self.point.items())
        return f"{self.trial} ({point}): {self.row.refusal}"

    def error(self, source: str, others: int) -> UserError | CapacityError:
        """Return the error for a sweep of which no point can run; this is its first point."""
        kind = UserError if self.row.unsupported else CapacityError
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
            *variant_layers(files, start.group, row),
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
    planned = as_built(planned, planned.fits)
    if planned.refusal is not None:
        return _Refused(variant.name, point, planned)
    return Trial(
        name=variant.name,
        point=point,
        config=variant.config,
        fit=min(planned.fits, key=lambda fit: fit.gpu_hours),
    )
