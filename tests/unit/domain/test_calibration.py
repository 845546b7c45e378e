"""What measured peaks do to predictions: bounded, order-free, monotone, and on the safe side."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, ModelConfig, VideoConfig
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.domain.fitting.calibration import (
    CEILING,
    FLOOR,
    HALF_WAY,
    Peak,
    by_shape,
    calibrate,
    peak_of,
    said,
)
from ntlbg_service.domain.fitting.estimates import Calibration, Estimates
from ntlbg_service.domain.fitting.fit import Fit, fit
from ntlbg_service.domain.hardware.profiles import PROFILES, NodeShape

NODE = NodeShape(cores=96, host_memory_gib=768, gpus=8)
SIZES = st.floats(0.01, 80, allow_nan=False)
PEAKS = st.builds(
    Peak,
    standing_gib=SIZES,
    moving_gib=SIZES,
    measured_gib=SIZES,
    on_cpu=st.booleans(),
    ran_out=st.booleans(),
)


def peak(measured: float, moving: float = 5.0) -> Peak:
    """A peak beside a prediction of 10 GiB that stand and some that move."""
    return Peak(standing_gib=10.0, moving_gib=moving, measured_gib=measured)


@given(st.lists(PEAKS, max_size=30))
def test_the_factor_is_bounded(peaks: list[Peak]) -> None:
    found = calibrate(peaks)
    assert FLOOR <= found.factor <= CEILING
    assert found.runs == len(peaks) >= found.shapes
    assert peaks or found == Calibration()


@given(st.lists(PEAKS, min_size=1, max_size=12), st.randoms())
def test_the_order_of_runs_does_not_matter(peaks: list[Peak], rng: object) -> None:
    mixed = list(peaks)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert calibrate(mixed) == calibrate(peaks)


@given(st.lists(PEAKS, min_size=1, max_size=12), st.data(), SIZES)
def test_a_higher_peak_never_lowers_the_factor(
    peaks: list[Peak], data: st.DataObject, more: float
) -> None:
    at = data.draw(st.integers(0, len(peaks) - 1))
    higher = list(peaks)
    higher[at] = replace(peaks[at], measured_gib=peaks[at].measured_gib + more)
    assert calibrate(higher).factor >= calibrate(peaks).factor


@given(st.lists(PEAKS, min_size=1, max_size=9))
def test_no_calibrated_prediction_lies_below_a_peak_it_was_learned_from(
    peaks: list[Peak],
) -> None:
    factor = calibrate(peaks).factor
    for one in peaks:
        if one.factor < CEILING:
            calibrated = one.standing_gib + factor * one.moving_gib
            assert calibrated >= one.measured_gib * (1 - 1e-9)


@given(st.lists(PEAKS, min_size=1, max_size=6), st.integers(2, 5))
def test_repeating_runs_adds_no_evidence(peaks: list[Peak], times: int) -> None:
    assert calibrate(peaks * times).factor == calibrate(peaks).factor


def test_few_shapes_below_their_predictions_are_hardly_believed() -> None:
    factors = [
        calibrate([peak(14.6 + 0.92 * n, moving=5.0 + n) for n in range(shapes)]).factor
        for shapes in (1, HALF_WAY, 40)
    ]
    assert 1 > factors[0] > factors[1] > factors[2] >= FLOOR


def test_one_shape_above_its_prediction_is_believed_at_once() -> None:
    assert calibrate([peak(16.0)]).factor == pytest.approx(1.2)
    assert calibrate([peak(16.0), *(peak(11.0 + n, 5.0 + n) for n in range(1, 6))]).factor > 1.19


def test_among_many_shapes_one_outlier_does_not_rule() -> None:
    many = [peak(15.0 + n, moving=5.0 + n) for n in range(19)]
    assert calibrate([*many, peak(30.0, moving=4.0)]).factor == 1.0


def test_low_resident_sets_and_exhausted_memory_never_lower_the_factor() -> None:
    for odd in (replace(peak(11.0), on_cpu=True), replace(peak(11.0), ran_out=True)):
        assert odd.ratio < 1 and calibrate([odd]).factor == 1.0


def test_peaks_of_one_prediction_are_one_shape() -> None:
    mixed = [peak(15.0), peak(15.0, 6.0), peak(16.0), peak(14.0, 5.002)]
    assert [len(alike) for alike in by_shape(mixed)] == [3, 1]


class _Learned:
    """Closed form with a factor."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.asked: list[Step] = []

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return training_footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        self.asked.append(step)
        return None

    def calibration(self, profile: str) -> Calibration:
        return Calibration(factor=self.factor, runs=3, shapes=3, ratio=self.factor)


def fitted(estimates: Estimates, profile: str, **model: str) -> Fit:
    """A fit of a small video."""
    config = Config(
        video=VideoConfig(max_frames=512, num_representatives=64, frame_resolution=(56, 56)),
        model=ModelConfig(**model),  # type: ignore[arg-type]
    )
    found = fit(config, PROFILES[profile], NODE, estimates=estimates)
    assert isinstance(found, Fit)
    return found


@pytest.mark.parametrize(
    ("profile", "base"), [("cpu", "tiny"), ("A100-80GB", "Qwen/Qwen2-VL-7B-Instruct")]
)
@pytest.mark.parametrize("factor", [0.9, 1.3])
def test_what_was_calibrated_is_not_calibrated_twice(
    profile: str, base: str, factor: float
) -> None:
    plain = peak_of(fitted(_Learned(1.0), profile, base_model=base), 3.0)
    again = peak_of(fitted(_Learned(factor), profile, base_model=base), 3.0)
    assert again.standing_gib == pytest.approx(plain.standing_gib, abs=0.003)
    assert again.moving_gib == pytest.approx(plain.moving_gib, abs=0.005)


def test_a_cpu_counts_its_process_as_moving_and_a_gpu_leaves_out_its_context() -> None:
    cpu = fitted(_Learned(1.0), "cpu", base_model="tiny")
    assert peak_of(cpu, 1.0).predicted_gib == pytest.approx(cpu.predicted_gib, abs=0.005)
    gpu = fitted(_Learned(1.0), "A100-80GB")
    outside = gpu.memory["context"] + gpu.memory["reserve"]
    predicted = peak_of(gpu, 1.0).predicted_gib
    assert predicted == pytest.approx(gpu.predicted_gib - outside, abs=0.005)


def test_a_measured_cpu_process_makes_the_next_prediction_cover_it() -> None:
    found = fitted(_Learned(1.0), "cpu", base_model="tiny")
    high = 1.1 * found.predicted_gib
    factor = calibrate([peak_of(found, high)]).factor
    again = fitted(_Learned(factor), "cpu", base_model="tiny")
    assert again.predicted_gib == pytest.approx(high, abs=0.005)


def test_words_say_what_was_measured_and_what_it_changes() -> None:
    runs = [peak(14.7), peak(15.0)]
    assert said("A100-40GB", calibrate(runs)) == (
        "A100-40GB: measured 0.99 of predicted in 2 runs (0.98 to 1.00); "
        "what moves counts as predicted"
    )
    assert said("cpu", calibrate([peak(16.0)])) == (
        "cpu: measured 1.07 of predicted in 1 run; what moves counts x 1.20"
    )
    assert said("L4-24GB", Calibration()) == "L4-24GB: nothing measured yet"
