"""How sure a measured mean is, and whether two variants differ. Numpy only.

Questions about one video share its difficulty and its selected frames, so they are not
independent: the video is the unit of every interval and of every test (E. Miller, "Adding error
bars to evals", arXiv 2411.00640, section 2.2). What cannot be estimated is None, never NaN.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
"""Bootstrap resamples and, beyond exact enumeration, random sign flips."""
EXACT_CLUSTERS = 16
"""Up to this many videos that differ, every one of the sign patterns is enumerated."""
_SEED = 20_240_917

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One question's value, for example 1.0 for a correct answer."""

    video_id: str
    value: float


Observations = Mapping[str, Observation]
"""By question id."""


@dataclass(frozen=True)
class Interval:
    """Both ends of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over questions."""

    mean: float | None
    """None without questions."""
    interval: Interval | None
    """95 %, clustered by video. None with fewer than two videos, or where the videos agree
    so fully that they say nothing about the spread."""
    questions: int
    videos: int


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How much a variant's mean exceeds another's on the questions that both answered."""

    difference: float | None
    """None without common questions."""
    interval: Interval | None
    """As in `Estimate`."""
    p_value: float | None
    """Two-sided. None with fewer than two videos."""
    questions: int
    """Questions in common: the only ones compared."""
    videos: int


def mean_over_seeds(seeds: Sequence[Observations]) -> dict[str, Observation]:
    """Each question's mean over the seeds, for the questions that every seed has."""
    if not seeds:
        return {}
    first, *others = seeds
    return {
        question: Observation(
            seen.video_id, math.fsum(seed[question].value for seed in seeds) / len(seeds)
        )
        for question, seen in first.items()
        if all(question in other for other in others)
    }


def estimate(observations: Observations) -> Estimate:
    """The mean over questions with its 95 % interval, clustered by video."""
    sums, sizes = _by_video(observations)
    return Estimate(
        mean=float(sums.sum() / sizes.sum()) if len(observations) else None,
        interval=cluster_bootstrap(sums, sizes),
        questions=len(observations),
        videos=len(sizes),
    )


def paired_difference(variant: Observations, baseline: Observations) -> PairedDifference:
    """`variant` minus `baseline`, question by question, on the questions that both have."""
    differences = {
        question: Observation(seen.video_id, seen.value - baseline[question].value)
        for question, seen in variant.items()
        if question in baseline
    }
    sums, _ = _by_video(differences)
    of_differences = estimate(differences)
    return PairedDifference(
        difference=of_differences.mean,
        interval=of_differences.interval,
        p_value=sign_flip_test(sums),
        questions=of_differences.questions,
        videos=of_differences.videos,
    )


def cluster_bootstrap(
    sums: Floats, sizes: Floats, *, confidence: float = 0.95, resamples: int = RESAMPLES
) -> Interval | None:
    """An interval for sum(sums) / sum(sizes), given one of each per cluster.

    Whole clusters are drawn with replacement. The percentiles are widened as T. Hesterberg,
    "What teachers should know about the bootstrap" (The American Statistician 69, 2015,
    section 3.3), advises, so that few clusters are not overconfident; the ends stay inside the
    range of the data, which a symmetric t interval for an accuracy would leave.
    """
    clusters = len(sums)
    if clusters < 2:
        return None
    means = _resampled_means(sums, sizes, resamples)
    if float(np.ptp(means)) < 1e-12:
        return None
    tail = expanded_tail(clusters, confidence)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def expanded_tail(clusters: int, confidence: float) -> float:
    """Hesterberg's percentile: Phi(-sqrt(n / (n - 1)) t), t at n - 1 degrees of freedom."""
    quantile = student_t_quantile((1 + confidence) / 2, clusters - 1)
    return NormalDist().cdf(-math.sqrt(clusters / (clusters - 1)) * quantile)


def sign_flip_test(sums: Floats) -> float | None:
    """Two-sided p of 'no difference': each cluster's summed difference may as well be negated.

    Exact for few clusters. Beyond, random sign patterns, counting the observed one, so that p is
    never 0 (B. Phipson and G. Smyth, "Permutation p-values should never be zero", 2010).
    """
    if len(sums) < 2:
        return None
    moving = sums[np.abs(sums) > 1e-12]
    threshold = abs(float(moving.sum())) * (1 - 1e-9)
    if len(moving) <= EXACT_CLUSTERS:
        return float(np.mean(np.abs(_all_signed_sums(moving)) >= threshold))
    signs = np.random.default_rng(_SEED).integers(0, 2, size=(RESAMPLES, len(moving))) * 2 - 1
    extreme = int(np.count_nonzero(np.abs(signs @ moving) >= threshold))
    return (extreme + 1) / (RESAMPLES + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over one family; None was not tested and stays None.

    S. Holm, "A simple sequentially rejective multiple test procedure" (1979): the chance of one
    or more false findings in the whole family stays below the level that p is held against.
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[place] = largest
    return corrected


def student_t_quantile(probability: float, degrees: int) -> float:
    """Quantile (at least 0.5) of Student's t, by bisection on its distribution function."""
    low, high = 0.0, 1.0
    while _student_t_cdf(high, degrees) < probability:
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _student_t_cdf(middle, degrees) < probability else (low, middle)
        )
    return (low + high) / 2


def _student_t_cdf(t: float, degrees: int) -> float:
    """P(T <= t) for t >= 0: Abramowitz and Stegun, 26.7.3 (odd) and 26.7.4 (even degrees)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term = (sine * cosine if odd else sine) if degrees > 1 else 0.0
    inside = term
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        inside += term
    two_sided = 2 / math.pi * (angle + inside) if odd else inside
    return 0.5 + two_sided / 2


def _by_video(observations: Observations) -> tuple[Floats, Floats]:
    """Per video, in the order of the videos' names: sum of the values, number of questions."""
    values: dict[str, list[float]] = {}
    for seen in observations.values():
        values.setdefault(seen.video_id, []).append(seen.value)
    ordered = [values[video] for video in sorted(values)]
    sums = np.array([math.fsum(group) for group in ordered], dtype=np.float64)
    return sums, np.array([len(group) for group in ordered], dtype=np.float64)


def _resampled_means(sums: Floats, sizes: Floats, resamples: int) -> Floats:
    counts = _resample_counts(len(sums), resamples)
    means: Floats = (counts @ sums) / (counts @ sizes)
    return means


@lru_cache(maxsize=8)
def _resample_counts(clusters: int, resamples: int) -> NDArray[np.float32]:
    """How often each cluster is drawn in each resample: resamples x clusters."""
    rng = np.random.default_rng((_SEED, clusters))
    draws = rng.integers(0, clusters, size=(resamples, clusters))
    draws += np.arange(resamples)[:, None] * clusters
    counts = np.bincount(draws.ravel(), minlength=resamples * clusters)
    return counts.reshape(resamples, clusters).astype(np.float32)


def _all_signed_sums(values: Floats) -> Floats:
    """The sum under each of the 2^n sign patterns."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
