"""All checks, and their table."""

from collections.abc import Callable

from ntlbg_model.validation import (
    consistency,
    contours,
    gradient,
    information,
    law,
    points,
    sampling,
)
from ntlbg_model.validation.check import Check

CHECKS: tuple[Callable[[int], Check], ...] = (
    law.distances_of_a_known_gaussian,
    law.tails_of_a_known_gaussian,
    law.distances_in_fitted_moments,
    law.distances_of_a_video,
    law.single_precision,
    law.half_precision,
    law.degenerate_inputs,
    contours.picks_on_the_contour,
    contours.picks_by_information,
    contours.placebo,
    contours.level_of_principal_points,
    contours.rate_level,
    contours.one_contour_in_many_dimensions,
    points.known_principal_points,
    contours.shells_in_the_plane,
    points.self_consistency,
    points.points_keep_the_mean,
    points.distortion_never_rises,
    points.shannon_bound,
    points.zador_slope,
    points.better_than_other_sets,
    information.information_grows,
    information.divergence_of_the_picks,
    information.distance_between_laws,
    information.points_shrink_the_spread,
    information.effective_size,
    sampling.inclusion_frequencies,
    sampling.horvitz_thompson,
    sampling.structure,
    consistency.moments_converge,
    consistency.picks_converge,
    consistency.plain_moments_break,
    consistency.robust_moments_survive,
    consistency.floor_covers_clean_frames,
    consistency.noise_moves_picks_little,
    gradient.straight_through,
)
"""In the order of the claims."""


def run_all(seed: int = 0) -> list[Check]:
    """Every check with random numbers from `seed`. Where a bound is a significance level, one seed
    in a hundred misses it by chance."""
    return [check(seed) for check in CHECKS]


def table(checks: list[Check]) -> str:
    """The checks as a Markdown table."""
    rows = ["| claim | quantity | found | holds if | verdict | what it says |", "|---" * 6 + "|"]
    rows += [
        f"| {check.claim} | {check.quantity} | {check.statistic:.4g} | {check.bound} | "
        f"{'holds' if check.passed else 'FAILS'} | {check.meaning} |"
        for check in checks
    ]
    return "\n".join(rows)
