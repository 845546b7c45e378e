"""Selections keep exactly K/2 pairs, the same each time, and what they are for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import SelectionConfig, VideoConfig
from ntlbg_model.modeling.video_selection import VideoSelector, video_seed
from ntlbg_model.selection import baselines, gaussian
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import pick, time_cells
from ntlbg_model.selection.contour import contour_level
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.median_contour import median_contour
from ntlbg_model.selection.ntlbg import ntlbg_scores
from ntlbg_model.selection.select import select_pairs

METHODS = ("ntlbg", "median_contour", "uniform", "random")


def features(pairs: int = 96, width: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.randn(pairs, width, generator=torch.Generator().manual_seed(seed))


masses = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(0, 1e6, width=32), min_size=n, max_size=n), st.integers(1, n)
    )
)


@settings(deadline=None)
@given(masses)
def test_inclusion_probabilities_sum_to_the_count_and_never_exceed_one(case):
    mass, count = case
    p = inclusion_probabilities(torch.tensor(mass), count)
    assert float(p.sum()) == pytest.approx(count, abs=1e-9)
    assert float(p.max()) <= 1 and float(p.min()) >= 0


@settings(deadline=None)
@given(masses)
def test_time_cells_are_contiguous_and_all_in_use(case):
    mass, count = case
    cells = time_cells(inclusion_probabilities(torch.tensor(mass), count), count)
    assert cells.tolist() == sorted(cells.tolist())
    assert sorted(set(cells.tolist())) == list(range(count))


@settings(deadline=None)
@given(masses, st.integers(0, 2**31))
def test_one_pick_per_cell_gives_distinct_ascending_pairs(case, seed):
    mass, count = case
    cells = time_cells(inclusion_probabilities(torch.tensor(mass), count), count)
    scores = torch.randint(0, 3, (len(mass),), generator=torch.Generator().manual_seed(seed))
    picks = pick(scores.float(), cells, count).tolist()
    assert picks == sorted(set(picks)) and len(picks) == count
    for cell, chosen in enumerate(picks):
        rivals = (cells == cell).nonzero()[:, 0].tolist()
        best = max(float(scores[r]) for r in rivals)
        assert chosen == next(r for r in rivals if float(scores[r]) == best)


def test_proportional_mass_stays_proportional_below_the_cap():
    p = inclusion_probabilities(torch.tensor([8.0, 1.0, 1.0, 2.0]), 2)
    assert p.tolist() == pytest.approx([1.0, 0.25, 0.25, 0.5])


def test_count_outside_the_candidates_is_refused():
    with pytest.raises(ValueError, match="between 1 and the 4 pairs, got 5"):
        inclusion_probabilities(torch.ones(4), 5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 7, 48, 95, 96])
def test_every_method_keeps_exactly_the_count(method, count):
    pairs = select_pairs(features(), count, SelectionConfig(method=method), 3).pairs.tolist()
    assert pairs == sorted(set(pairs)) and len(pairs) == count
    assert pairs[0] >= 0 and pairs[-1] < 96


@pytest.mark.parametrize("method", METHODS)
def test_the_same_arguments_give_the_same_pairs(method):
    config = SelectionConfig(method=method)
    first, second = (select_pairs(features(), 20, config, 5).pairs for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_constant_features_are_no_trouble(method):
    chosen = select_pairs(torch.full((40, 8), 3.7), 10, SelectionConfig(method=method), 0)
    assert len(set(chosen.pairs.tolist())) == 10
    assert torch.isfinite(chosen.scores).all()


def test_random_depends_on_the_seed_and_nothing_else_does():
    config = SelectionConfig(method="random")
    assert not torch.equal(
        select_pairs(features(), 20, config, 1).pairs, select_pairs(features(), 20, config, 2).pairs
    )


def test_all_frames_keeps_every_candidate():
    chosen = select_pairs(features(12), 4, SelectionConfig(method="all_frames"), 0).pairs
    assert chosen.tolist() == list(range(12))


def test_uniform_takes_the_midpoints():
    assert baselines.uniform(12, 4).tolist() == [1, 4, 7, 10]


def test_ntlbg_finds_rare_pairs_that_uniform_and_the_median_contour_miss():
    common = features(200, 12, seed=1)
    rare = [31, 32, 90, 151]
    common[rare] += 9 * torch.sign(features(4, 12, seed=2))
    found = {
        method: len(
            set(rare)
            & set(select_pairs(common, 25, SelectionConfig(method=method), 0).pairs.tolist())
        )
        for method in ("ntlbg", "median_contour")
    }
    assert found == {"ntlbg": 4, "median_contour": 0}


@pytest.mark.parametrize("floor", [0.3, 0.5, 1.0])
def test_the_uniform_floor_covers_every_window_of_time(floor):
    skewed = features(200, 12)
    skewed[:20] *= 30
    config = SelectionConfig(method="ntlbg", uniform_floor=floor)
    kept = torch.zeros(200)
    kept[select_pairs(skewed, 40, config, 0).pairs] = 1
    for length in (20, 50, 100):
        inside = kept.unfold(0, length, 1).sum(dim=1)
        assert float(inside.min()) >= int(floor * 40 * length / 200) - 1


def test_distances_equal_those_of_the_dense_covariance():
    x = features(500, 6).double() @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64
    )
    centred = x - x.mean(0)
    dense = torch.linalg.inv(centred.T @ centred / len(x))
    expected = torch.einsum("pi,ij,pj->p", centred, dense, centred)
    found = gaussian.fit(x.float(), 6, shrinkage=0).squared_distances(x.float())
    assert torch.allclose(found.double(), expected, rtol=1e-3)


def test_fewer_pairs_than_feature_dimensions():
    x = features(10, 50)
    wide = gaussian.fit(x, 4)
    assert wide.basis.shape == (50, 4)
    assert torch.allclose(wide.basis.T @ wide.basis, torch.eye(4), atol=1e-5)
    assert torch.isfinite(wide.squared_distances(x)).all()


def test_the_mean_squared_distance_is_the_rank():
    x = features(400, 32)
    assert float(gaussian.fit(x, 16, shrinkage=0).squared_distances(x).mean()) == pytest.approx(
        16, rel=1e-3
    )


def test_median_contour_spreads_the_typical_pairs_in_time():
    distances = torch.cat((torch.full((10,), 4.0), torch.tensor([0.0, 9.0, 0.1, 8.9])))
    assert median_contour(distances, 3).tolist() == [0, 2, 5]


def test_contour_levels():
    distances = torch.arange(1.0, 101.0)
    level = {
        name: float(contour_level(distances, name, count=64, rank=16, quantile=0.99))
        for name in ("median", "quantile", "zero", "rate")
    }
    assert level["median"] == 50 and level["zero"] == 0
    assert level["quantile"] == pytest.approx(99.01)
    shrink = (1 - 64 ** (-2 / 16)) ** 0.5
    assert level["rate"] == pytest.approx(shrink * 58.17, rel=1e-3)
    with pytest.raises(ValueError, match="learned"):
        contour_level(distances, "learned", count=64, rank=16, quantile=0.99)


def test_constraint_types_order_pairs_as_they_say():
    distances = torch.tensor([1.0, 2.0, 3.0, 4.0])
    best = {
        kind: int(
            ntlbg_scores(
                distances, 2, SelectionConfig(constraint_type=kind, contour="median")
            ).argmax()
        )
        for kind in ("none", "soft_equicontour", "hard_equicontour")
    }
    assert best["none"] == 3 and best["hard_equicontour"] == 1
    assert best["soft_equicontour"] in (1, 2)


def test_a_flash_in_a_corner_is_rare_in_pixel_statistics():
    frames = torch.full((64, 56, 56, 3), 100, dtype=torch.uint8)
    frames += torch.randint(
        0, 8, frames.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    frames[21, 2:26, 2:26] = 18
    frames[21, 8:20, 8:20] = torch.tensor([226, 40, 40], dtype=torch.uint8)
    x = pair_features(frames)
    assert x.shape[0] == 32
    assert int(gaussian.fit(x, 16).squared_distances(x).argmax()) == 10


def test_a_video_is_chosen_from_once_and_by_the_one_rule():
    calls = VideoSelector(VideoConfig(), SelectionConfig(method="random"), seed=4)
    pixels = torch.zeros(512, 2, 2, 3, dtype=torch.uint8)
    first = calls.pairs("a", pixels)
    assert first.numel() == VideoConfig().representatives(512) // 2 == 32
    assert calls.pairs("a", pixels) is first
    assert not torch.equal(calls.pairs("b", pixels), first)


def test_a_single_frame_is_no_video():
    selector = VideoSelector(VideoConfig(), SelectionConfig(), seed=0)
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        selector.pairs("a", torch.zeros(1, 2, 2, 3, dtype=torch.uint8))


def test_short_videos_are_kept_whole():
    selector = VideoSelector(VideoConfig(), SelectionConfig(), seed=0)
    assert selector.pairs("a", torch.zeros(11, 8, 8, 3, dtype=torch.uint8)).tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_video_seeds_are_stable():
    assert video_seed(1, "a") == video_seed(1, "a") != video_seed(1, "b")
    assert 0 <= video_seed(7, "x") < 2**63
