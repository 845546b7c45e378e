"""Preparation of a suite for submission."""

import os
from collections.abc import Sequence
from dataclasses import asdict

from ntlbg_service.config_files.missing_data import check_checkpoints, check_data
from ntlbg_service.domain.errors import CapacityError, UserError
from ntlbg_service.domain.expansion import Variant
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.planning.plan import PlannedVariant, plan
from ntlbg_service.domain.planning.plan_record import to_json
from ntlbg_service.domain.run_identity import Identity, config_digest
from ntlbg_service.domain.suite import SuiteFiles
from ntlbg_service.ledger.records import NewRun, NewSuite
from ntlbg_service.process.user import acting_user
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.submission.code_snapshot import shipped_version
from ntlbg_service.submission.fingerprints import DataIdentities, code_version
from ntlbg_service.submission.prepared import Prepared, as_built


def prepare_suite(
    files: SuiteFiles,
    variants: Sequence[Variant],
    workspace: Workspace,
    inventory: Inventory,
    *,
    skip_refused: bool = False,
    estimates: Estimates = CLOSED_FORM,
) -> Prepared:
    """Plan and check a suite, and raise before anything is written.

    Raises UserError for an unsupported option or a missing data set, CapacityError for a variant
    that fits no device. With `skip_refused` such variants are left out (and shown by the plan).
    """
    planned = plan(variants, files.seeds, inventory, estimates, share_gpus=files.suite.share_gpus)
    rows = [as_built(row, planned.fits_of(row)) for row in planned.variants]
    accepted = [row for row in rows if row.refusal is None]
    refused = [row for row in rows if row.refusal is not None]
    if refused and not (skip_refused and accepted):
        raise _refusal(files.source, refused, bool(accepted))
    for row in accepted:
        place = f"{files.source}: {row.variant.group}/{row.variant.name}"
        check_data(row.variant.config, workspace.data_root, place)
        check_checkpoints(row.variant.config, place)
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


def _refusal(
    source: str, refused: Sequence[PlannedVariant], others: bool
) -> UserError | CapacityError:
    first = refused[0]
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    hint = "; --skip-refused runs the others" if others else ""
    kind = UserError if first.unsupported else CapacityError
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
            "data_root": workspace.data_root_kept,
            "code": shipped_version(),
            "description": variant.description,
        },
        max_hours=files.suite.max_hours,
    )
