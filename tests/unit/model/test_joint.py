"""The selector and the language model together: the gate, and a training that learns to select."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import use_batched_attention
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
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.video import Frames
from ntlbg_model.evaluation import evaluate
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.learning.loss_schedule import AUXILIARY
from ntlbg_model.modeling.checkpoint import AnswerDevice, load_for_answers
from ntlbg_model.modeling.load import backbone_of, load_backbone, load_variant
from ntlbg_model.modeling.model import NTLBGModel
from ntlbg_model.modeling.selector_attached import with_selector
from ntlbg_model.modeling.video_selection import VideoSelector
from ntlbg_model.records import Prediction, Question
from ntlbg_model.streaming_qa.videoqa import default_config
from ntlbg_model.tiny_base import architecture
from ntlbg_model.tiny_base.footage import frame_pairs
from ntlbg_model.training import NTLBGTrainer, build_trainer
from tests.support.small_qwen import question, random_model

Reader = Callable[[Question], Frames]


def config(tuning: str = "lora", **model: object) -> Config:
    """Every loss term, on the 40 random frames of the fixture's videos."""
    terms = dict.fromkeys(AUXILIARY, 0.1)
    return Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(query="learned", features="backbone", rank=8),
        model=ModelConfig(
            base_model="tiny",
            tuning=tuning,
            ntlbg_hidden_size=32,
            feature_alignment="structural_similarity",
            **model,
        ),
        training=TrainingConfig(
            global_batch=4,
            max_steps=6,
            warmup_steps=1,
            learning_rate=1e-3,
            save_steps=3,
            logging_steps=1,
            loss=LossConfig(distillation=1.0, **terms),
        ),
        evaluation=EvaluationConfig(scoring="option_words"),
    )


def loaded(options: Config, seed: int = 0) -> Backbone:
    found = load_variant(options, dtype=torch.float32, device="cpu", attention="sdpa", seed=seed)
    assert isinstance(found, Backbone)
    return found


def trainer(folder: Path, frames: Reader, options: Config, **changes: object) -> NTLBGTrainer:
    settings: dict[str, object] = {
        "backbone": loaded(options),
        "questions": [question(i, video=f"v{i // 2}", text=TEXTS[i % 3]) for i in range(10)],
        "micro_batch": 4,
        "accumulation": 1,
        "world_size": 1,
        "seed": 5,
        "device": "cpu",
        "precision": "fp32",
        "gradient_checkpointing": False,
        "callbacks": [],
    }
    return build_trainer(options, frames=frames, output_dir=folder, **(settings | changes))


TEXTS = tuple(f"what colour is the {shape} that flashed?" for shape in ("star", "ring", "heart"))


def trained(run: NTLBGTrainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in run.model.named_parameters() if p.requires_grad}


def losses(run: NTLBGTrainer) -> list[float]:
    return [row["loss"] for row in run.state.log_history if "loss" in row]


class StopAt(TrainerCallback):
    """Ends a training early, as a kill between two steps would."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self._step


@pytest.mark.parametrize("attention", ["sdpa", "sdpa_repeated", "eager"])
def test_the_gate_is_nothing_in_value_and_attention_in_gradient(attention: str):
    options = config("none")
    base = load_backbone(options.model, dtype=torch.float32, device="cpu", attention=attention)
    plain = load_backbone(options.model, dtype=torch.float32, device="cpu", attention="sdpa")
    model = with_selector(base, options).model
    pixels = torch.randint(0, 256, (6, 2, 56, 56, 3), dtype=torch.uint8)
    samples = [
        Sample(
            prompt=build_prompt(question(i, text=TEXTS[i]), base.tokenizer, "option_words"),
            pixels=pixels[part],
            pairs=torch.arange(100)[part],
            answer=0,
        )
        for i, part in enumerate((slice(0, 4), slice(4, 6)))
    ]
    prompt = collate(samples, base.video_token)
    gate = torch.zeros(6, requires_grad=True)
    logits = model(replace(prompt, gate=gate))
    assert torch.allclose(logits, NTLBGModel(plain.model, None)(prompt), atol=1e-4)
    logits[0, 5].backward()
    assert gate.grad is not None and (gate.grad[4:] == 0).all(), "another row's pairs"
    step = 1e-2
    for pair in range(4):
        moved = torch.zeros(6)
        moved[pair] = step
        with torch.no_grad():
            up, down = (model(replace(prompt, gate=sign * moved))[0, 5] for sign in (1, -1))
        assert float((up - down) / (2 * step)) == pytest.approx(float(gate.grad[pair]), abs=2e-3)
    # All the video's tokens gain alike against the text's alone.
    assert gate.grad[:4].abs().max() > 1e-3


@pytest.mark.parametrize("tuning", ["lora", "none"])
def test_resuming_gives_the_same_bits(tmp_path: Path, frames: Reader, tuning: str):
    options = config(tuning)
    whole = trainer(tmp_path / "whole", frames, options)
    whole.train()
    trainer(tmp_path / "part", frames, options, callbacks=[StopAt(3)]).train()
    resumed = trainer(tmp_path / "part", frames, options, backbone=loaded(options, seed=9))
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    assert losses(resumed) == losses(whole)
    for name, value in trained(whole).items():
        assert torch.equal(value, trained(resumed)[name]), name


def test_the_split_of_the_global_batch_does_not_change_what_is_learned(
    tmp_path: Path, frames: Reader
):
    runs = []
    for micro in (4, 1):
        run = trainer(
            tmp_path / str(micro), frames, config(), micro_batch=micro, accumulation=4 // micro
        )
        run.train()
        runs.append(run)
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=1e-3)


def test_checkpointing_the_language_model_changes_nothing(tmp_path: Path, frames: Reader):
    runs = []
    for saving in (False, True):
        run = trainer(tmp_path / str(saving), frames, config(), gradient_checkpointing=saving)
        run.train()
        runs.append(run)
    assert losses(runs[1]) == pytest.approx(losses(runs[0]), rel=1e-4)


def test_only_the_selector_learns_where_nothing_else_is_tuned(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames, config("none"))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.train()
    changed = {
        n for n, value in run.model.state_dict().items() if not torch.equal(value, before[n])
    }
    assert changed and all(name.startswith("selector.") for name in changed)
    assert {n for n, _ in run.model.selector.named_parameters()} == {
        name.removeprefix("selector.") for name in changed
    }


def test_the_selector_has_a_learning_rate_of_its_own(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames, config())
    rates = {
        name: group["lr"]
        for group in run.create_optimizer().param_groups
        for name, weight in run.model.named_parameters()
        if any(weight is other for other in group["params"])
    }
    assert {rate for name, rate in rates.items() if name.startswith("selector.")} == {3e-3}
    assert {rate for name, rate in rates.items() if "lora" in name} == {1e-3}
    assert set(rates) == set(trained(run))


def test_a_rich_connector_trains_beside_the_selector(tmp_path: Path, frames: Reader):
    options = config(rich_points=RichPointsConfig(enabled=True, feature_dim=16))
    run = trainer(tmp_path, frames, options)
    run.train()
    assert np.isfinite(losses(run)).all()


@pytest.mark.parametrize("tuning", ["lora", "none"])
def test_what_was_saved_picks_the_same_pairs(tmp_path: Path, frames: Reader, tuning: str):
    options = config(tuning)
    run = trainer(tmp_path, frames, options)
    run.train()
    cpu = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")
    read = load_for_answers(str(tmp_path / "checkpoint-6"), cpu, "tiny")
    assert default_config(read).selection == options.selection
    kept = []
    for backbone in (backbone_of(run.model.eval(), read.tokenizer), read):
        selector = VideoSelector(options.video, options.selection, 0, backbone)
        pixels = torch.from_numpy(frames(question(0)).pixels.copy())
        kept.append([selector.pairs("v0", pixels, text) for text in TEXTS])
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))
    assert all(len(pairs) == 8 and bool((pairs.diff() > 0).all()) for pairs in kept[0])


def test_refined_picks_answer_and_draws_train(tmp_path: Path, frames: Reader):
    plain = config("none")
    refined = replace(plain, selection=replace(plain.selection, refine_iterations=2))
    runs = [trainer(tmp_path / str(i), frames, o) for i, o in enumerate((plain, refined))]
    for run in runs:
        run.train()
    assert losses(runs[0]) == losses(runs[1])
    words = loaded(refined).tokenizer
    backbones = [backbone_of(run.model.eval(), words) for run in runs]
    pixels = torch.from_numpy(frames(question(0)).pixels.copy())
    picks = [
        VideoSelector(options.video, options.selection, 0, backbone).pairs("v0", pixels, TEXTS[0])
        for options, backbone in zip((plain, refined), backbones, strict=True)
    ]
    assert all(len(pairs) == 8 and bool((pairs.diff() > 0).all()) for pairs in picks)
    assert not torch.equal(*picks)


@pytest.mark.parametrize("micro", [4, 1])
def test_the_logged_terms_add_up_to_the_loss(tmp_path: Path, frames: Reader, micro: int):
    options = config("none")
    options = replace(options, training=replace(options.training, logging_steps=3))
    run = trainer(tmp_path, frames, options, micro_batch=micro, accumulation=4 // micro)
    run.train()
    rows = [row for row in run.state.log_history if "loss" in row]
    assert [row["step"] for row in rows] == [1, 3, 6]
    for row in rows:
        terms = {name: row[name] for name in row if name.startswith("loss_")}
        assert set(terms) == {f"loss_{name}" for name in ("task", "distillation", *AUXILIARY)}
        assert sum(terms.values()) == pytest.approx(row["loss"], rel=1e-4, abs=1e-4)
    assert rows[-1]["loss_distillation"] < rows[0]["loss_distillation"] / 2, "annealed"


def test_only_what_was_added_needs_a_base(tmp_path: Path, frames: Reader):
    trainer(tmp_path, frames, config("none")).train()
    cpu = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")
    with pytest.raises(BackboneError, match="say which base"):
        load_for_answers(str(tmp_path / "checkpoint-6"), cpu)


def test_a_learned_selection_without_a_selector_is_refused(frames: Reader):
    options = config()
    model = random_model()
    use_batched_attention(model.model.visual)
    plain = backbone_of(model, architecture.tokenizer())
    with pytest.raises(ValueError, match="has no selector"):
        VideoSelector(options.video, options.selection, 0, plain)


class Rendered:
    """Rendered glitch videos in memory, with their questions."""

    def __init__(self, seed: int, videos: int, each: int) -> None:
        spec = NeedlesSpec(split="glitch", videos=videos, seed=seed, questions_per_video=each)
        plans = [sample_video(spec, index) for index in range(videos)]
        self.questions: Sequence[Question] = [row for plan in plans for row in questions(plan)]
        self._pixels = {plan.video_id: frame_pairs(plan).flatten(0, 1).numpy() for plan in plans}

    def frames(self, asked: Question) -> Frames:
        pixels = self._pixels[asked.video_id]
        places = np.arange(len(pixels))
        return Frames(pixels=pixels, indices=places, times=places / 8)


def measured(options: Config, backbone: Backbone, videos: Rendered) -> tuple[float, float]:
    """Needle recall, and accuracy of questions about one flash."""
    rows: list[Prediction] = []
    evaluate(
        options,
        backbone=backbone,
        dataset="unseen",
        questions=videos.questions,
        frames=videos.frames,
        seed=0,
        on_prediction=rows.append,
    )
    recalls = [row.needle_recall for row in rows if row.needle_recall is not None]
    right = [row.correct for row in rows if row.category == "attribute"]
    return sum(recalls) / len(recalls), sum(right) / len(right)


@pytest.mark.long
def test_the_selector_learns_to_find_what_is_asked_about(tmp_path: Path):
    seen, unseen = Rendered(11, 8, 8), Rendered(12, 6, 4)
    options = Config(
        video=VideoConfig(num_representatives=32, frame_resolution=(56, 56)),
        selection=SelectionConfig(query="learned", features="backbone"),
        model=ModelConfig(base_model="tiny", tuning="none", ntlbg_hidden_size=64),
        training=TrainingConfig(
            global_batch=8,
            max_steps=60,
            warmup_steps=3,
            lr_scheduler="linear",
            loss=LossConfig(distillation=1.0),
        ),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
    uniform = replace(
        options,
        selection=SelectionConfig(method="uniform"),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
    )
    backbone = loaded(options)
    before = measured(uniform, backbone, unseen)
    run = build_trainer(
        options,
        backbone=backbone,
        questions=seen.questions,
        frames=seen.frames,
        output_dir=tmp_path,
        micro_batch=8,
        accumulation=1,
        world_size=1,
        seed=1,
        device="cpu",
        precision="fp32",
        gradient_checkpointing=False,
    )
    run.train()
    after = measured(options, backbone, unseen)
    print(f"recall, attribute accuracy: uniform {before}, learned {after}")
    assert before[0] < 0.25 and after[0] > 0.6
    assert after[1] > before[1]
