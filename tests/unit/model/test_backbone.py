"""Positions, patches and attention against hand cases and transformers' own forward."""

import pytest
import torch
from transformers import Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.attention import register
from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.backbone.positions import batch_positions, generation_positions, sparse_positions
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import (
    DEVIATION,
    MEAN,
    merge_grid,
    patchify,
    use_batched_attention,
    vision_features,
)
from ntlbg_model.config import ModelConfig
from ntlbg_model.inputs.collate import Sample, collate, gather_pairs
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.tiny_base import architecture
from tests.support.small_qwen import question, random_model

STAR = "what colour is the star that flashed?"


def pixels(pairs: int, height: int = 56, width: int = 56, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (pairs, 2, height, width, 3), generator=generator, dtype=torch.uint8
    )


def test_positions_of_a_hand_case():
    assert sparse_positions(2, torch.tensor([0, 3, 10]), (1, 2), 3).tolist() == [
        [0, 1, 2, 2, 5, 5, 12, 12, 13, 14, 15],
        [0, 1, 2, 2, 2, 2, 2, 2, 13, 14, 15],
        [0, 1, 2, 3, 2, 3, 2, 3, 13, 14, 15],
    ]


def test_text_resumes_after_a_grid_wider_than_the_video_is_long():
    assert sparse_positions(1, torch.tensor([0]), (2, 3), 1)[:, -1].tolist() == [4, 4, 4]


def test_all_pairs_have_the_stock_positions_up_to_the_text_after_them():
    model = random_model()
    grid = torch.tensor([[5, 4, 6]])
    ids = torch.tensor([[3, *[5] * 30, 4, 7]])
    kinds = (ids == 5).int() * 2
    stock, _ = model.model.get_rope_index(ids, kinds, video_grid_thw=grid)
    ours = sparse_positions(1, torch.arange(5), (2, 3), 2)
    assert torch.equal(ours[:, :31], stock[:, 0, :31])
    assert ours[:, 31:].tolist() == [[6, 7]] * 3


def test_generation_has_a_row_of_text_positions_first():
    rows = batch_positions([sparse_positions(1, torch.tensor(p), (2, 2), 2) for p in ([4], [1, 9])])
    assert rows.shape == (3, 2, 11)
    four = generation_positions(rows)
    assert four.shape == (4, 2, 11)
    assert four[0].tolist() == [list(range(11))] * 2
    assert torch.equal(four[1:], rows)


def test_patches_against_a_loop():
    video = pixels(2, 28, 56)
    found = patchify(video)
    normal = (video.double() / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    expected = [
        [normal[p, t, y : y + 14, x : x + 14, c].flatten() for c in range(3) for t in range(2)]
        for p in range(2)
        for left in (0, 28)
        for y in (0, 14)
        for x in (left, left + 14)
    ]
    stacked = torch.stack([torch.cat(row) for row in expected]).view(2, 8, -1)
    assert torch.allclose(found.double(), stacked, atol=1e-5)


def test_frames_must_be_multiples_of_28_pixels():
    assert merge_grid(56, 84) == (2, 3)
    with pytest.raises(ValueError, match="multiples of 28 pixels, got 56 x 60"):
        merge_grid(56, 60)


def test_batched_attention_equals_the_stock_tower():
    model = random_model()
    video = pixels(7, 56, 84)
    grid = torch.tensor([[7, 4, 6]])
    with torch.no_grad():
        stock = model.model.visual(patchify(video).flatten(0, 1), grid_thw=grid).pooler_output
        use_batched_attention(model.model.visual)
        ours = vision_features(model.model.visual, video, chunk=3)
    assert torch.allclose(ours.flatten(0, 1), stock, atol=1e-4)


def test_unequal_grids_still_go_through_the_stock_loop():
    model = random_model()
    patches = torch.cat([patchify(pixels(1, 28, 28))[0], patchify(pixels(1, 56, 28))[0]])
    grid = torch.tensor([[1, 2, 2], [1, 4, 2]])
    with torch.no_grad():
        stock = model.model.visual(patches, grid_thw=grid).pooler_output
        use_batched_attention(model.model.visual)
        assert torch.allclose(
            model.model.visual(patches, grid_thw=grid).pooler_output, stock, atol=1e-4
        )


def sample(backbone: Backbone, number: int, pairs: list[int], text: str = STAR) -> Sample:
    asked = question(number, text=text)
    frames = pixels(20, seed=number).flatten(0, 1)
    chosen = torch.tensor(pairs)
    return Sample(
        prompt=build_prompt(asked, backbone.tokenizer, "option_words"),
        pixels=gather_pairs(frames, chosen),
        pairs=chosen,
        answer=asked.answer,
    )


def test_a_padded_batch_answers_as_each_prompt_alone(backbone: Backbone):
    samples = [
        sample(backbone, 0, [1, 5]),
        sample(backbone, 1, [0, 2, 19], "which shape flashed right after the moon?"),
        sample(backbone, 2, [7], "how many symbols flashed in all?"),
    ]
    with torch.no_grad():
        together = answer_logits(backbone, collate(samples, backbone.video_token))
        alone = [answer_logits(backbone, collate([s], backbone.video_token)) for s in samples]
    assert together.shape == (3, architecture.WORDS)
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_answers_equal_the_stock_forward_with_our_positions(backbone: Backbone):
    one = collate([sample(backbone, 0, [1, 5, 6])], backbone.video_token)
    stock = random_model()
    with torch.no_grad():
        expected = stock(
            input_ids=one.input_ids,
            position_ids=one.position_ids,
            pixel_values_videos=patchify(one.pixels).flatten(0, 1),
            video_grid_thw=torch.tensor([[3, 4, 4]]),
        ).logits[:, -1]
        assert torch.allclose(answer_logits(backbone, one), expected, atol=1e-4)


def test_the_true_time_of_a_pair_matters(backbone: Backbone):
    near, far = (sample(backbone, 0, pairs) for pairs in ([1, 2], [1, 2]))
    far = Sample(
        prompt=far.prompt, pixels=far.pixels, pairs=torch.tensor([1, 90]), answer=far.answer
    )
    with torch.no_grad():
        logits = [answer_logits(backbone, collate([s], backbone.video_token)) for s in (near, far)]
    assert not torch.allclose(*logits, atol=1e-3)


def test_generate_accepts_our_positions(backbone: Backbone):
    one = collate([sample(backbone, 0, [1, 5, 9])], backbone.video_token)
    with torch.no_grad():
        produced = backbone.base.generate(
            input_ids=one.input_ids,
            position_ids=generation_positions(one.position_ids),
            pixel_values_videos=patchify(one.pixels).flatten(0, 1),
            video_grid_thw=torch.tensor([[3, 4, 4]]),
            max_new_tokens=1,
            do_sample=False,
        )
        assert int(produced[0, -1]) == int(answer_logits(backbone, one).argmax())


def test_repeated_heads_attend_as_grouped_ones(backbone: Backbone):
    register()
    one = collate([sample(backbone, 0, [1, 5, 9])], backbone.video_token)
    with torch.no_grad():
        grouped = answer_logits(backbone, one)
        backbone.base.set_attn_implementation("sdpa_repeated")
        assert torch.allclose(answer_logits(backbone, one), grouped, atol=1e-4)


def test_without_flash_attn_torch_s_own_kernels_are_used(saved):
    config = ModelConfig(base_model=str(saved), tuning="none")
    model = load_backbone(
        config, dtype=torch.float32, device="cpu", attention="flash_attention_2"
    ).base
    assert model.config.text_config._attn_implementation == "sdpa"


def test_letters_list_the_options_and_words_do_not():
    tokenizer = architecture.tokenizer()
    prompt = build_prompt(question(0), tokenizer, "option_words")
    assert tokenizer.convert_ids_to_tokens(list(prompt.options)) == list(question(0).candidates)
    assert tokenizer.convert_ids_to_tokens(list(prompt.after))[-2:] == ["?", "answer"]
    assert prompt.length(8) == len(prompt.before) + 8 + len(prompt.after)
    with pytest.raises(ValueError, match=r"'q0'.*do not differ in their first token"):
        build_prompt(question(0), tokenizer, "letters")


@pytest.fixture
def saved(tmp_path, backbone: Backbone):
    backbone.base.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    return tmp_path


def load(folder, **options) -> Backbone:
    config = ModelConfig(base_model=str(folder), **options)
    return load_backbone(config, dtype=torch.float32, device="cpu", attention="sdpa")


def test_adapters_are_all_that_trains(saved):
    loaded = load(saved, tuning="lora", lora_rank=4)
    trained = {name for name, p in loaded.model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name and "language_model" in name for name in trained)
    assert isinstance(loaded.base, Qwen2VLForConditionalGeneration)


def test_adapters_begin_the_same_and_change_nothing(saved, backbone: Backbone):
    weights = [
        next(p for n, p in load(saved, tuning="lora").model.named_parameters() if "lora_A" in n)
        for _ in range(2)
    ]
    assert torch.equal(*weights)
    one = collate([sample(backbone, 0, [1, 5])], backbone.video_token)
    with torch.no_grad():
        adapted = answer_logits(load(saved, tuning="lora"), one)
        assert torch.allclose(adapted, answer_logits(backbone, one), atol=1e-5)


@pytest.mark.parametrize("tuning", ["full", "none"])
def test_what_tuning_trains(saved, tuning: str):
    loaded = load(saved, tuning=tuning)
    by_part = {
        part: {p.requires_grad for n, p in loaded.model.named_parameters() if part in n}
        for part in ("visual", "language_model", "lm_head")
    }
    wanted = {tuning == "full"}
    assert by_part == {"visual": {False}, "language_model": wanted, "lm_head": wanted}


def test_a_missing_base_model_is_one_line(tmp_path):
    with pytest.raises(BackboneError, match=r"base_model '.*nowhere' cannot be loaded") as caught:
        load(tmp_path / "nowhere")
    assert "\n" not in str(caught.value)


def test_another_architecture_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(
        BackboneError, match="is a 'llama', which has no adapter; supported types: qwen2_vl, "
    ):
        load(tmp_path)
