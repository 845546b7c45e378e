"""The usual plans and the traces beside the closed form."""

import pytest

from ntlbg_model.config import Config
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.domain.fitting.analysis import PAIRINGS, cells, comparisons
from ntlbg_service.domain.fitting.estimates import Calibration
from ntlbg_service.domain.fitting.fit import BAND, Fit
from ntlbg_service.domain.fitting.known_plans import PLANS, known_cells

CATEGORIES = {name: Config() for name, _, _ in PAIRINGS}


class Tracer:
    """Finds a tenth more of what moves than the closed form; knows no fp16."""

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return training_footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        if step.precision == "fp16":
            return None
        return training_footprint(config, step, context).scaled(1.1)

    def calibration(self, profile: str) -> Calibration:
        return Calibration()


@pytest.mark.parametrize("every", [False, True])
def test_traces_are_compared_near_the_limit_or_everywhere(every: bool) -> None:
    one = {"long": Config()}
    found = cells(one)
    rows = list(comparisons(one, found, Tracer(), every=every))
    fits = [
        cell.found
        for cell in found
        if isinstance(cell.found, Fit) and cell.found.precision != "fp16"
    ]
    near = [fit for fit in fits if fit.predicted_gib > (1 - BAND) * fit.limit_gib]
    assert [row.cell.found for row in rows] == (fits if every else near)
    assert all(-0.1 < row.difference < 0 for row in rows)


def test_every_plan_stands_for_every_pairing() -> None:
    found = known_cells(CATEGORIES)
    assert len(found) == len(PLANS) * len(PAIRINGS)
    needed = {(cell.plan, cell.category): cell.needed_gib for cell in found}
    for category in CATEGORIES:
        in_order = (
            "LoRA, nf4 base",
            "LoRA, 8-bit base",
            "LoRA",
            "full, 4 GPUs, ZeRO-3",
            "full, 4 GPUs, ZeRO-2",
            "full, all of it bf16",
            "full, fp32 masters",
        )
        gibs = [needed[plan, category] for plan in in_order]
        assert gibs == sorted(gibs)


def test_plans_are_for_the_categories_that_are_there() -> None:
    assert {cell.category for cell in known_cells({"long": Config()})} == {"long"}
    assert known_cells({"mine": Config()}) == []
