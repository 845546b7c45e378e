"""Qwen2.5-VL through the same interface, against transformers' own forward."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.video_points import VideoPoints
from ntlbg_model.backbone.vision import patchify, vision_features
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.checkpoint import AnswerDevice, load_for_answers
from ntlbg_model.modeling.generation import generate
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.modeling.selector_attached import with_selector
from ntlbg_model.records import Question
from ntlbg_model.selection.vision_blocks import block_features
from ntlbg_model.tiny_base import architecture
from ntlbg_model.training import build_trainer
from tests.support.small_qwen import question

Reader = Callable[[Question], Frames]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A random model with windows of 56 pixels in its first two blocks."""
    words = architecture.tokenizer()
    shape = architecture.config(words).to_dict()
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=shape["text_config"] | {"model_type": "qwen2_5_vl_text"},
            vision_config={
                "depth": 3,
                "hidden_size": 64,
                "intermediate_size": 96,
                "num_heads": 4,
                "out_hidden_size": 192,
                "window_size": 56,
                "fullatt_block_indexes": [2],
                "tokens_per_second": 2,
            },
            **{name: value for name, value in shape.items() if name.endswith("token_id")},
            tie_word_embeddings=False,
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=2 * weight[0].numel() ** -0.5)
    model.save_pretrained(tmp_path / "base")
    words.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def loaded(folder: Path, **options: object) -> Backbone:
    config = ModelConfig(base_model=str(folder), **{"tuning": "none", **options})
    return load_backbone(config, dtype=torch.float32, device="cpu", attention="sdpa")


def pixels(pairs: int, height: int = 112, width: int = 56) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, (pairs, 2, height, width, 3), generator=generator, dtype=torch.uint8
    )


def sample(backbone: Backbone, video: torch.Tensor, apart: float = 1.5) -> Sample:
    """All pairs of a video, `apart` seconds from each other."""
    pairs = torch.arange(len(video))
    return Sample(
        prompt=build_prompt(question(1), backbone.tokenizer, "option_words"),
        pixels=video,
        pairs=pairs,
        answer=1,
        points=VideoPoints(pairs=pairs, times=apart * pairs),
        tokens_per_second=backbone.tokens_per_second,
    )


@pytest.mark.parametrize("size", [(112, 56), (84, 140), (28, 28)])
@torch.no_grad()
def test_all_pairs_are_answered_as_by_the_stock_forward(stored: Path, size: tuple[int, int]):
    backbone = loaded(stored)
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(stored).eval()
    video = pixels(5, *size)
    batch = collate([sample(backbone, video)], backbone.video_token)
    grid = torch.tensor([[5, size[0] // 14, size[1] // 14]])
    expected = stock(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        pixel_values_videos=patchify(video).flatten(0, 1),
        video_grid_thw=grid,
    ).logits[:, -1]
    assert torch.allclose(answer_logits(backbone, batch), expected, atol=1e-4)
    kinds = (batch.input_ids == backbone.video_token).int() * 2
    places, _ = stock.model.get_rope_index(
        batch.input_ids, kinds, video_grid_thw=grid, second_per_grid_ts=torch.tensor([1.5])
    )
    until = int(kinds.nonzero()[-1, 1]) + 1
    assert torch.equal(batch.position_ids[:, :, :until], places[:, :, :until])
    assert batch.position_ids[0, 0, until - 1] == 1 + 4 * 3
    assert batch.position_ids[:, 0, until].unique() == batch.position_ids[..., :until].max() + 1


@torch.no_grad()
def test_sparse_pairs_keep_their_times_and_answers_generate(stored: Path):
    backbone = loaded(stored)
    batch = collate([sample(backbone, pixels(3), apart=20.1)], backbone.video_token)
    assert batch.position_ids[0, 0].unique().tolist()[:4] == [0, 1, 41, 81]
    features = vision_features(backbone.visual, batch.pixels)
    found = generate(backbone, batch, features, max_new_tokens=3)
    assert found.tokens[0] == int(answer_logits(backbone, batch).argmax())


@torch.no_grad()
def test_the_first_blocks_show_every_patch(stored: Path):
    backbone = loaded(stored)
    kept: list[torch.Tensor] = []
    hook = backbone.visual.blocks[0].register_forward_hook(
        lambda module, args, output: kept.append(output)
    )
    found = block_features(backbone.visual, pixels(4, 112, 112).flatten(0, 1), 1)
    hook.remove()
    means = kept[0][: 4 * 64].view(4, 64, 64).mean(dim=1)
    centred = means - means.mean(dim=0)
    cosine = torch.cosine_similarity(
        (found[:, :64] - found[:, :64].mean(dim=0)).flatten(), centred.flatten(), dim=0
    )
    assert found.shape == (4, 128) and cosine > 0.999


def test_it_is_trained_and_read_back(stored: Path, tmp_path: Path, frames: Reader):
    backbone = loaded(stored, tuning="full")
    config = Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="uniform"),
        training=TrainingConfig(global_batch=2, max_steps=2, warmup_steps=0, save_steps=2),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
    run = build_trainer(
        config,
        backbone=backbone,
        questions=[question(1), question(2)],
        frames=frames,
        output_dir=tmp_path / "run",
        micro_batch=2,
        accumulation=1,
        world_size=1,
        seed=1,
        device="cpu",
        precision="fp32",
        gradient_checkpointing=False,
    )
    batch = collate([sample(backbone, pixels(3))], backbone.video_token)
    with torch.no_grad():
        before = answer_logits(backbone, batch)
    run.train()
    cpu = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")
    read = load_for_answers(str(tmp_path / "run" / "checkpoint-2"), cpu, base="tiny")
    with torch.no_grad():
        after = answer_logits(backbone, batch)
        assert torch.allclose(answer_logits(read, batch), after, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_a_teacher_without_seconds_is_refused(stored: Path):
    config = Config(
        selection=SelectionConfig(query="learned"),
        training=TrainingConfig(loss=LossConfig(distillation=1.0)),
    )
    with pytest.raises(BackboneError, match=r"distillation is built for Qwen2-VL alone"):
        with_selector(loaded(stored), config)
