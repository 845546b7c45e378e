"""Training: the same samples in the same order however it is split, stopped and resumed."""

import gc
import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    SelectionConfig,
    TemporalConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames, VideoError
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.learning.finite import NonFiniteLossError
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import backbone_of, load_backbone
from ntlbg_model.records import Question
from ntlbg_model.tiny_base import architecture
from ntlbg_model.training import NoTrainingDataError, NTLBGTrainer, build_trainer
from ntlbg_model.training.sampling import MixtureSampler, Share, StreamSampler
from tests.support.small_qwen import question, random_model

Reader = Callable[[Question], Frames]


def config(steps: int = 6, batch: int = 4) -> Config:
    return Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="random"),
        training=TrainingConfig(
            global_batch=batch,
            max_steps=steps,
            warmup_steps=1,
            learning_rate=1e-3,
            save_steps=3,
            logging_steps=1,
        ),
        evaluation=EvaluationConfig(scoring="option_words"),
    )


def fresh() -> Backbone:
    model = random_model()
    use_batched_attention(model.model.visual)
    model.model.visual.requires_grad_(False)
    return backbone_of(model, architecture.tokenizer())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    base = fresh()
    base.base.save_pretrained(tmp_path / "base")
    base.tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def loaded(folder: Path, **options: object) -> Backbone:
    config = ModelConfig(base_model=str(folder), **options)
    return load_backbone(config, dtype=torch.float32, device="cpu", attention="sdpa")


def trainer(folder: Path, frames: Reader, **changes: object) -> NTLBGTrainer:
    chosen = changes.pop("config", None) or config()
    options: dict[str, object] = {
        "backbone": fresh(),
        "questions": [question(i) for i in range(10)],
        "micro_batch": 2,
        "accumulation": 2,
        "world_size": 1,
        "seed": 5,
        "device": "cpu",
        "precision": "fp32",
        "gradient_checkpointing": False,
        "callbacks": [],
    }
    return build_trainer(chosen, frames=frames, output_dir=folder, **(options | changes))


def weights(run: NTLBGTrainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def losses(run: NTLBGTrainer) -> list[float]:
    return [row["loss"] for row in run.state.log_history if "loss" in row]


class StopAt(TrainerCallback):
    """Ends a training early, as a kill between two steps would."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self._step


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_resuming_gives_the_same_bits(tmp_path: Path, frames: Reader, stored: Path, tuning: str):
    def start(folder: str, *callbacks: TrainerCallback) -> NTLBGTrainer:
        model = loaded(stored, tuning=tuning, lora_dropout=0.1)
        return trainer(tmp_path / folder, frames, backbone=model, callbacks=list(callbacks))

    whole = start("whole")
    whole.train()
    start("part", StopAt(3)).train()
    resumed = start("part")
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    assert resumed.state.global_step == 6
    assert losses(resumed) == losses(whole)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_the_optimizer_is_gone_when_a_training_is_over(tmp_path: Path, frames: Reader):
    """An evaluation after it is predicted without the optimizer's states."""
    run = trainer(tmp_path, frames)
    run.train()
    model, states = run.model, [weakref.ref(t) for t in moments(run)]
    assert states and all(ref() is not None for ref in states)
    del run
    gc.collect()
    assert model is not None and all(ref() is None for ref in states)


def moments(run: NTLBGTrainer) -> list[torch.Tensor]:
    states = run.optimizer.state.values()
    return [value for state in states for value in state.values() if value.numel() > 1]


def test_another_model_s_checkpoint_is_refused(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames)
    run.train()
    checkpoint = tmp_path / "checkpoint-3"
    stored = load_file(checkpoint / "model.safetensors")
    save_file(
        {f"other.{name}": value for name, value in stored.items()},
        checkpoint / "model.safetensors",
    )
    with pytest.raises(RuntimeError, match="the checkpoint is not of this model"):
        trainer(tmp_path, frames).train(resume_from_checkpoint=str(checkpoint))


def test_the_split_of_the_global_batch_does_not_change_what_is_learned(
    tmp_path: Path, frames: Reader
):
    runs = []
    for micro, accumulation in ((4, 1), (2, 2), (1, 4)):
        run = trainer(tmp_path, frames, micro_batch=micro, accumulation=accumulation)
        run.train()
        runs.append(run)
    for other in runs[1:]:
        assert losses(other) == pytest.approx(losses(runs[0]), rel=1e-3)
        for name, value in weights(runs[0]).items():
            assert torch.allclose(value, weights(other)[name], atol=1e-3), name


def test_the_loss_falls_and_the_vision_tower_stays(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames, questions=[question(1), question(2)])
    before = weights(run)
    run.train()
    after = weights(run)
    assert losses(run)[-1] < losses(run)[0]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any("visual" in name for name in changed)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_gradient_checkpointing_changes_nothing_that_is_learned(
    tmp_path: Path, frames: Reader, stored: Path, tuning: str
):
    plain, saving = (
        trainer(
            tmp_path / str(flag),
            frames,
            backbone=loaded(stored, tuning=tuning),
            gradient_checkpointing=flag,
        )
        for flag in (False, True)
    )
    plain.train()
    saving.train()
    assert losses(saving) == pytest.approx(losses(plain), rel=1e-4)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_trained_tower_is_trained_saved_and_resumed(
    tmp_path: Path, frames: Reader, stored: Path, checkpointing: bool
):
    def start(folder: str, *callbacks: TrainerCallback) -> NTLBGTrainer:
        return trainer(
            tmp_path / folder,
            frames,
            backbone=loaded(stored, tuning="full", vision="trained"),
            gradient_checkpointing=checkpointing,
            callbacks=list(callbacks),
        )

    part = start("part", StopAt(3))
    before = weights(part)
    part.train()
    after = weights(part)
    tower = {name for name in before if "visual" in name}
    assert tower and all(not torch.equal(before[name], after[name]) for name in tower)
    kept = load_file(tmp_path / "part" / "checkpoint-3" / "model.safetensors")
    assert all(torch.equal(kept[name], after[name]) for name in tower)
    whole, resumed = start("whole"), start("part")
    whole.train()
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-3"))
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_checkpointing_a_trained_tower_changes_nothing_and_it_learns_beside_a_connector(
    tmp_path: Path, frames: Reader, stored: Path
):
    found = []
    for flag in (False, True):
        layers = TemporalConfig(layers=2)
        model = loaded(stored, tuning="full", vision="trained", temporal=layers)
        before = [weight.detach().clone() for weight in model.visual.parameters()]
        run = trainer(tmp_path / str(flag), frames, backbone=model, gradient_checkpointing=flag)
        run.train()
        found.append(losses(run))
        pairs = zip(before, model.visual.parameters(), strict=True)
        assert all(not torch.equal(was, weight) for was, weight in pairs)
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize(
    ("method", "looks", "through"),
    [
        ("ntlbg", {"features": "backbone"}, True),
        ("aks", {"similarity": "backbone"}, True),
        ("uniform", {"features": "backbone", "similarity": "backbone"}, False),
        ("ntlbg", {"similarity": "backbone"}, False),
    ],
)
def test_a_selection_through_a_tower_that_changes_is_refused(
    method: str, looks: dict[str, str], through: bool
):
    selection = SelectionConfig(method=method, **looks)
    trained = ModelConfig(tuning="full", vision="trained")
    assert selection.looks_through_backbone == through
    if through:
        with pytest.raises(ValueError, match=r"model.vision 'trained' changes what a selection"):
            Config(selection=selection, model=trained)
    assert Config(selection=SelectionConfig(method=method), model=trained).model == trained


def test_what_is_tuned_in_fp16_is_kept_in_fp32(stored: Path):
    config = ModelConfig(base_model=str(stored), tuning="full", vision="frozen")
    mixed = load_backbone(config, dtype=torch.float16, device="cpu", attention="sdpa")
    model = mixed.base
    kinds = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    assert kinds == {torch.float32}
    assert {weight.dtype for weight in model.model.visual.parameters()} == {torch.float16}
    sample = Sample(
        prompt=build_prompt(question(1), mixed.tokenizer, "option_words"),
        pixels=torch.zeros(2, 2, 28, 28, 3, dtype=torch.uint8),
        pairs=torch.arange(2),
        answer=1,
    )
    assert answer_logits(mixed, collate([sample], mixed.video_token)).isfinite().all()


def test_the_split_must_make_the_global_batch(tmp_path: Path, frames: Reader):
    with pytest.raises(ValueError, match="is not the global batch 4"):
        trainer(tmp_path, frames, micro_batch=3)


def test_broken_videos_are_named_and_left_out(tmp_path: Path, frames: Reader, caplog):
    def read(asked: Question) -> Frames:
        if asked.video_id == "v3":
            raise VideoError(Path("v3.mp4"), "truncated")
        found = frames(asked)
        if asked.video_id == "v4":
            return Frames(pixels=found.pixels[:1], indices=found.indices[:1], times=found.times[:1])
        return found

    run = trainer(tmp_path, read)
    assert len(run.train_dataset) == 8
    assert "v3.mp4: truncated" in caplog.text and "v4.mp4: has 1 frames" in caplog.text
    with pytest.raises(NoTrainingDataError):
        trainer(tmp_path, read, questions=[question(3)])


@pytest.mark.parametrize("world", [1, 2, 4])
def test_a_step_sees_the_same_samples_at_any_world_size(world: int):
    stream = list(StreamSampler(10, 40, seed=3))
    step = 4
    dealt = [[stream[i] for i in range(len(stream)) if i % world == rank] for rank in range(world)]
    share = step // world
    for number in range(10):
        seen = [i for rank in dealt for i in rank[number * share : (number + 1) * share]]
        assert sorted(seen) == sorted(stream[number * step : (number + 1) * step])


def test_an_epoch_visits_each_sample_once_and_epochs_differ():
    stream = list(StreamSampler(10, 30, seed=3))
    epochs = [stream[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert stream == list(StreamSampler(10, 30, seed=3))
    assert stream != list(StreamSampler(10, 30, seed=4))


def test_sets_are_drawn_from_by_their_weights():
    sets = [Share(10, 0.5), Share(4, 0.3), Share(6, 0.2)]
    stream = list(MixtureSampler(sets, 200, seed=3))
    of = [0 if index < 10 else 1 if index < 14 else 2 for index in stream]
    assert [of.count(place) for place in range(3)] == [100, 60, 40]
    for moment in range(1, 201):
        drawn = [of[:moment].count(place) for place in range(3)]
        shares = [each.weight * moment for each in sets]
        assert all(abs(n - share) < 1 for n, share in zip(drawn, shares, strict=True))
    first = [index for index in stream if index < 10]
    assert all(sorted(first[i : i + 10]) == list(range(10)) for i in range(0, 100, 10))
    assert stream == list(MixtureSampler(sets, 200, seed=3))


def test_one_set_alone_is_its_stream():
    assert list(MixtureSampler([Share(10, 0.4)], 35, seed=3)) == list(StreamSampler(10, 35, seed=3))


def test_a_training_draws_by_weight_from_what_is_readable(tmp_path: Path, frames: Reader):
    def read(asked: Question) -> Frames:
        if asked.question_id == question(7).question_id:
            raise VideoError(Path("v7.mp4"), "truncated")
        return frames(asked)

    run = trainer(tmp_path, read, sets=[Share(5, 3.0), Share(5, 1.0)])
    drawn = list(run._get_train_sampler())
    assert len(run.train_dataset) < 10
    assert sum(index < 5 for index in drawn) == 3 * len(drawn) // 4
    with pytest.raises(ValueError, match="do not add up"):
        trainer(tmp_path, frames, sets=[Share(5, 3.0)])


def breaks(run: NTLBGTrainer, steps: set[int]) -> list[list[torch.Tensor]]:
    """Make the loss of the first micro-batch of these steps NaN; the weights after each step."""
    after: list[list[torch.Tensor]] = []
    inner, seen = run._loss, set()

    def loss(model: torch.nn.Module, inputs: dict[str, object]) -> object:
        value, logits, weighted = inner(model, inputs)
        step = run.state.global_step + 1
        if step in steps - seen:
            seen.add(step)
            value = value * float("nan")
        return value, logits, weighted

    class Kept(TrainerCallback):
        def on_step_end(self, *args: object, **kwargs: object) -> None:
            after.append([weight.detach().clone() for weight in run.model.parameters()])

    run._loss = loss
    run.add_callback(Kept())
    return after


def skipping(steps: int) -> Config:
    whole = config(steps)
    return replace(whole, training=replace(whole.training, on_non_finite="skip"))


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(one, other, strict=True))


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames)
    breaks(run, {2})
    with pytest.raises(NonFiniteLossError, match=r"^loss nan at step 2$"):
        run.train()


def test_a_step_that_is_not_finite_is_skipped_where_the_config_says_so(
    tmp_path: Path, frames: Reader
):
    run = trainer(tmp_path, frames, config=skipping(6))
    after = breaks(run, {2, 3})
    run.train()
    moved = [not equal(before, now) for before, now in pairwise(after)]
    assert moved == [False, False, True, True, True]
    lines = [line for line in run.state.log_history if "loss" in line]
    assert [line["skipped_steps"] for line in lines] == [0, 1, 1, 0, 0, 0]
    rates = [line["learning_rate"] for line in lines]
    assert rates[1] == rates[2] == rates[3] > rates[4] > rates[5]  # The schedule waits, too.
    assert all(math.isfinite(value) for line in lines for value in line.values())


def test_steps_that_are_never_finite_end_the_run_all_the_same(tmp_path: Path, frames: Reader):
    run = trainer(tmp_path, frames, config=skipping(6))
    breaks(run, {2, 3, 4, 5, 6})
    with pytest.raises(NonFiniteLossError, match=r"^5 steps in a row were not finite.* step 6$"):
        run.train()
