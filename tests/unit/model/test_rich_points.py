"""Context of points: cells, pooling, gradient to the scores, nothing at the first step."""

import pytest
import torch

from ntlbg_model.config import RichPointsConfig
from ntlbg_model.geometry.connector_size import CONTEXT_WIDTH
from ntlbg_model.inputs.points import candidate_statistics, cell_context
from ntlbg_model.tokens.points import (
    CellContext,
    VideoPoints,
    attention_pool,
    members,
    voronoi_cells,
)
from ntlbg_model.tokens.rich_points import RichPoints, appended, coarser

PAIRS = torch.tensor([1, 4, 9])


def context(candidates: int = 12, width: int = 5) -> CellContext:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(candidates, width, generator=generator)
    return CellContext(
        features=features,
        scores=features[:, 0].clone().requires_grad_(),
        cells=voronoi_cells(PAIRS, candidates),
        inclusion=torch.full((candidates,), 0.25),
        distances=features.norm(dim=1),
    )


POINTS = VideoPoints(pairs=PAIRS, times=PAIRS / 4)


def rich(**options: object) -> RichPoints:
    torch.manual_seed(0)
    return RichPoints(6, 5, RichPointsConfig(enabled=True, feature_dim=8, **options))


def grid(pairs: int = 3) -> torch.Tensor:
    return torch.randn(pairs, 4, 4, 6, generator=torch.Generator().manual_seed(1))


def woken(module: RichPoints) -> RichPoints:
    """As after a first step: the zero projections are no longer zero."""
    for name, weight in module.named_parameters():
        if name.endswith("leave.weight"):
            torch.nn.init.normal_(weight)
    return module


def test_cells_belong_to_the_nearest_point():
    assert voronoi_cells(PAIRS, 12).tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    assert voronoi_cells(torch.tensor([1, 3]), 5).tolist() == [0, 0, 0, 1, 1]
    assert voronoi_cells(torch.tensor([2]), 4).tolist() == [0, 0, 0, 0]


def test_pooling_is_a_softmax_within_each_cell():
    found = context()
    pooled = attention_pool(found.features, found.scores, found.cells, 3)
    for cell in range(3):
        inside = found.cells == cell
        weights = found.scores[inside].softmax(0)
        assert torch.allclose(pooled[cell], weights @ found.features[inside], atol=1e-6)


def test_large_scores_do_not_overflow_and_an_empty_cell_is_zero():
    scores = torch.tensor([1e4, 1e4 - 1, -1e4])
    pooled = attention_pool(torch.eye(3), scores, torch.tensor([0, 0, 2]), 3)
    assert torch.allclose(pooled[0, :2], torch.tensor([1.0, 0.0]).softmax(0))
    assert pooled[1].tolist() == [0, 0, 0] and pooled[2].tolist() == [0, 0, 1]


@pytest.mark.parametrize(("window", "reach"), [(1, 0), (4, 1), (64, 16)])
def test_a_window_counts_frames_around_the_point(window: int, reach: int):
    owners, found = members(POINTS, context(), window)
    for point, pair in enumerate(PAIRS.tolist()):
        expected = [t for t in range(12) if abs(t - pair) <= reach]
        assert found[owners == point].tolist() == expected


@pytest.mark.parametrize("window", [0, 4])
def test_every_pooled_pair_gets_gradient_through_its_score(window: int):
    found = context()
    woken(rich(context_window_size=window))(grid(), POINTS, found).square().sum().backward()
    _, pooled = members(POINTS, found, window)
    alone = torch.bincount(members(POINTS, found, window)[0], minlength=3) == 1
    assert not alone.any()
    assert (found.scores.grad[pooled.unique()] != 0).all()


def test_the_first_step_sees_plain_frames():
    x = grid()
    assert torch.equal(rich()(x, POINTS, context()), x)
    assert not torch.equal(woken(rich())(x, POINTS, context()), x)


def test_context_moves_a_pair_as_a_whole():
    module = woken(rich(multi_scale="appended"))
    gained = module(grid(), POINTS, context()) - grid()
    assert module.scales is None
    assert torch.allclose(gained, gained[:, :1, :1].expand_as(gained), atol=1e-5)
    assert not torch.allclose(gained[0], gained[1])


def test_a_change_elsewhere_in_time_does_not_reach_a_point():
    module, found = woken(rich()), context()
    features = found.features.clone()
    features[found.cells == 2] += torch.arange(5)
    other = CellContext(**{**vars(found), "features": features})
    a, b = (module(grid(), POINTS, part) for part in (found, other))
    assert torch.equal(a[:2], b[:2]) and not torch.allclose(a[2], b[2])


def test_coarser_scales_of_a_hand_case():
    x = torch.arange(16.0).view(1, 4, 4, 1)
    found = coarser(x)[0]
    assert found[0, 0].tolist() == [2.5, 7.5] and found[3, 2].tolist() == [12.5, 7.5]
    assert appended(x).flatten().tolist() == [*range(16), 2.5, 4.5, 10.5, 12.5, 7.5]
    assert coarser(torch.randn(2, 3, 1, 4)).shape == (2, 3, 1, 8)


def test_the_context_of_pixels_serves_any_selection():
    pixels = torch.randint(0, 256, (40, 28, 28, 3), dtype=torch.uint8)
    features, distances = candidate_statistics(pixels, rank=4)
    found = cell_context(features, distances, PAIRS)
    assert features.shape == (20, CONTEXT_WIDTH)
    assert found.cells.tolist() == voronoi_cells(PAIRS, 20).tolist()
    assert found.inclusion.sum().item() == pytest.approx(3)
    assert found.scores.argmax() == distances.argmax()
    still = cell_context(*candidate_statistics(torch.zeros_like(pixels), rank=4), PAIRS)
    assert torch.isfinite(still.scores).all()
