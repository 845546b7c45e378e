"""K counts frames, by the rule of the configuration guide."""

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import VideoConfig


def guide(max_frames: int) -> int:
    """The formula as the guide prints it."""
    representatives = max(16, int(max_frames * 0.125))
    representatives = min(representatives, int(max_frames * 0.5))
    return (representatives // 8) * 8


@given(st.integers(16, 20_000))
def test_the_default_is_the_guides_formula(frames: int) -> None:
    assert VideoConfig(max_frames=20_000).representatives(frames) == guide(frames)


def test_the_categories_keep_what_the_guide_says() -> None:
    kept = [VideoConfig(max_frames=n).representatives(n) for n in (2048, 4096, 8192)]
    assert kept == [256, 512, 1024]


@given(st.integers(0, 15))
def test_a_video_below_the_minimum_keeps_all_its_pairs(frames: int) -> None:
    assert VideoConfig().representatives(frames) == frames - frames % 2


@given(
    frames=st.integers(0, 10_000),
    max_frames=st.integers(2, 9000),
    wanted=st.none() | st.integers(2, 2048),
    ratio=st.floats(0.01, 1),
    alignment=st.integers(1, 32),
)
def test_k_is_even_and_within_its_bounds(
    frames: int, max_frames: int, wanted: int | None, ratio: float, alignment: int
) -> None:
    config = VideoConfig(
        max_frames=max_frames,
        num_representatives=None if wanted is None else min(wanted, max_frames),
        max_representatives_ratio=ratio,
        representative_alignment=2 * alignment,
    )
    kept = config.representatives(frames)
    candidates = min(frames, max_frames)
    assert kept % 2 == 0
    assert kept <= candidates
    if candidates >= 16:
        assert 2 <= kept <= max(2, int(candidates * ratio))
        if wanted is not None:
            assert kept <= max(2, wanted)
