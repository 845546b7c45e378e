import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.statistics import (
    EXACT_CLUSTERS,
    Observation,
    cluster_bootstrap,
    estimate,
    holm,
    mean_over_seeds,
    paired_difference,
    sign_flip_test,
    student_t_quantile,
)


def observations(videos: dict[str, list[float]]) -> dict[str, Observation]:
    return {
        f"{video}-{place}": Observation(video, value)
        for video, values in videos.items()
        for place, value in enumerate(values)
    }


def test_the_mean_weighs_questions_not_videos() -> None:
    seen = estimate(observations({"a": [1, 1, 1], "b": [0]}))
    assert (seen.mean, seen.questions, seen.videos) == (0.75, 4, 2)


@pytest.mark.parametrize(
    ("videos", "mean"),
    [({}, None), ({"a": [1.0, 0.0]}, 0.5), ({"a": [1.0], "b": [1.0], "c": [1.0]}, 1.0)],
    ids=["no questions", "one video", "no variance"],
)
def test_what_cannot_be_estimated_is_none(
    videos: dict[str, list[float]], mean: float | None
) -> None:
    seen = estimate(observations(videos))
    assert seen.mean == mean
    assert seen.interval is None


def test_the_interval_is_repeatable_and_inside_the_range_of_the_data() -> None:
    videos = observations({str(n): [float(n != 0)] for n in range(6)})
    first, second = estimate(videos), estimate(videos)
    assert first == second
    assert first.interval is not None
    assert 0 <= first.interval.low < 5 / 6 < first.interval.high <= 1


def test_repeating_each_question_of_a_video_narrows_nothing() -> None:
    once = estimate(observations({str(n): [float(n % 3 == 0)] for n in range(12)}))
    thrice = estimate(observations({str(n): [float(n % 3 == 0)] * 3 for n in range(12)}))
    assert once.interval == thrice.interval


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Twelve videos of one to five questions, whose difficulty is shared within the video."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(600):
        sizes = rng.integers(1, 6, size=12)
        sums = rng.binomial(sizes, rng.beta(1.5, 1.0, size=12)).astype(float)
        interval = cluster_bootstrap(sums, sizes.astype(float), resamples=1000)
        assert interval is not None
        covered += interval.low <= 0.6 <= interval.high
    assert 0.92 <= covered / 600 <= 0.98


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (7, 2.36462), (30, 2.04227)],
)
def test_student_t_quantiles_are_the_tabled_ones(degrees: int, quantile: float) -> None:
    assert student_t_quantile(0.975, degrees) == pytest.approx(quantile, abs=6e-5)


def test_a_paired_difference_uses_only_common_questions() -> None:
    variant = observations({"a": [1, 1], "b": [1], "c": [0]})
    baseline = observations({"a": [0, 1], "b": [0], "d": [1]})
    seen = paired_difference(variant, baseline)
    assert (seen.questions, seen.videos) == (3, 2)
    assert seen.difference == pytest.approx(2 / 3)


def test_without_common_questions_nothing_is_estimable() -> None:
    seen = paired_difference(observations({"a": [1]}), observations({"b": [1]}))
    assert (seen.difference, seen.interval, seen.p_value, seen.questions) == (None, None, None, 0)


def test_variants_that_answer_alike_do_not_differ() -> None:
    same = observations({"a": [1, 0], "b": [1], "c": [0]})
    seen = paired_difference(same, same)
    assert (seen.difference, seen.interval, seen.p_value) == (0, None, 1)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8))
@settings(deadline=None)
def test_the_exact_sign_flip_p_is_a_count_over_all_patterns(sums: list[int]) -> None:
    patterns = list(product([-1, 1], repeat=len(sums)))
    extreme = sum(
        abs(sum(sign * value for sign, value in zip(pattern, sums, strict=True))) >= abs(sum(sums))
        for pattern in patterns
    )
    assert sign_flip_test(np.array(sums, dtype=float)) == pytest.approx(extreme / len(patterns))


def test_the_sampled_sign_flip_p_agrees_with_the_exact_one_and_is_never_zero() -> None:
    steps = np.array([1.0] * 15 + [-1.0] * 5)
    assert len(steps) > EXACT_CLUSTERS
    exact = 2 * sum(math.comb(20, k) for k in range(6)) / 2**20
    assert sign_flip_test(steps) == pytest.approx(exact, abs=0.006)
    assert sign_flip_test(np.ones(400)) == pytest.approx(1 / 10_001)


def test_one_video_cannot_be_tested() -> None:
    assert sign_flip_test(np.array([1.0])) is None


def test_holm_steps_down_keeps_order_and_leaves_the_untested_out() -> None:
    corrected = holm([0.04, None, 0.01, 0.03])
    assert corrected == [pytest.approx(0.06), None, pytest.approx(0.03), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_question_is_its_mean_over_the_seeds_that_all_have_it() -> None:
    first, second = observations({"a": [1, 0]}), observations({"a": [0, 0, 1]})
    assert mean_over_seeds([first, second]) == {
        "a-0": Observation("a", 0.5),
        "a-1": Observation("a", 0.0),
    }
    assert mean_over_seeds([]) == {}
