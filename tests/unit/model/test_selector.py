"""The learned selector's parts: rows stand alone, masks hold, half precision and edges are safe."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import Config, LossConfig, ModelConfig, SelectionConfig, TrainingConfig
from ntlbg_model.geometry.selector_size import FEATURE_WIDTHS, selector_parameters
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import pick, time_cells
from ntlbg_model.selection.conditioned import QuestionGaussian, conditioned_distances
from ntlbg_model.selection.contour import contour_level, off_contour
from ntlbg_model.selection.draw import systematic
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.index import index_points, project
from ntlbg_model.selection.lbg import refine
from ntlbg_model.selection.ntlbg import floored
from ntlbg_model.selection.selector import NTLBGSelector, Scored, standardised

WIDTH, QUESTION = 12, 10


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(**options: object) -> NTLBGSelector:
    torch.manual_seed(0)
    config = SelectionConfig(query="learned", rank=6, query_rank=3, **options)  # type: ignore[arg-type]
    return NTLBGSelector(config, WIDTH, QUESTION, 16)


def score(
    selector: NTLBGSelector,
    features: torch.Tensor,
    mask: torch.Tensor | None = None,
    similarity: torch.Tensor | None = None,
) -> Scored:
    index = selector.prepare(features, mask)
    rows = features.shape[0]
    tokens = draws(1, 7, QUESTION, seed=5).expand(rows, -1, -1)
    return selector.score(index, tokens, torch.ones(rows, 7, dtype=torch.bool), 8, similarity)


MODES = (
    {},
    {"contour": "learned", "constraint_type": "soft_equicontour"},
    {"contour": "median", "constraint_type": "soft_equicontour"},
    {"contour": "quantile", "constraint_type": "hard_equicontour"},
    {"contour": "rate", "constraint_type": "soft_equicontour", "learned_floor": True},
    {"suppress_secondary_peaks": 0.4, "empty_cell_policy": "typical"},
)


@pytest.mark.parametrize("options", MODES, ids=str)
def test_a_row_is_the_same_alone_in_a_batch_and_padded(options):
    selector = build(**options)
    lengths = (40, 23, 9)
    rows = [draws(1, n, WIDTH, seed=n) for n in lengths]
    batch, mask = torch.full((3, 48, WIDTH), 7.0), torch.zeros(3, 48, dtype=torch.bool)
    for row, (n, own) in enumerate(zip(lengths, rows, strict=True)):
        batch[row, :n], mask[row, :n] = own[0], True
    counts = torch.tensor([8, 8, 5])
    with torch.no_grad():
        together = score(selector, batch, mask)
    chosen = selector.select(together, counts)
    for row, (n, own) in enumerate(zip(lengths, rows, strict=True)):
        with torch.no_grad():
            alone = score(selector, own)
        assert torch.allclose(together.scores[row, :n], alone.scores[0], atol=1e-5)
        assert torch.allclose(together.mass[row, :n], alone.mass[0], atol=1e-6)
        assert torch.allclose(together.level[row], alone.level[0], atol=1e-5)
        single = selector.select(alone, int(counts[row]))
        kept = int(counts[row])
        assert torch.equal(chosen.pairs[row, :kept], single.pairs[0])
        assert chosen.pairs[row, kept:].tolist() == [48] * (8 - kept)
        assert float(together.mass[row, n:].abs().sum()) == 0
        assert float(chosen.probabilities[row].sum()) == pytest.approx(kept)


def test_masked_pairs_are_never_chosen():
    selector = build()
    mask = torch.rand(6, 50, generator=torch.Generator().manual_seed(1)) < 0.5
    features = draws(6, 50, WIDTH)
    features[~mask] = 1e4
    scored = score(selector, features, mask)
    counts = torch.tensor([1, 3, 8, 10, 12, 15])
    for start in (None, torch.linspace(0, 0.999, 6)):
        pairs = selector.select(scored, counts, start).pairs
        for row, count in enumerate(counts.tolist()):
            kept = pairs[row, :count]
            assert bool(mask[row, kept].all()) and bool((kept.diff() > 0).all())
            assert bool((pairs[row, count:] == 50).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_cost_only_their_rounding(dtype):
    selector = build()
    features = draws(2, 64, WIDTH) + 3
    exact, found = score(selector, features), score(selector, features.to(dtype))
    assert found.distances.dtype == torch.float32
    error = (found.distances - exact.distances).detach().abs() / exact.distances.detach()
    assert float(error.max()) <= 2e-2


EDGES = {
    "constant": (torch.full((2, 20, WIDTH), 3.7), None),
    "zeros": (torch.zeros(2, 20, WIDTH), None),
    "one pair": (draws(2, 1, WIDTH), None),
    "two equal pairs": (draws(2, 1, WIDTH).expand(-1, 2, -1).contiguous(), None),
    "far": (draws(2, 20, WIDTH) * 1e-3 + 50, None),
    "masked row": (draws(2, 20, WIDTH), torch.tensor([[True] * 20, [False] * 20])),
    "one unmasked": (draws(2, 20, WIDTH), torch.tensor([[True] * 20, [True] + [False] * 19])),
}


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize("edge", EDGES)
def test_no_input_gives_nan_in_value_or_gradient(edge, options):
    features, mask = EDGES[edge]
    selector = build(**options)
    similarity = torch.ones(features.shape[:2])
    scored = score(selector, features, mask, similarity)
    for field in fields(scored):
        assert not getattr(scored, field.name).isnan().any(), field.name
    live = scored.mass.sum(-1) > 0
    mass = scored.mass[live]
    (mass * torch.linspace(0, 1, mass.shape[1])).sum().backward()
    for name, weight in selector.named_parameters():
        assert weight.grad is None or bool(weight.grad.isfinite().all()), name


def test_a_masked_row_has_no_mass():
    with torch.no_grad():
        scored = score(build(), *EDGES["masked row"])
    assert float(scored.mass[1].sum()) == 0
    assert bool((scored.scores[1] == -torch.inf).all())


def test_the_product_gaussian_equals_the_dense_formula():
    rank, factor_rank, pairs = 5, 2, 30
    points = draws(1, pairs, rank) * torch.linspace(0.5, 4, rank) + 2
    index = index_points(points)
    question = QuestionGaussian(
        target=draws(1, rank, seed=1),
        factor=draws(1, rank, factor_rank, seed=2),
        diagonal=draws(1, rank, seed=3).abs() + 0.1,
        tempering=torch.tensor([[0.3]]),
    )
    z = points[0].double() - points[0].double().mean(0)
    covariance = z.T @ z / pairs
    covariance = 0.9 * covariance + 0.1 * covariance.trace() / rank * torch.eye(rank).double()
    deviation = covariance.diagonal().sqrt()
    v = question.factor[0].double()
    own = v @ v.T + question.diagonal[0].double().diag()
    own = own / deviation.outer(deviation)
    precision = 0.3 * covariance.inverse() + own
    centre = precision.inverse() @ own @ (deviation * question.target[0].double())
    expected = ((z - centre) @ precision * (z - centre)).sum(1).sqrt()
    found = conditioned_distances(index, question)[0].double()
    assert torch.allclose(found, expected, rtol=1e-4)


def test_without_a_question_the_product_is_the_videos_own_gaussian():
    index = index_points(draws(2, 40, 6))
    nothing = QuestionGaussian(
        target=torch.zeros(2, 6),
        factor=torch.zeros(2, 6, 1),
        diagonal=torch.full((2, 6), 1e-12),
        tempering=torch.ones(2, 1),
    )
    distance = conditioned_distances(index, nothing)
    centred = distance - distance.mean(1, keepdim=True)
    assert torch.allclose(centred, index.information, atol=1e-4)


def test_projection_of_half_precision_is_block_by_block_the_same():
    features, directions = draws(2, 700, 16), draws(16, 4, seed=1)
    exact = features.half().double() @ directions.double()
    assert torch.allclose(project(features.half(), directions).double(), exact, atol=1e-4)
    assert torch.allclose(project(features, directions), features @ directions, atol=1e-4)


def test_index_is_centred_and_its_precision_inverts_the_covariance():
    index = index_points(draws(3, 50, 5) + 100)
    assert float(index.points.mean(1).abs().max()) < 1e-3
    product = index.covariance @ index.precision
    assert torch.allclose(product, torch.eye(5).expand(3, -1, -1), atol=1e-3)
    assert float(index.information.sum(1).abs().max()) < 1e-3


def test_a_floor_of_one_gives_uniform_cells():
    selector = build(uniform_floor=1.0)
    chosen = selector.select(score(selector, draws(2, 48, WIDTH)), 8)
    assert torch.allclose(chosen.probabilities, torch.full((2, 48), 1 / 6, dtype=torch.float64))
    assert chosen.cells.tolist() == [[k // 6 for k in range(48)]] * 2


def test_where_nothing_stands_out_a_cell_keeps_its_middle():
    even = torch.zeros(1, 48)
    mask = torch.ones_like(even, dtype=torch.bool)
    scored = score(build(), draws(1, 48, WIDTH))
    flat = replace(scored, scores=even, mass=even + 1 / 48)
    assert build().select(flat, 8).pairs.tolist() == [[6 * k + 2 for k in range(8)]]
    mask[:, 24:] = False
    half = replace(scored, scores=even.masked_fill(~mask, -torch.inf), mass=mask / 24)
    assert build().select(half, 4).pairs.tolist() == [[6 * k + 2 for k in range(4)]]
    peaked = flat.mass.clone()
    peaked[0, 13] *= 3
    told = replace(flat, mass=peaked / peaked.sum(), scores=even.index_fill(1, torch.tensor(13), 1))
    assert 13 in build().select(told, 8).pairs[0].tolist()
    assert 13 not in build(min_prominence=4.0).select(told, 8).pairs[0].tolist()


def test_where_one_moment_towers_lesser_peaks_are_not_kept():
    scored = score(build(), draws(1, 48, WIDTH))
    scores = torch.zeros(1, 48)
    scores[0, 13], scores[0, 37] = 6 * 0.7, 4 * 0.7
    two = replace(scored, scores=scores, mass=floored(scores / 0.7, 0.5))
    share = (scores / 0.7).softmax(-1)[0]
    limit = float(share[37] / share.square().sum())
    for least, kept in ((0.0, True), (0.99 * limit, True), (1.01 * limit, False)):
        pairs = build(suppress_secondary_peaks=least).select(two, 8).pairs[0].tolist()
        assert 13 in pairs and (37 in pairs) is kept
    scores[0, 37] = scores[0, 13]
    level = replace(two, scores=scores, mass=floored(scores / 0.7, 0.5))
    pairs = build(suppress_secondary_peaks=1.0).select(level, 8).pairs[0].tolist()
    assert 13 in pairs and 37 in pairs


def test_a_quiet_cell_keeps_its_most_typical_pair():
    selector = build(empty_cell_policy="typical")
    mask = torch.arange(48) < torch.tensor([[48], [24]])
    scored = score(selector, draws(2, 48, WIDTH), mask)
    scores = torch.zeros(2, 48).masked_fill(~mask, -torch.inf)
    flat = replace(scored, scores=scores, mass=mask / mask.sum(-1, keepdim=True))
    chosen = selector.select(flat, torch.tensor([8, 4]))
    for row, count in enumerate((8, 4)):
        cells = scored.information[row, : 6 * count].view(count, 6)
        ordinary = [6 * k + int(cell.argmin()) for k, cell in enumerate(cells)]
        assert chosen.pairs[row, :count].tolist() == ordinary
    assert chosen.pairs[1, 4:].tolist() == [48] * 4


def test_selecting_is_deterministic_and_a_start_draws_by_probability():
    selector = build(min_prominence=0.0)
    with torch.no_grad():
        scored = score(selector, draws(1, 60, WIDTH))
    first, second = selector.select(scored, 8), selector.select(scored, 8)
    assert torch.equal(first.pairs, second.pairs)
    starts = (torch.arange(1000) + 0.5) / 1000
    many = Scored(**{f.name: getattr(scored, f.name).expand(1000, -1) for f in fields(scored)})
    drawn = selector.select(many, 8, starts)
    frequency = drawn.pairs.flatten().bincount(minlength=60) / 1000
    assert float((frequency - first.probabilities[0]).abs().max()) <= 2e-3
    best = [
        int(scored.scores[0].masked_fill(first.cells[0] != c, -torch.inf).argmax())
        for c in range(8)
    ]
    assert first.pairs[0].tolist() == best


def test_refined_picks_represent_what_the_question_wants():
    plain, refined = build(), build(refine_iterations=3)
    mask = torch.arange(48) < torch.tensor([[48], [29]])
    counts = torch.tensor([8, 5])
    with torch.no_grad():
        scored = score(refined, draws(2, 48, WIDTH), mask)
        index = refined.prepare(draws(2, 48, WIDTH), mask)
    chosen = refined.select(scored, counts)
    assert plain.refine(index, chosen, counts) is chosen
    found = refined.refine(index, chosen, counts)
    for row, (there, count) in enumerate(((48, 8), (29, 5))):
        points = index.points[row, :there]
        factor = torch.linalg.cholesky(torch.linalg.inv(index.covariance[row]))
        weights = chosen.probabilities[row, :there]
        wanted = refine(points @ factor, weights, count, 3)
        assert torch.equal(found.pairs[row, :count], wanted)
        assert (wanted.diff() > 0).all() and wanted[-1] < there
    assert found.pairs[1, 5:].tolist() == [48] * 3
    assert not torch.equal(found.pairs, chosen.pairs)
    assert found.gate.shape == found.pairs.shape and not found.gate.any()


def test_the_parameters_are_those_that_memory_counts():
    for options in ({}, {"rank": 9, "query_rank": 2, "features": "backbone"}):
        selection = SelectionConfig(query="learned", **options)  # type: ignore[arg-type]
        for aligned in (False, True):
            config = Config(
                selection=selection,
                model=ModelConfig(ntlbg_hidden_size=24),
                training=TrainingConfig(loss=LossConfig(feature_alignment=float(aligned))),
            )
            width = FEATURE_WIDTHS[selection.features]
            built = NTLBGSelector(selection, width, QUESTION, 24, aligned=aligned)
            found = sum(weight.numel() for weight in built.parameters())
            assert found == selector_parameters(config, QUESTION)
    pixels = torch.zeros(2, 28, 28, 3, dtype=torch.uint8)
    assert pair_features(pixels).shape[1] == FEATURE_WIDTHS["pixels"]


def test_the_gate_is_zero_and_has_the_gradient_of_log_p():
    selector = build()
    scored = score(selector, draws(2, 30, WIDTH))
    chosen = selector.select(scored, torch.tensor([6, 4]), torch.tensor([0.2, 0.7]))
    assert float(chosen.gate.detach().abs().max()) == 0
    weights = draws(2, 6, seed=3)
    kept = chosen.pairs < 30
    safe = chosen.pairs.clamp(max=29)
    log = chosen.probabilities.gather(1, safe).log()
    wanted = (weights * torch.where(kept, log, torch.zeros_like(log))).sum()
    parameters = [p for p in selector.parameters() if p.requires_grad]
    by_gate, by_log = (
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for loss in ((weights * chosen.gate).sum(), wanted)
    )
    assert any(g is not None and float(g.abs().sum()) > 0 for g in by_gate)
    for left, right in zip(by_gate, by_log, strict=True):
        assert (left is None) == (right is None)
        assert left is None or torch.allclose(left, right, rtol=1e-4, atol=1e-7)


def test_task_gradient_reaches_every_part_of_the_selector():
    selector = build(contour="learned", constraint_type="soft_equicontour", learned_floor=True)
    scored = score(selector, draws(2, 30, WIDTH), similarity=draws(2, 30, seed=9))
    chosen = selector.select(scored, 6, torch.tensor([0.1, 0.6]))
    (chosen.gate * draws(2, 6, seed=1)).sum().backward()
    reached = {
        name
        for name, p in selector.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }
    assert {
        "directions",
        "gaussian.target.weight",
        "gaussian.diagonal.bias",
        "shape.bias",
    } <= reached
    assert {"gaussian.factor.weight", "gaussian.tempering.bias", "encoder.weigh.weight"} <= reached
    assert bool((selector.shape.bias.grad != 0).all())


batches = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(
            st.lists(st.floats(0, 1e6, width=32), min_size=n, max_size=n), min_size=3, max_size=3
        ),
        st.lists(st.integers(1, n), min_size=3, max_size=3),
        st.integers(0, 12),
    )
)


@settings(deadline=None, max_examples=150)
@given(batches)
def test_batched_sampling_does_not_depend_on_company_or_padding(case):
    masses, counts, padding = case
    mass = torch.nn.functional.pad(torch.tensor(masses).double(), (0, padding))
    pairs = len(masses[0])
    present = torch.arange(pairs + padding) < pairs
    # Masked pairs are zero: a row needs as many positive masses as picks to leave them out.
    mass = torch.where(present, mass.clamp(min=1e-3), mass)
    wanted = torch.tensor(counts)
    p = inclusion_probabilities(mass, wanted)
    cells = time_cells(p, wanted)
    starts = torch.tensor([0.0, 0.37, 0.99])
    drawn = systematic(p, wanted, starts)
    scores = torch.where(present, mass, -torch.inf)
    best = pick(scores, cells, max(counts))
    assert float(p[:, pairs:].sum()) == 0
    for row, count in enumerate(counts):
        own = inclusion_probabilities(mass[row, :pairs], count)
        assert torch.allclose(p[row, :pairs], own, atol=1e-12)
        assert torch.equal(cells[row, :pairs], time_cells(own, count))
        for found in (drawn[row], best[row]):
            kept = found[:count].tolist()
            assert kept == sorted(set(kept)) and kept[-1] < pairs
            assert found[count:].tolist() == [pairs + padding] * (max(counts) - count)
        assert torch.equal(drawn[row, :count], systematic(own, count, starts[row]))


def test_masses_of_thirty_orders_cap_the_same_alone_and_in_company():
    source = torch.Generator().manual_seed(3)
    for _ in range(50):
        mass = (20 * torch.randn(2, 40, generator=source)).double().exp()
        both = inclusion_probabilities(mass, torch.tensor([17, 24]))
        assert torch.allclose(both[0], inclusion_probabilities(mass[0], 17), atol=1e-12)
        assert both.sum(-1).tolist() == pytest.approx([17, 24])


def test_equal_probabilities_keep_their_cells_through_rounding():
    for noise in (-1, 0, 1):
        p = torch.full((96,), 0.25, dtype=torch.float64) * (1 + noise * 2.0**-52)
        assert time_cells(p, 24).tolist() == [t // 4 for t in range(96)]
        assert systematic(p, 24, torch.tensor(0.0)).tolist() == list(range(0, 96, 4))


def test_contour_level_of_a_row_ignores_masked_distances():
    distances = draws(3, 25).abs()
    mask = torch.arange(25) < torch.tensor([[25], [11], [3]])
    for mode in ("median", "quantile", "rate", "zero"):
        options = {"count": 4, "rank": 6, "quantile": 0.9}
        found = contour_level(distances.masked_fill(~mask, 1e6), mode, mask=mask, **options)
        for row, n in enumerate((25, 11, 3)):
            alone = contour_level(distances[row, :n], mode, **options)
            assert float(found[row]) == pytest.approx(float(alone), rel=1e-5)


def test_off_contour_is_zero_on_the_contour_and_even_about_it():
    found = off_contour(torch.tensor([0.5, 1.0, 1.5]), torch.tensor([1.0]), 0.25)
    assert found.tolist() == [2.0, 0.0, 2.0]


def test_floored_mass_sums_to_one_and_keeps_the_floor():
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    mass = floored(10 * draws(2, 9), 0.3, mask)
    assert mass.sum(-1).tolist() == pytest.approx([1, 1])
    assert float(mass[0].min()) >= 0.3 / 9 - 1e-7 and float(mass[1, :4].min()) >= 0.3 / 4 - 1e-7
    assert float(mass[1, 4:].sum()) == 0


def test_standardised_rows_have_mean_zero_and_deviation_one():
    mask = torch.arange(9) < torch.tensor([[9], [4], [0]])
    found = standardised(5 * draws(3, 9) + 2, mask)
    assert found[0].mean() == pytest.approx(0, abs=1e-6)
    assert float(found[1, :4].square().mean()) == pytest.approx(1, rel=1e-5)
    assert float(found[2].abs().sum()) == 0
