"""Remembered vision features: the same bits, fewer looks, bounded memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.backbone.vision_cache import MIB, VisionCache
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    RichPointsConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames
from ntlbg_model.evaluation import evaluate
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import load_backbone, load_variant
from ntlbg_model.modeling.selector_attached import with_selector
from ntlbg_model.records import Prediction, Question
from ntlbg_model.training import NTLBGTrainer, build_trainer
from tests.support.small_qwen import question

Reader = Callable[[Question], Frames]


class Looks:
    """Counts the pairs that go through a vision tower, and those that go together."""

    def __init__(self, backbone: Backbone) -> None:
        self.pairs = 0
        self.together: set[int] = set()
        backbone.visual.register_forward_hook(self._count, with_kwargs=True)

    def _count(self, module, args, kwargs, output) -> None:
        self.pairs += kwargs["cu_seqlens"].numel() - 1
        self.together.add(kwargs["cu_seqlens"].numel() - 1)


def footage(video: str, pairs: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(video.encode()))
    return torch.randint(0, 256, (pairs, 2, 28, 28, 3), generator=generator, dtype=torch.uint8)


def asked(backbone: Backbone, **kept: list[int]) -> VideoPrompt:
    """A batch of one question a video over its `kept` pairs."""
    prompt = build_prompt(question(1), backbone.tokenizer, "option_words")
    samples = [
        Sample(
            prompt=prompt,
            pixels=footage(video)[pairs],
            pairs=torch.tensor(pairs),
            answer=1,
            video=video,
        )
        for video, pairs in kept.items()
    ]
    return collate(samples, backbone.video_token)


@torch.no_grad()
def test_a_pair_has_the_same_features_whatever_it_is_looked_at_with(backbone: Backbone):
    whole = vision_features(backbone.visual, footage("a"))
    for pairs in ([3], [23, 3, 11], list(range(1, 24))):
        assert torch.equal(vision_features(backbone.visual, footage("a")[pairs]), whole[pairs])


@torch.no_grad()
def test_remembered_pairs_answer_alike_and_are_looked_at_once(backbone: Backbone):
    remembering = replace(backbone, vision_cache=VisionCache(MIB))
    looks = Looks(backbone)
    batches = [{"a": [0, 2, 4], "b": [0, 1]}, {"b": [1, 7, 9]}, {"a": [0, 2, 4], "b": [7, 9]}]
    for batch, run in zip(batches, (8, 8, 0), strict=True):
        before = looks.pairs
        found = answer_logits(remembering, asked(backbone, **batch))
        assert looks.pairs - before == run
        assert torch.equal(found, answer_logits(backbone, asked(backbone, **batch)))


@torch.no_grad()
def test_memory_is_bounded_and_the_oldest_go_first(backbone: Backbone):
    row = vision_features(backbone.visual, footage("a", 1)).nbytes
    cache = VisionCache(5 * row)
    looks = Looks(backbone)
    for pairs in ([0, 1, 2], [3, 4], [0], [5]):
        cache.features(backbone.visual, asked(backbone, a=pairs))
        assert cache.nbytes <= 5 * row
    looks.pairs = 0
    cache.features(backbone.visual, asked(backbone, a=[0, 2, 3, 4, 5]))
    assert looks.pairs == 0 and cache.nbytes == 5 * row
    cache.features(backbone.visual, asked(backbone, a=[1]))
    assert looks.pairs == 8
    cache.features(backbone.visual, asked(backbone, a=list(range(8, 24))))
    assert cache.nbytes == 5 * row


def test_a_trained_tower_and_a_video_without_a_name_are_not_remembered(backbone: Backbone):
    cache, batch = VisionCache(MIB), asked(backbone, a=[0, 1])
    cache.features(backbone.visual, replace(batch, sources=()))
    backbone.visual.requires_grad_(True)
    assert cache.features(backbone.visual, batch).requires_grad
    assert cache.nbytes == 0


def config(mib: int, query: str = "none", **model: object) -> Config:
    return Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="ntlbg" if query == "learned" else "random", query=query),
        model=ModelConfig(
            base_model="tiny", vision_cache_mib=mib, ntlbg_hidden_size=16, lora_rank=2, **model
        ),
        training=TrainingConfig(
            global_batch=2,
            max_steps=4,
            warmup_steps=0,
            logging_steps=1,
            loss=LossConfig(distillation=0.1 if query == "learned" else 0.0),
        ),
        evaluation=EvaluationConfig(scoring="option_words", batch_size=2),
    )


def trained(options: Config, folder: Path, frames: Reader) -> tuple[Backbone, NTLBGTrainer]:
    found = load_backbone(options.model, dtype=torch.float32, device="cpu", attention="sdpa")
    found = with_selector(found, options)
    trainer = build_trainer(
        options,
        backbone=found,
        questions=[question(i, video=f"v{i % 2}") for i in range(4)],
        frames=frames,
        output_dir=folder,
        micro_batch=2,
        accumulation=1,
        world_size=1,
        seed=3,
        device="cpu",
        precision="fp32",
        gradient_checkpointing=False,
    )
    trainer.train()
    return found, trainer


@pytest.mark.parametrize(("query", "rich"), [("none", False), ("none", True), ("learned", False)])
def test_training_and_evaluation_are_the_same_with_and_without(
    tmp_path: Path, frames: Reader, query: str, rich: bool
):
    results = []
    for mib in (0, 8):
        options = config(mib, query, rich_points=RichPointsConfig(enabled=rich, feature_dim=8))
        backbone, trainer = trained(options, tmp_path / str(mib), frames)
        looks, rows = Looks(backbone), list[Prediction]()
        evaluate(
            options,
            backbone=backbone,
            dataset="d",
            questions=[question(i, video=f"v{i % 2}") for i in range(4)],
            frames=frames,
            seed=3,
            on_prediction=rows.append,
        )
        losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        results.append((looks.pairs, losses, [row.scores for row in rows]))
    (every, *without), (few, *remembered) = results
    assert remembered == without
    assert few < every
    if query == "none":
        assert few == 0


@torch.no_grad()
@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(base_model="tiny"),
        ModelConfig(base_model="tiny", vision_cache_mib=1),
        ModelConfig(base_model="tiny", reducer="pllava"),
    ],
)
def test_as_many_pairs_go_through_the_tower_together_as_a_fit_says(model: ModelConfig):
    config, options = Config(model=model), {"dtype": torch.float32, "device": "cpu"}
    found = {}
    for chunk in (2, 8):
        backbone = load_variant(config, **options, attention="sdpa", seed=0, vision_chunk=chunk)
        looks, batch = Looks(backbone), asked(backbone, a=list(range(11)))
        found[chunk] = answer_logits(backbone, batch)
        assert looks.together == {chunk}
    assert torch.allclose(found[2], found[8], atol=1e-4)
