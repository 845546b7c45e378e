"""Representative points: exactly the count, the same each time, and what they stand for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import Config, SelectionConfig
from ntlbg_model.selection import gaussian, lbg, robust
from ntlbg_model.selection.chi_square import chi_square_quantile, chi_square_share
from ntlbg_model.selection.low_rank import LowRankGaussian
from ntlbg_model.selection.net import number_theoretic_net, through_normal, through_quantiles
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.support import unsupported


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


clouds = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(
            st.lists(st.sampled_from([-3.0, 0.0, 0.5, 1e4]), min_size=3, max_size=3),
            min_size=n,
            max_size=n,
        ),
        st.lists(st.sampled_from([0.0, 1e-6, 0.5, 1.0]), min_size=n, max_size=n),
        st.integers(1, n),
        st.integers(0, 5),
    )
)


@settings(deadline=None)
@given(clouds)
def test_exactly_the_count_distinct_and_ascending_whatever_coincides(case):
    rows, weights, count, sweeps = case
    samples, mass = torch.tensor(rows), torch.tensor(weights)
    for picks in (
        lbg.representatives(samples, mass, count, sweeps),
        lbg.refine(samples, mass, count, sweeps),
    ):
        kept = picks.tolist()
        assert kept == sorted(set(kept)) and len(kept) == count
        positive = int((mass > 0).sum())
        assert int((mass[picks] > 0).sum()) == min(count, positive)


def test_more_points_than_rows_are_refused():
    with pytest.raises(ValueError, match="between 1 and 4 rows, got 5"):
        lbg.representatives(draws(4, 2), torch.ones(4), 5, 2)


def test_every_cluster_gets_a_representative_at_its_middle():
    centres = 20 * torch.arange(6.0).unsqueeze(1)
    samples = (centres.unsqueeze(1) + 0.1 * draws(6, 30, 1)).flatten(0, 1)
    picks = lbg.representatives(samples, torch.ones(180), 6, 20)
    assert (picks // 30).tolist() == list(range(6))
    assert float((samples[picks] - centres).norm(dim=1).max()) < 0.2


def test_weights_draw_the_points_to_themselves():
    samples = torch.linspace(0, 1, 101).unsqueeze(1)
    weights = torch.where(samples.squeeze(1) > 0.9, 50.0, 1.0)
    heavy = lbg.representatives(samples, weights, 8, 10)
    even = lbg.representatives(samples, torch.ones(101), 8, 10)
    assert int((heavy > 90).sum()) > int((even > 90).sum())


def test_memory_is_bounded_by_chunks_that_change_nothing(monkeypatch):
    samples, weights = draws(300, 5), torch.ones(300)
    whole = lbg.representatives(samples, weights, 20, 3)
    monkeypatch.setattr(lbg, "_ENTRIES", 20 * 7)
    assert torch.equal(lbg.representatives(samples, weights, 20, 3), whole)


def test_sweeps_that_gain_less_than_the_tolerance_are_the_last():
    samples = draws(400, 2)
    found = lbg.lloyd(samples, samples[:8], torch.ones(400), 100, tolerance=1e-3)
    gains = torch.tensor(found.distortions).diff().neg()
    assert len(found.distortions) < 101
    assert float(gains[-1]) <= 1e-3 < float(gains[:-1].min())


def test_an_empty_cell_moves_to_a_badly_represented_sample():
    samples = torch.tensor([[0.0], [1.0], [10.0]])
    far = torch.tensor([[0.0], [-1e3]])
    found = lbg.lloyd(samples, far, torch.ones(3), 2)
    assert sorted(found.points.flatten().tolist()) == [0.5, 10.0]


def test_rows_of_a_batch_are_refined_as_if_alone():
    points, mask = draws(3, 30, 8), torch.arange(30) < torch.tensor([[30], [17], [0]])
    weights = torch.rand(3, 30, generator=torch.Generator().manual_seed(2)).double()
    found = lbg.refine_rows(points, weights, mask, torch.tensor([9, 5, 0]), 3)
    assert torch.equal(found[0], lbg.refine(points[0], weights[0], 9, 3))
    assert torch.equal(found[1, :5], lbg.refine(points[1, :17], weights[1, :17], 5, 3))
    assert found[1, 5:].tolist() == [30] * 4 and found[2].tolist() == [30] * 9


def test_the_sign_of_a_principal_direction_does_not_matter():
    points, weights = draws(120, 5).exp(), torch.ones(120)
    mirrored = points * torch.tensor([-1.0, 1, -1, 1, -1])
    assert torch.equal(lbg.refine(points, weights, 20, 4), lbg.refine(mirrored, weights, 20, 4))


@pytest.mark.parametrize("dimensions", [1, 2, 7])
def test_the_net_is_more_even_than_random_points(dimensions):
    net = number_theoretic_net(128, dimensions)
    random = torch.rand(
        128, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert net.shape == (128, dimensions) and bool(((net > 0) & (net < 1)).all())
    assert torch.equal(net, number_theoretic_net(128, dimensions))
    assert _discrepancy(net) < 0.5 * _discrepancy(random)


def _discrepancy(points: torch.Tensor) -> float:
    """Squared centred L2 discrepancy (F. Hickernell, 1998)."""
    z = (points - 0.5).abs()
    pairs = 1 + (z.unsqueeze(1) + z - (points.unsqueeze(1) - points).abs()) / 2
    first = (13 / 12) ** points.shape[1]
    return float(first - 2 * (1 + (z - z.square()) / 2).prod(1).mean() + pairs.prod(2).mean())


def test_one_dimension_starts_at_equal_probability_cells():
    assert number_theoretic_net(4, 1).flatten().tolist() == [0.125, 0.375, 0.625, 0.875]


def test_the_net_follows_weighted_quantiles_and_the_normal_law():
    samples = torch.arange(100.0).unsqueeze(1)
    weights = torch.where(samples.squeeze(1) < 50, 3.0, 1.0)
    found = through_quantiles(number_theoretic_net(4, 1), samples, weights)
    assert found.flatten().tolist() == [8, 24, 41, 74]
    normal = through_normal(number_theoretic_net(4001, 3))
    assert float(normal.mean(0).abs().max()) < 0.01
    assert normal.std(0).tolist() == pytest.approx([1, 1, 1], abs=0.01)


@pytest.mark.parametrize("moments", ["plain", "robust"])
@pytest.mark.parametrize("count", [1, 7, 48, 95, 96])
def test_the_refined_selection_keeps_exactly_the_count(count, moments):
    config = SelectionConfig(refine_iterations=3, moments=moments)
    features = draws(96, 24)
    first = select_pairs(features, count, config, 0).pairs.tolist()
    assert first == sorted(set(first)) and len(first) == count
    assert first == select_pairs(features, count, config, 1).pairs.tolist()


@pytest.mark.parametrize("moments", ["plain", "robust"])
@pytest.mark.parametrize("features", [torch.full((40, 8), 3.7), draws(40, 60) * 1e-3 + 40])
def test_constant_and_offset_features_are_no_trouble(features, moments):
    config = SelectionConfig(refine_iterations=2, moments=moments)
    chosen = select_pairs(features, 10, config, 0)
    assert len(set(chosen.pairs.tolist())) == 10
    assert bool(chosen.scores.isfinite().all())


@pytest.mark.parametrize("query", ["none", "learned"])
def test_refinement_is_built(query: str):
    selection = SelectionConfig(query=query, refine_iterations=2)
    assert unsupported(Config(selection=selection)) == []


def test_robust_moments_need_a_video_alone():
    with pytest.raises(ValueError, match="moments 'robust' needs query 'none'"):
        SelectionConfig(moments="robust", query="learned")


def test_robust_moments_of_gaussian_features_are_nearly_the_plain_ones():
    features = draws(600, 6) * torch.tensor([4.0, 3, 2, 1, 1, 1])
    plain, careful = (fit(features, 6).own.norm(dim=1) for fit in (gaussian.fit, robust.fit))
    assert float(torch.corrcoef(torch.stack((plain, careful)))[0, 1]) > 0.99
    assert float(careful.mean() / plain.mean()) == pytest.approx(1, abs=0.1)


def test_many_equal_outliers_hide_from_plain_moments_and_not_from_robust_ones():
    features = draws(200, 8)
    features[40:80] += 12
    outside = torch.zeros(200, dtype=torch.bool)
    outside[40:80] = True
    plain, careful = (fit(features, 8).own.norm(dim=1) for fit in (gaussian.fit, robust.fit))
    assert float(plain[outside].min()) < float(plain[~outside].max())
    assert float(careful[outside].min()) > 2 * float(careful[~outside].max())


def test_robust_weights_are_one_at_the_centre_and_fall_outside():
    rows = draws(400, 4)
    rows[:20] *= 50
    weights = robust.robust_weights(rows)
    assert float(weights[:20].max()) < 0.5
    assert float((weights[20:] == 1).float().mean()) > 0.9


def test_chi_square_quantiles_are_those_of_the_tables():
    assert chi_square_quantile(0.975, 16) == pytest.approx(28.845, abs=1e-3)
    assert chi_square_quantile(0.5, 2) == pytest.approx(1.38629, abs=1e-4)
    assert float(chi_square_share(torch.tensor(9.488), 4)) == pytest.approx(0.95, abs=1e-4)


def test_low_rank_distances_survive_a_vanishing_diagonal():
    factor, x = draws(20, 3), draws(50, 20, seed=1)
    law = LowRankGaussian(mean=torch.zeros(20), factor=factor, diagonal=torch.full((20,), 1e-4))
    dense = factor.double() @ factor.double().T + 1e-4 * torch.eye(20).double()
    exact = (x.double() * torch.linalg.solve(dense, x.double().T).T).sum(1)
    assert torch.allclose(law.squared_distances(x).double(), exact, rtol=1e-4)
