"""Each loss term falls when what it names improves, and not by moving the Gaussian alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ntlbg_model.config import LossConfig
from ntlbg_model.learning import losses
from ntlbg_model.learning.loss_schedule import AUXILIARY, loss_weights
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import time_cells
from ntlbg_model.selection.conditioned import QuestionGaussian, conditioned_distances
from ntlbg_model.selection.index import index_points

P, R, K = 48, 4, 8
EVERY = torch.ones(1, P, dtype=torch.bool)

Term = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of probabilities, points, distances and mask."""


def contour(p: Tensor, z: Tensor, d: Tensor, mask: Tensor) -> Tensor:
    return losses.ntlbg_constraint(p, d, torch.ones(len(p), 1), mask)


def alignment(p: Tensor, z: Tensor, d: Tensor, mask: Tensor) -> Tensor:
    pooled = (p.float().unsqueeze(-1) * z.detach()).sum(1) / K
    question, others = torch.eye(R)[:1].expand(len(p), -1), torch.eye(R)[1:].expand(len(p), -1, -1)
    return losses.feature_alignment(
        pooled, question, others, torch.ones(others.shape[:2], dtype=torch.bool)
    )


def preservation(p: Tensor, z: Tensor, d: Tensor, mask: Tensor) -> Tensor:
    return losses.information_preservation(p, z, time_cells(p.detach(), K), mask)


TERMS: dict[str, Term] = {
    "ntlbg_constraint": contour,
    "feature_alignment": alignment,
    "statistical_distribution": lambda p, z, d, mask: losses.statistical_distribution(p, z, mask),
    "structural_similarity": lambda p, z, d, mask: losses.structural_similarity(p, z, mask),
    "temporal_coherence": lambda p, z, d, mask: losses.temporal_coherence(p, z, mask),
    "information_preservation": preservation,
    "diversity_regularization": lambda p, z, d, mask: losses.diversity_regularization(p, z, mask),
}


def points(seed: int = 0) -> Tensor:
    return torch.randn(1, P, R, generator=torch.Generator().manual_seed(seed))


def keep(kept: list[int]) -> Tensor:
    p = torch.zeros(1, P, dtype=torch.float64)
    p[0, kept] = 1
    return p


def spread_out() -> Tensor:
    return keep(list(range(3, P, 6)))


def value(name: str, p: Tensor, z: Tensor, d: Tensor | None = None) -> float:
    return float(TERMS[name](p, z, torch.zeros(1, P) if d is None else d, EVERY))


def test_the_constraint_falls_when_what_is_kept_lies_nearer_to_the_contour():
    d = torch.linspace(0, 2, P).unsqueeze(0)
    at, off = keep(list(range(20, 28))), keep(list(range(30, 38)))
    wide = keep(list(range(3, P, 6)))
    assert value("ntlbg_constraint", at, points(), d) < 0.1
    assert value("ntlbg_constraint", at, points(), d) < value("ntlbg_constraint", off, points(), d)
    assert value("ntlbg_constraint", at, points(), d) < value("ntlbg_constraint", wide, points(), d)


def test_the_constraint_has_no_scale():
    d, level = torch.rand(1, P), torch.full((1, 1), 0.4)
    one = losses.ntlbg_constraint(spread_out(), d, level, EVERY)
    ten = losses.ntlbg_constraint(spread_out(), 10 * d, 10 * level, EVERY)
    assert torch.allclose(one, ten, rtol=1e-4)


def test_alignment_falls_when_pairs_that_match_the_question_are_kept():
    z = 0.1 * points()
    z[0, 10:18, 0] += 1
    z[0, 30:38, 1] += 1
    right, wrong = keep(list(range(10, 18))), keep(list(range(30, 38)))
    assert value("feature_alignment", right, z) < value("feature_alignment", wrong, z) - 1


def test_distribution_alignment_falls_when_the_selection_is_like_the_video():
    z = points()
    z[0, 24:] += 3
    half = keep(list(range(3, 11)))
    name = "statistical_distribution"
    assert value(name, spread_out(), z) < 0.5 * value(name, half, z)


def test_structure_alignment_falls_when_spans_keep_their_similarities():
    z = points()
    z = torch.cat((z[:, :1].expand(1, 24, R), z[:, 1:2].expand(1, 24, R)), dim=1).clone()
    outliers = list(range(2, P, 6))
    z[0, outliers] = 4 * points(1)[0, outliers]
    name = "structural_similarity"
    assert value(name, spread_out(), z) < value(name, keep(outliers), z) - 0.1


def test_coherence_falls_when_the_pairs_between_can_be_interpolated():
    z = torch.linspace(0, 1, P).view(1, P, 1).expand(1, P, R)
    first = keep(list(range(K)))
    assert value("temporal_coherence", spread_out(), z) < 0.1
    assert value("temporal_coherence", first, z) > 1


def test_preservation_falls_when_representatives_stand_for_their_cells():
    steps = points().repeat_interleave(6, dim=1)[:, :P]
    # A pair of certain inclusion ends its cell.
    last, early = keep(list(range(5, P, 6))), keep(list(range(2, P, 6)))
    assert value("information_preservation", last, steps) == pytest.approx(0, abs=1e-5)
    assert value("information_preservation", early, steps) > 0.5


def test_diversity_falls_when_the_selection_spans_more():
    z = points()
    z[0, :K] = z[0, :1]
    name = "diversity_regularization"
    assert value(name, spread_out(), z) < value(name, keep(list(range(K))), z)


@pytest.mark.parametrize("name", TERMS)
def test_gradient_steps_on_the_probabilities_lower_each_term(name: str):
    z = points(3)
    z[0, 24:] *= 2
    d = z.norm(dim=-1)
    # Away from even probabilities, which are the best for some terms.
    logits = torch.linspace(0, 3, P).unsqueeze(0).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.05)
    found = []
    for _ in range(40):
        p = inclusion_probabilities(logits.softmax(-1), K)
        loss = TERMS[name](p, z, d, EVERY)
        found.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found[-1] < found[0] - 1e-3


@pytest.mark.parametrize("name", TERMS)
def test_moving_the_gaussian_alone_satisfies_no_term(name: str):
    z = points(5)
    index = index_points(z)
    moved = QuestionGaussian(
        target=torch.randn(1, R).requires_grad_(),
        factor=torch.randn(1, R, 2).requires_grad_(),
        diagonal=torch.rand(1, R).requires_grad_(),
        tempering=torch.full((1, 1), 0.5),
    )
    parameters = [moved.target, moved.factor, moved.diagonal]
    held = spread_out().requires_grad_()
    optimizer = torch.optim.Adam(parameters, lr=0.1)
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(10):
        loss = TERMS[name](held, z, conditioned_distances(index, moved), EVERY)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(torch.equal(old, new.detach()) for old, new in zip(before, parameters, strict=True))
    assert held.grad is not None and held.grad.abs().sum() > 0


def test_the_gaussian_alone_cannot_fit_a_teacher_that_the_features_do_not_show():
    index = index_points(torch.zeros(1, P, R))
    moved = QuestionGaussian(
        target=torch.randn(1, R).requires_grad_(),
        factor=torch.randn(1, R, 2).requires_grad_(),
        diagonal=torch.rand(1, R).requires_grad_(),
        tempering=torch.full((1, 1), 0.5),
    )
    teacher = torch.zeros(1, P)
    teacher[0, 7] = 1
    optimizer = torch.optim.Adam([moved.target, moved.factor, moved.diagonal], lr=0.1)
    for _ in range(50):
        loss = losses.distillation(-conditioned_distances(index, moved), teacher, EVERY)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) == pytest.approx(torch.tensor(float(P)).log().item(), abs=1e-4)


def test_distillation_falls_as_scores_approach_the_teacher():
    teacher = torch.softmax(points()[..., 0], dim=-1)
    entropy = -(teacher * teacher.log()).sum()
    exact = losses.distillation(teacher.log(), teacher, EVERY)
    assert torch.allclose(exact, entropy)
    assert exact < losses.distillation(torch.zeros(1, P), teacher, EVERY)


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("case", ["one pair", "constant features", "masked", "all kept"])
def test_edge_cases_stay_finite(name: str, case: str):
    pairs = 1 if case == "one pair" else P
    z = torch.ones(2, pairs, R) if case == "constant features" else points().expand(2, P, R)
    z = z[:, :pairs]
    mask = torch.ones(2, pairs, dtype=torch.bool)
    if case == "masked":
        mask[1, 20:] = False
    logits = torch.zeros(2, pairs, requires_grad=True)
    mass = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    count = {"one pair": 1, "all kept": P}.get(case, K)
    p = inclusion_probabilities(mass, count)
    found = (
        losses.information_preservation(p, z, time_cells(p.detach(), count), mask)
        if name == "information_preservation"
        else TERMS[name](p, z, z.norm(dim=-1), mask)
    )
    found.backward()
    assert found.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_padding_changes_no_term():
    p, z = spread_out(), points()
    d = z.norm(dim=-1)
    mask = torch.cat((EVERY, torch.zeros(1, 16, dtype=torch.bool)), dim=1)
    longer_p = torch.nn.functional.pad(p, (0, 16))
    longer_z = torch.cat((z, torch.full((1, 16, R), 7.0)), dim=1)
    longer_d = torch.nn.functional.pad(d, (0, 16), value=3.0)
    # Spans of the structural term are shares of the padded length.
    for name in set(TERMS) - {"structural_similarity"}:
        plain = TERMS[name](p, z, d, EVERY)
        assert torch.allclose(TERMS[name](longer_p, longer_z, longer_d, mask), plain, atol=1e-6)


def test_a_question_without_others_has_nothing_to_tell_apart():
    none = torch.zeros(1, 3, dtype=torch.bool)
    loss = losses.feature_alignment(torch.ones(1, R), torch.eye(R)[:1], torch.ones(1, 3, R), none)
    assert float(loss) == 0


LOSS = {"distillation": 2.0, **dict.fromkeys(AUXILIARY, 0.5)}


def over_steps(schedule: str, steps: int = 100) -> list[dict[str, float]]:
    loss = LossConfig(schedule=schedule, **LOSS)
    return [loss_weights(loss, step, steps) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["static", "progressive", "curriculum"])
def test_distillation_starts_in_full_and_ends_at_zero(schedule: str):
    found = [weights["distillation"] for weights in over_steps(schedule)]
    assert found[0] == 2 and found[-1] == 0 and found == sorted(found, reverse=True)


def test_static_weights_warm_up_over_a_tenth():
    found = over_steps("static")
    assert found[0]["ntlbg_constraint"] == pytest.approx(0.05)
    assert all(weights[name] == 0.5 for weights in found[10:] for name in AUXILIARY)
    assert all(weights["task"] == 1 for weights in found)


def test_progressive_terms_come_in_one_after_another():
    found = over_steps("progressive")
    first = [next(i for i, row in enumerate(found) if row[name] > 0) for name in AUXILIARY]
    assert first == [0, 10, 20, 30, 40]
    assert all(found[50][name] == 0.5 for name in AUXILIARY)


def test_a_curriculum_gives_way_to_the_task():
    found = over_steps("curriculum")
    assert found[0]["task"] == pytest.approx(0.1) and found[-1]["task"] == 1
    assert found[0]["diversity_regularization"] == 0.5
    assert found[-1]["diversity_regularization"] == 0


def test_a_training_of_one_step_has_weights():
    assert loss_weights(LossConfig(**LOSS), 0, 1)["ntlbg_constraint"] == 0.5
