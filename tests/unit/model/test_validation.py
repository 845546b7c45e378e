"""Every claim of the theory holds, and every check fails on an implementation that is wrong."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection import baselines, cells, gaussian, lbg, robust, selector
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.low_rank import LowRankGaussian
from ntlbg_model.validation import (
    __main__,
    check,
    consistency,
    contours,
    goodness,
    gradient,
    information,
    law,
    points,
    sampling,
    suite,
)
from ntlbg_model.validation.check import Check

Wrong = tuple[Any, str, Callable[..., Any]]


def without_the_factor(self: LowRankGaussian, x: torch.Tensor) -> torch.Tensor:
    return ((x.float() - self.mean).square() / self.diagonal).sum(1)


def uncentred(self: LowRankGaussian, x: torch.Tensor) -> torch.Tensor:
    """Expands |x - mu|^2 without centring first."""
    precision = (self.factor @ self.factor.T + self.diagonal.diag()).inverse()
    y, m = x.float() + 300, self.mean + 300
    return ((y @ precision) * y).sum(1) - 2 * y @ precision @ m + m @ precision @ m


def in_half_precision(self: LowRankGaussian, x: torch.Tensor) -> torch.Tensor:
    return distances_by_woodbury(self, (x + 300).bfloat16().float() - 300)


distances_by_woodbury = LowRankGaussian.squared_distances


def shrunk_by_half(features: torch.Tensor, rank: int, shrinkage: float) -> gaussian.VideoGaussian:
    return fit(features, rank, 0.9)


def gaussian_features(seed: int) -> torch.Tensor:
    return check.normal(check.generator(seed, 99), 256, 16)


def never_moved(samples: Any, start: Any, weights: Any, *_: Any, **__: Any) -> lbg.Quantiser:
    return lbg.lloyd(samples, start, weights, 0)


def moved_once(samples: Any, start: Any, weights: Any, *_: Any, **__: Any) -> lbg.Quantiser:
    return lbg.lloyd(samples, start, weights, 1)


def on_one_ring(*arguments: Any, **options: Any) -> lbg.Quantiser:
    found = lbg.lloyd(*arguments, **options)
    return replace(found, points=found.points / found.points.norm(dim=1, keepdim=True))


def overshooting(*arguments: Any) -> torch.Tensor:
    return 1.5 * means(*arguments)


means = lbg._means


def on_the_contour(coordinates: Any, count: int, config: SelectionConfig) -> Any:
    return ntlbg(
        coordinates,
        count,
        replace(config, constraint_type="hard_equicontour", contour="median", uniform_floor=0.3),
    )


def off_the_contour(coordinates: Any, count: int, config: SelectionConfig) -> Any:
    return ntlbg(coordinates, count, replace(config, constraint_type="none"))


def without_a_floor(coordinates: Any, count: int, config: SelectionConfig) -> Any:
    return coordinates.norm(dim=1).topk(count).indices, None


def by_chance(coordinates: torch.Tensor, count: int, config: SelectionConfig) -> Any:
    seed = int(coordinates.abs().sum() * 1e3)
    return baselines.random(len(coordinates), count, seed), None


ntlbg = contours.ntlbg


def frozen(features: torch.Tensor, rank: int, shrinkage: float) -> gaussian.VideoGaussian:
    fitted = fit(torch.eye(2 * rank).repeat(4, 1), rank, 0.0)
    return replace(fitted, own=fitted.coordinates(features))


def of_the_median(distances: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return distances.median()


def too_small(source: torch.Generator, *shape: int) -> torch.Tensor:
    return 0.8 * check.normal(source, *shape)


def too_large(source: torch.Generator, *shape: int) -> torch.Tensor:
    return 1.05 * check.normal(source, *shape)


def in_a_plane(source: torch.Generator, *shape: int) -> torch.Tensor:
    return check.normal(source, *shape) * torch.tensor([1.0, 1, 0, 0])


def random_rows(samples: torch.Tensor, *_: Any) -> torch.Tensor:
    return baselines.random(len(samples), 64, 5)


def first_rows(samples: torch.Tensor, weights: Any, count: int, sweeps: int) -> torch.Tensor:
    return torch.arange(count)


def far_rows(samples: torch.Tensor, weights: Any, count: int, sweeps: int) -> torch.Tensor:
    return samples.norm(dim=1).topk(count).indices


def fewer_when_more_are_asked(samples: Any, weights: Any, count: int, sweeps: int) -> torch.Tensor:
    return lbg.representatives(samples, weights, max(8, 264 - count), sweeps)


def no_floor(logits: torch.Tensor, floor: float) -> torch.Tensor:
    return (4 * logits).softmax(-1)


def evenly(p: torch.Tensor, count: int, start: torch.Tensor) -> torch.Tensor:
    return systematic(inclusion_probabilities(torch.ones_like(p), count), count, start)


systematic = sampling.systematic


def cells_of_equal_length(p: torch.Tensor, count: Any) -> torch.Tensor:
    order = torch.arange(p.shape[-1]).expand_as(p)
    return order * torch.as_tensor(count).unsqueeze(-1) // p.shape[-1]


def always_shrunk(x: torch.Tensor, shrinkage: float) -> Any:
    return index_points(x, shrinkage=0.1)


index_points = consistency.index_points


def as_robust(features: torch.Tensor, rank: int, shrinkage: float = 0.1) -> Any:
    return robust.fit(features, rank, shrinkage)


def as_plain(features: torch.Tensor, rank: int, shrinkage: float = 0.1) -> Any:
    return fit(features, rank, shrinkage)


fit = gaussian.fit


def of_p_itself(probabilities: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    kept = probabilities.gather(-1, pairs)
    return kept - kept.detach()


WRONG: dict[Callable[[int], Check], Wrong] = {
    law.distances_of_a_known_gaussian: (LowRankGaussian, "squared_distances", without_the_factor),
    law.tails_of_a_known_gaussian: (law, "normal", too_large),
    law.distances_in_fitted_moments: (law.gaussian, "fit", shrunk_by_half),
    law.distances_of_a_video: (law, "rendered_features", gaussian_features),
    law.single_precision: (LowRankGaussian, "squared_distances", uncentred),
    law.half_precision: (LowRankGaussian, "squared_distances", in_half_precision),
    law.degenerate_inputs: (gaussian, "_shrunk", lambda variances, *_: variances),
    contours.picks_on_the_contour: (contours, "ntlbg", off_the_contour),
    contours.picks_against_random_sets: (contours, "ntlbg", by_chance),
    contours.picks_by_information: (contours, "ntlbg", on_the_contour),
    contours.placebo: (contours.gaussian, "fit", frozen),
    contours.level_of_principal_points: (contours, "lloyd", never_moved),
    contours.rate_level: (contours, "contour_level", of_the_median),
    contours.one_contour_in_many_dimensions: (contours, "lloyd", never_moved),
    contours.shells_in_the_plane: (contours, "lloyd", on_one_ring),
    points.known_principal_points: (points, "lloyd", never_moved),
    points.self_consistency: (points, "lloyd", moved_once),
    points.points_keep_the_mean: (points, "lloyd", never_moved),
    points.distortion_never_rises: (lbg, "_means", overshooting),
    points.shannon_bound: (points, "normal", too_small),
    points.zador_slope: (points, "normal", in_a_plane),
    points.better_than_other_sets: (points, "representatives", random_rows),
    information.information_grows: (information, "representatives", fewer_when_more_are_asked),
    information.divergence_of_the_picks: (information, "representatives", far_rows),
    information.distance_between_laws: (information, "representatives", far_rows),
    information.points_shrink_the_spread: (information, "lloyd", moved_once),
    information.effective_size: (information, "floored", no_floor),
    sampling.inclusion_frequencies: (sampling, "systematic", evenly),
    sampling.horvitz_thompson: (sampling, "systematic", evenly),
    sampling.structure: (sampling, "time_cells", cells_of_equal_length),
    consistency.moments_converge: (consistency, "index_points", always_shrunk),
    consistency.picks_converge: (consistency, "representatives", first_rows),
    consistency.plain_moments_break: (consistency.gaussian, "fit", as_robust),
    consistency.robust_moments_survive: (consistency.robust, "fit", as_plain),
    consistency.floor_covers_clean_frames: (consistency, "ntlbg", without_a_floor),
    consistency.noise_moves_picks_little: (consistency, "ntlbg", by_chance),
    gradient.straight_through: (selector, "_gate", of_p_itself),
}
"""A wrong part for each check: where it lies, its name, and what takes its place."""


@pytest.mark.parametrize("measure", suite.CHECKS, ids=lambda measure: measure.__name__)
def test_the_claim_holds(measure):
    found = measure(0)
    assert found.passed, found


@pytest.mark.parametrize("measure", suite.CHECKS, ids=lambda measure: measure.__name__)
def test_a_wrong_implementation_is_caught(measure, monkeypatch):
    where, name, wrong = WRONG[measure]
    monkeypatch.setattr(where, name, wrong)
    found = measure(0)
    assert not found.passed, found
    assert math.isfinite(found.statistic), found


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 9))
def test_the_claims_hold_for_other_random_numbers(seed):
    failed = [found for found in suite.run_all(seed) if not found.passed]
    # Three bounds are significance levels of one per cent: chance may miss one.
    assert len(failed) <= 1, failed


def test_every_module_of_checks_is_in_the_suite():
    modules = (law, contours, points, information, sampling, consistency, gradient)
    public = {
        measure
        for module in modules
        for name, measure in vars(module).items()
        if getattr(measure, "__annotations__", {}).get("return") is Check
        and measure.__module__ == module.__name__
    }
    assert public == set(suite.CHECKS) == set(WRONG)


@pytest.mark.parametrize(("statistic", "code"), [(0.5, 0), (2.0, 1), (float("nan"), 1)])
def test_the_command_prints_a_table_and_fails_where_a_claim_does(
    statistic, code, monkeypatch, capsys
):
    def measure(seed: int) -> Check:
        return Check(claim=f"claim {seed}", quantity="q", statistic=statistic, high=1, meaning="m")

    monkeypatch.setattr(suite, "CHECKS", (measure,))
    monkeypatch.setattr("sys.argv", ["validation", "--seed", "3"])
    assert __main__.main() == code
    printed = capsys.readouterr().out
    verdict = "FAILS" if code else "holds"
    assert f"| claim 3 | q | {statistic:.4g} | at most 1 | {verdict} | m |" in printed


def test_bounds_read_as_words():
    base = Check(claim="c", quantity="q", statistic=1.0, meaning="m")
    assert replace(base, low=0.5).bound == "at least 0.5"
    assert replace(base, high=2).bound == "at most 2"
    assert replace(base, low=0.5, high=2).bound == "0.5 to 2"
    assert replace(base, low=1, high=1).passed and not replace(base, low=1.01).passed


def test_goodness_of_fit_agrees_with_the_tables():
    even = (torch.arange(1000) + 0.5) / 1000
    assert goodness.kolmogorov_smirnov(even) == pytest.approx((0.0005, 1.0), abs=1e-6)
    assert goodness.anderson_darling(even) < 0.1
    # The 5 % point of Kolmogorov's law is 1.358 / sqrt(n) for large n.
    shifted = (even + 1.358 / 1000**0.5).clamp(max=1)
    assert goodness.kolmogorov_smirnov(shifted)[1] == pytest.approx(0.05, abs=0.006)


def test_the_integer_unit_is_the_one_that_cells_and_draws_share():
    p = torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)
    assert int(cells.integers(p, torch.tensor([1])).sum()) == cells.UNIT
