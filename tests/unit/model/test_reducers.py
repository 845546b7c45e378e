"""Published token counts on published grids; tokens and their places against hand cases."""

from typing import get_args

import pytest
import torch

from ntlbg_model.config import ModelConfig, Reducer, RichPointsConfig
from ntlbg_model.footprint import load_of
from ntlbg_model.geometry.visual_tokens import COUNTS, TokenLayout, layout_of, video_llama2
from ntlbg_model.reducers.build import REDUCERS, build_reducer, token_positions

PUBLISHED = [
    ("llava_video", (64, 27, 27), 11648),
    ("llava_video", (1, 27, 27), 182),
    ("video_chatgpt", (100, 16, 16), 356),
    ("videollama", (8, 16, 16), 32),
    ("valley", (60, 16, 16), 316),
    ("video_llama2", (8, 24, 24), 845),
    ("video_llama2", (16, 24, 24), 1521),
    ("pllava", (16, 24, 24), 2304),
    ("qwen2_vl", (384, 8, 8), 24576),
]


@pytest.mark.parametrize(("reducer", "grid", "tokens"), PUBLISHED)
def test_published_counts(reducer: str, grid: tuple[int, int, int], tokens: int):
    assert COUNTS[reducer](*grid) == tokens


@pytest.mark.parametrize(("frames", "tokens"), [(8, 576), (16, 1152)])
def test_the_convolution_without_padding(frames: int, tokens: int):
    assert video_llama2(frames, 24, 24, padding=0) == tokens


@pytest.mark.parametrize("grid", [(1, 1, 1), (2, 2, 2), (5, 3, 2), (19, 8, 8), (16, 13, 25)])
@pytest.mark.parametrize("reducer", get_args(Reducer))
def test_counts_are_the_modules_and_every_token_has_a_place(reducer: str, grid):
    count, height, width = grid
    module = build_reducer(ModelConfig(reducer=reducer), 8)
    pairs = 3 * torch.arange(count)
    tokens = module(torch.randn(*grid, 8), pairs)
    places = token_positions(TokenLayout(reducer=reducer), pairs, (height, width))
    assert tokens.shape == (COUNTS[reducer](*grid), 8)
    assert places.shape == (3, len(tokens)) and places.dtype == torch.long
    assert places.min() >= 0
    if reducer != "videollama":
        assert places[0].max() <= pairs[-1]


@pytest.mark.parametrize("pooling", ["mean", "weighted", "transformer"])
def test_valley_begins_as_its_parameter_free_form(pooling: str):
    torch.manual_seed(0)
    features, pairs = torch.randn(4, 2, 3, 64), torch.tensor([0, 2, 5, 9])
    module = build_reducer(ModelConfig(reducer="valley", valley_pooling=pooling), 64)
    plain = build_reducer(ModelConfig(reducer="valley"), 64)
    assert torch.allclose(module(features, pairs), plain(features, pairs), atol=1e-6)
    assert torch.allclose(plain(features, pairs)[:6], features.mean(0).flatten(0, 1), atol=1e-6)


def test_means_of_a_hand_case():
    features = torch.arange(8.0).view(2, 2, 2, 1)
    found = REDUCERS["video_chatgpt"]()(features, torch.tensor([1, 6]))
    assert found.flatten().tolist() == [1.5, 5.5, 2, 3, 4, 5]
    places = REDUCERS["video_chatgpt"].positions(torch.tensor([1, 6]), (2, 2))
    assert places.tolist() == [[1, 6, 3, 3, 3, 3], [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 0, 1]]


def test_rows_of_pooled_tokens_end_with_the_newline():
    module = build_reducer(ModelConfig(reducer="llava_video"), 1)
    features = torch.arange(16.0).view(1, 4, 4, 1)
    newline = float(module.newline.detach())
    found = module(features, torch.tensor([7])).flatten().tolist()
    assert found == pytest.approx([2.5, 4.5, newline, 10.5, 12.5, newline])
    places = token_positions(TokenLayout(reducer="llava_video"), torch.tensor([7]), (4, 4))
    assert places.tolist() == [[7] * 6, [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]]


def test_adaptive_pooling_at_the_published_ratio_is_block_means():
    features = torch.randn(16, 24, 24, 2)
    found = REDUCERS["pllava"]()(features, torch.arange(16)).view(16, 12, 12, 2)
    blocks = features.view(16, 12, 2, 12, 2, 2).mean(dim=(2, 4))
    assert torch.allclose(found, blocks, atol=1e-6)


def test_times_of_pooled_slices_are_those_of_what_they_pool():
    pairs = torch.arange(0, 160, 5)
    pooled = REDUCERS["pllava"].positions(pairs, (1, 1))[0]
    assert pooled.tolist() == [int((a + b) / 2) for a, b in pairs.view(16, 2).tolist()]
    strided = REDUCERS["video_llama2"].positions(torch.tensor([4, 10, 20, 31]), (1, 1))[0]
    assert strided.tolist() == [4, 15, 31]


def test_the_convolution_sees_only_its_neighbours_in_time():
    module = build_reducer(ModelConfig(reducer="video_llama2"), 16)
    features = torch.randn(8, 2, 2, 16)
    other = features.clone()
    other[5:] = 0
    a, b = (module(x, torch.arange(8)).view(5, 2, 2, 16) for x in (features, other))
    assert torch.equal(a[:3], b[:3]) and not torch.equal(a[3], b[3])


def test_appended_scales_have_the_place_of_what_they_pool():
    model = ModelConfig(rich_points=RichPointsConfig(enabled=True, multi_scale="appended"))
    layout = layout_of(model)
    assert layout.tokens(3, 4, 4) == 3 * (16 + 4 + 1)
    places = token_positions(layout, torch.tensor([2, 9]), (2, 4))
    assert places.shape == (3, layout.tokens(2, 2, 4))
    assert places[0].tolist() == [2] * 11 + [9] * 11
    assert places[1:, 8:11].tolist() == [[0, 0, 0], [0, 2, 0]]


def test_scales_cannot_be_appended_behind_a_reducer():
    points = RichPointsConfig(enabled=True, multi_scale="appended")
    with pytest.raises(ValueError, match="'appended' needs reducer 'qwen2_vl'"):
        ModelConfig(reducer="pllava", rich_points=points)


def test_memory_is_predicted_for_the_tokens_that_the_language_model_gets():
    from ntlbg_model.config import Config, VideoConfig

    video = VideoConfig(num_representatives=64)
    for reducer, tokens in (("qwen2_vl", 32 * 64), ("llava_video", 32 * 20), ("videollama", 32)):
        load = load_of(Config(video=video, model=ModelConfig(reducer=reducer)))
        assert (load.visual_tokens, load.patches) == (tokens, 32 * 256)
