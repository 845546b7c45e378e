"""The published samplers: exact budgets, and what each is known to do on small cases."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.aks import aks
from ntlbg_model.selection.bolt import bolt
from ntlbg_model.selection.clip_topk import clip_topk
from ntlbg_model.selection.dpp import RELEVANCE, WIDTHS, dpp
from ntlbg_model.selection.farthest_point import farthest_point
from ntlbg_model.selection.kmeans import kmeans
from ntlbg_model.selection.q_frame import SPREAD, TEMPERATURE, q_frame
from ntlbg_model.selection.select import Selection, select_pairs

SIMILARITY = ("clip_topk", "aks", "bolt", "q_frame", "dpp")
METHODS = (*SIMILARITY, "kmeans", "farthest_point")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def choose(
    method: str, count: int, features: torch.Tensor, similarity: torch.Tensor, seed: int = 3
) -> Selection:
    config = SelectionConfig(method=method)
    return select_pairs(features, count, config, seed, similarity)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_budget_is_met_by_distinct_ascending_pairs(method: str, data: st.DataObject):
    pairs = data.draw(st.integers(1, 40))
    count = data.draw(st.integers(1, pairs))
    levels = data.draw(st.sampled_from([1, 2, 1000]))
    seed = data.draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(0, levels, (pairs, 3), generator=generator).float()
    similarity = torch.randint(0, levels, (pairs,), generator=generator).float()
    kept = choose(method, count, features, similarity, seed).pairs.tolist()
    assert kept == sorted(set(kept)) and len(kept) == count
    assert kept[0] >= 0 and kept[-1] < pairs


@pytest.mark.parametrize("method", METHODS)
def test_the_same_arguments_give_the_same_pairs(method: str):
    first, second = (choose(method, 20, drawn(96, 24), drawn(96, seed=1)).pairs for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("method", ["q_frame", "kmeans"])
def test_the_seed_decides_where_chance_does(method: str):
    first, second = (
        choose(method, 20, drawn(96, 24), drawn(96, seed=1), seed).pairs for seed in (1, 2)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize("method", SIMILARITY)
def test_a_missing_similarity_is_named(method: str):
    config = SelectionConfig(method=method)
    assert config.compares_with_question
    with pytest.raises(ValueError, match=f"'{method}' needs the similarity to a question"):
        select_pairs(drawn(8, 4), 4, config, 0)


@pytest.mark.parametrize("method", SIMILARITY)
def test_the_scale_of_similarities_does_not_matter(method: str):
    features, similarity = drawn(96, 24), drawn(96, seed=1)
    plain, scaled = (
        choose(method, 20, features, x).pairs for x in (similarity, 0.25 * similarity + 4)
    )
    assert torch.equal(plain, scaled)


def test_top_k_takes_the_most_similar_and_the_earlier_of_equals():
    assert clip_topk(torch.tensor([0.1, 0.9, 0.5, 0.5, 0.7]), 3).tolist() == [1, 2, 4]


def test_bolt_takes_the_quantiles_of_normalised_similarity():
    # Normalised 0, 1/2, 1/2, 1, in all 2: the running sum passes 1/2 at pair 1, 3/2 at pair 3.
    assert bolt(torch.tensor([2.0, 3.0, 3.0, 4.0]), 2, power=1).tolist() == [1, 3]
    # Cubed 0, 1/8, 1/8, 1, 1: the last two hold all the quantiles but for a tenth.
    assert bolt(torch.tensor([2.0, 3.0, 3.0, 4.0, 4.0]), 2).tolist() == [3, 4]


def test_bolt_does_not_spend_a_pick_twice_on_one_pair():
    # Pair 3 alone would hold 1 of 1.3 of the mass, and with it both quantiles.
    assert bolt(torch.tensor([0.0, 0.1, 0.1, 1.0, 0.1]), 2, power=1).tolist() == [2, 3]


def test_q_frame_draws_by_the_softmax():
    similarity = torch.tensor([0.20, 0.25, 0.30])
    logits = SPREAD * (similarity - similarity.mean()) / similarity.std(correction=0)
    expected = (logits / TEMPERATURE).softmax(0)
    draws = torch.cat([q_frame(similarity, 1, seed) for seed in range(2000)])
    found = torch.bincount(draws, minlength=3) / 2000
    assert torch.allclose(found, expected, atol=0.03)


def test_aks_keeps_a_span_whole_where_pairs_stand_out_and_halves_it_where_none_do():
    similarity = torch.zeros(32)
    similarity[[5, 6]] = 1.0
    similarity[16:] = 0.5
    similarity[[20, 21, 28]] = 0.6
    # The first half keeps its two neighbours; the second is halved again, for one pair each.
    assert aks(similarity, 4).tolist() == [5, 6, 20, 28]
    assert clip_topk(similarity, 4).tolist() == [5, 6, 20, 21]


def test_aks_halves_two_bumps_on_a_high_floor():
    time = torch.arange(64.0)
    similarity = 0.6 + 0.4 * sum(torch.exp(-((time - t) ** 2) / 8) for t in (12, 51))
    similarity[0] = 0.0
    kept = aks(similarity, 8).tolist()
    assert [k // 8 for k in kept] == list(range(8))
    assert {12, 51} <= set(kept)


def test_farthest_points_of_a_line():
    line = torch.arange(11.0)[:, None]
    assert farthest_point(line, 3).tolist() == [0, 5, 10]


def test_farthest_points_visit_every_cluster_before_any_twice():
    centres = 20 * drawn(6, 8)
    features = centres.repeat_interleave(9, dim=0) + drawn(54, 8, seed=1)
    assert (farthest_point(features, 6) // 9).tolist() == list(range(6))


def test_k_means_takes_the_medoid_of_each_separated_cluster():
    offsets = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    features = (100 * torch.arange(4.0)[:, None] + offsets).reshape(-1, 1)
    assert kmeans(features, 4, seed=5).tolist() == [2, 7, 12, 17]


def test_a_dpp_avoids_duplicates():
    features = drawn(5, 16).repeat(8, 1)
    kept = dpp(features, 5)
    assert sorted((kept % 5).tolist()) == list(range(5))
    liked = torch.zeros(40)
    liked[[11, 15, 23, 32, 39]] = 1.0
    assert dpp(features, 5, liked).tolist() == [11, 15, 23, 32, 39]


def test_a_dpp_is_the_greedy_maximum_of_the_determinant():
    features, similarity = drawn(14, 5).double(), drawn(14, seed=1).double()
    distances = torch.cdist(features, features).square()
    distances /= distances.mean()
    kernel = sum(torch.exp(-distances / (2 * width)) for width in WIDTHS) / len(WIDTHS)
    low, high = similarity.aminmax()
    quality = (RELEVANCE * (similarity - low) / (high - low) / 2).exp()
    kernel = quality[:, None] * kernel * quality
    kept: list[int] = []
    for _ in range(6):
        gains = {
            i: float(torch.linalg.slogdet(kernel[[*kept, i]][:, [*kept, i]]).logabsdet)
            for i in range(14)
            if i not in kept
        }
        kept.append(max(gains, key=gains.__getitem__))
    assert dpp(features.float(), 6, similarity).tolist() == sorted(kept)


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_features_are_taken(method: str):
    kept = choose(method, 12, drawn(64, 16).half(), drawn(64, seed=1).half())
    assert kept.pairs.numel() == 12
    assert math.isfinite(float(kept.scores.sum()))
