"""What options add trains, saves, resumes and is counted, on the tiny base model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.video_points import VideoPoints
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    RichPointsConfig,
    SelectionConfig,
    TemporalConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames
from ntlbg_model.evaluation import evaluate
from ntlbg_model.geometry.connector_size import CONTEXT_WIDTH, connector_bytes, connector_parameters
from ntlbg_model.inputs.collate import collate
from ntlbg_model.inputs.points import cell_context
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.connector import build_connector
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.modeling.model import OPTIONS, WEIGHTS, NTLBGModel, connector_of, saved_options
from ntlbg_model.records import Prediction, Question
from ntlbg_model.training import NTLBGTrainer, QuestionSamples, build_trainer
from tests.support.small_qwen import question

Reader = Callable[[Question], Frames]

RICH = RichPointsConfig(enabled=True, feature_dim=16)
TEMPORAL = TemporalConfig(layers=2)
TRAINED = {
    "video_llama2": {"reducer": "video_llama2"},
    "videollama": {"reducer": "videollama"},
    "valley_v3": {"reducer": "valley", "valley_pooling": "transformer"},
    "rich_points": {"rich_points": RICH},
    "appended": {"rich_points": replace(RICH, multi_scale="appended")},
    "temporal": {"temporal": TEMPORAL},
    "bank": {"temporal": TemporalConfig(layers=2, memory_bank_size=3)},
    "together": {"reducer": "llava_video", "rich_points": RICH, "temporal": TEMPORAL},
}
TOKENS = {"pllava": 8, "llava_video": 16, "video_chatgpt": 9, "video_llama2": 5, "videollama": 32}


def config(**model: object) -> Config:
    return Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="uniform"),
        model=ModelConfig(base_model="tiny", lora_rank=4, **model),
        training=TrainingConfig(
            global_batch=2,
            max_steps=4,
            warmup_steps=0,
            learning_rate=1e-2,
            save_steps=2,
            logging_steps=1,
        ),
        evaluation=EvaluationConfig(scoring="option_words"),
    )


def loaded(options: Config) -> Backbone:
    return load_backbone(options.model, dtype=torch.float32, device="cpu", attention="sdpa")


def trainer(
    options: Config, folder: Path, frames: Reader, *callbacks: TrainerCallback, **changes: object
) -> NTLBGTrainer:
    settings = {"gradient_checkpointing": False, "micro_batch": 2, "accumulation": 1} | changes
    return build_trainer(
        options,
        backbone=loaded(options),
        questions=[question(i) for i in range(4)],
        frames=frames,
        output_dir=folder,
        world_size=1,
        seed=5,
        device="cpu",
        precision="fp32",
        callbacks=list(callbacks),
        **settings,
    )


def weights(run: NTLBGTrainer) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in run.model.named_parameters() if p.requires_grad}


class StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self._step


@pytest.mark.parametrize("name", TRAINED)
def test_every_added_weight_learns(name: str, tmp_path: Path, frames: Reader):
    run = trainer(config(**TRAINED[name]), tmp_path, frames)
    before = weights(run)
    run.train()
    added = [key for key in before if key.startswith("connector.")]
    still = [key for key in added if torch.equal(before[key], weights(run)[key])]
    assert added and still == []
    assert any(key.startswith("base.") for key in before)


@pytest.mark.parametrize("name", ["video_llama2", "together"])
def test_resuming_gives_the_same_bits(name: str, tmp_path: Path, frames: Reader):
    options = config(**TRAINED[name])
    whole = trainer(options, tmp_path / "whole", frames)
    whole.train()
    trainer(options, tmp_path / "part", frames, StopAt(2)).train()
    resumed = trainer(options, tmp_path / "part", frames)
    resumed.train(resume_from_checkpoint=str(tmp_path / "part" / "checkpoint-2"))
    assert resumed.state.global_step == 4
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[key]), key


def test_full_tuning_resumes_too(tmp_path: Path, frames: Reader):
    options = config(reducer="llava_video", tuning="full")
    trainer(options, tmp_path, frames, StopAt(2)).train()
    folder = tmp_path / "checkpoint-2"
    run, again = (trainer(options, tmp_path, frames) for _ in range(2))
    run.train(resume_from_checkpoint=str(folder))
    again.train(resume_from_checkpoint=str(folder))
    fresh = trainer(options, tmp_path, frames)
    fresh._load_from_checkpoint(str(folder))
    stored = NTLBGModel.from_pretrained(loaded(options).model.base, folder)
    assert stored.connector is not None
    assert torch.equal(stored.connector.reducer.newline, fresh.model.connector.reducer.newline)
    assert all(torch.equal(v, weights(again)[k]) for k, v in weights(run).items())


def test_the_added_weights_lie_beside_the_base_s(tmp_path: Path, frames: Reader):
    options = config(**TRAINED["together"])
    run = trainer(options, tmp_path, frames, StopAt(2))
    run.train()
    folder = tmp_path / "checkpoint-2"
    assert (folder / WEIGHTS).is_file() and (folder / "adapter_model.safetensors").is_file()
    restored = NTLBGModel.from_pretrained(loaded(options).model.base, folder)
    for key, value in run.model.connector.state_dict().items():
        assert torch.equal(value, restored.connector.state_dict()[key]), key
    stored = json.loads((folder / OPTIONS).read_text())["connector"]
    assert stored["reducer"] == "llava_video" and stored["context_width"] == CONTEXT_WIDTH
    assert connector_of(stored) is not None


def test_a_reducer_without_weights_resumes_like_any_other(tmp_path: Path, frames: Reader):
    options = config(reducer="pllava")
    trainer(options, tmp_path, frames, StopAt(2)).train()
    resumed = trainer(options, tmp_path, frames)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed.state.global_step == 4


def test_a_selector_is_saved_beside_the_connector(tmp_path: Path):
    base = loaded(config()).model
    model = NTLBGModel(base, None, torch.nn.Linear(3, 2), {"selector": {"inputs": 3}})
    model.save_pretrained(tmp_path)
    assert saved_options(tmp_path) == {"selector": {"inputs": 3}}
    restored = NTLBGModel.from_pretrained(base, tmp_path, torch.nn.Linear(3, 2))
    assert torch.equal(restored.selector.weight, model.selector.weight)
    assert restored.connector is None


@pytest.mark.parametrize("reducer", ["videollama", "video_llama2"])
def test_a_reducer_that_must_learn_is_not_evaluated_untrained(reducer: str):
    untrained = TrainingConfig(max_steps=0, warmup_steps=0)
    with pytest.raises(ValueError, match=f"'{reducer}' is trained from scratch"):
        Config(model=ModelConfig(reducer=reducer), training=untrained)


def test_weights_of_other_parts_are_refused(tmp_path: Path, frames: Reader):
    run = trainer(config(**TRAINED["temporal"]), tmp_path, frames, StopAt(2))
    run.train()
    other = loaded(config(**TRAINED["rich_points"])).model
    with pytest.raises(RuntimeError, match=r"\d+ added weights are missing, \d+ are unknown"):
        other.load_added(tmp_path / "checkpoint-2")


def test_checkpointing_changes_nothing_that_is_learned(tmp_path: Path, frames: Reader):
    options = config(**TRAINED["together"])
    plain = trainer(options, tmp_path / "a", frames)
    saving = trainer(options, tmp_path / "b", frames, gradient_checkpointing=True)
    plain.train()
    saving.train()
    losses = [[row["loss"] for row in run.state.log_history[:4]] for run in (plain, saving)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def logits(options: Config, frames: Reader) -> torch.Tensor:
    backbone = loaded(options)
    asked = [question(i) for i in range(3)]
    samples = QuestionSamples(options, backbone, asked, frames, seed=1)
    batch = collate([samples[i] for i in range(3)], backbone.video_token)
    with torch.no_grad():
        return answer_logits(backbone, batch)


@pytest.mark.parametrize("name", ["rich_points", "temporal", "bank"])
def test_the_first_step_sees_plain_frames(name: str, frames: Reader):
    assert torch.equal(logits(config(**TRAINED[name]), frames), logits(config(), frames))


def test_a_data_parallel_wrapper_sees_every_trained_part(tmp_path: Path, frames: Reader):
    options = config(**TRAINED["together"])
    backbone = loaded(options)
    samples = QuestionSamples(options, backbone, [question(0)], frames, seed=1)
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(backbone.model)
        batch = collate([samples[0]], backbone.video_token)
        answer_logits(backbone, batch, wrapped).square().sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    trained = {name: p for name, p in backbone.model.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []


def test_half_precision_features_meet_full_precision_weights(frames: Reader):
    options = config(**TRAINED["together"])
    half = load_backbone(options.model, dtype=torch.bfloat16, device="cpu", attention="sdpa")
    samples = QuestionSamples(options, half, [question(0)], frames, seed=1)
    with torch.no_grad():
        found = answer_logits(half, collate([samples[0]], half.video_token))
    assert {p.dtype for p in half.model.connector.parameters()} == {torch.float32}
    assert torch.allclose(found[0], logits(options, frames)[0], atol=0.5)


def test_without_options_nothing_is_added():
    backbone = loaded(config())
    assert not isinstance(backbone.model, NTLBGModel)
    assert not any("connector" in name for name, _ in backbone.model.named_parameters())


@pytest.mark.parametrize("hidden", [192, 1536])
@pytest.mark.parametrize("name", [*TRAINED, "valley_v2", "pllava"])
def test_the_predicted_size_is_the_modules(name: str, hidden: int):
    more = {
        "valley_v2": {"reducer": "valley", "valley_pooling": "weighted"},
        "pllava": {"reducer": "pllava"},
    }
    options = ModelConfig(**(TRAINED | more)[name])
    with torch.device("meta"):
        built = build_connector(options, hidden, CONTEXT_WIDTH, seed=0)
    assert sum(p.numel() for p in built.parameters()) == connector_parameters(options, hidden)


def kept_bytes(options: ModelConfig, count: int) -> int:
    """Saved tensors of a forward pass over `count` pairs under autocast."""
    connector = build_connector(options, 256, CONTEXT_WIDTH, seed=0)
    pairs = 4 * torch.arange(count)
    context = cell_context(torch.randn(4 * count, CONTEXT_WIDTH), torch.rand(4 * count), pairs)
    kept: dict[int, torch.Tensor] = {}

    def keep(saved: torch.Tensor) -> torch.Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved
        return saved

    points = VideoPoints(pairs=pairs, times=pairs / 4, context=context)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        connector(torch.randn(count, 8, 8, 256).bfloat16(), points)
    return sum(saved.untyped_storage().nbytes() for saved in kept.values())


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "bank"])
def test_what_a_pair_keeps_in_memory_is_predicted(name: str):
    options = ModelConfig(**TRAINED[name])
    measured = kept_bytes(options, 32) - kept_bytes(options, 16)
    predicted = connector_bytes(options, 256, 32, 64) - connector_bytes(options, 256, 16, 64)
    assert 0 < measured <= predicted


@pytest.mark.parametrize("reducer", TOKENS)
def test_evaluation_reports_the_tokens_that_are_read(reducer: str, frames: Reader):
    options = config(reducer=reducer)
    found: list[Prediction] = []
    evaluate(
        options,
        backbone=loaded(options),
        dataset="set",
        questions=[question(0), question(1)],
        frames=frames,
        seed=1,
        on_prediction=found.append,
    )
    assert [row.visual_tokens for row in found] == [TOKENS[reducer]] * 2
    assert all(row.failure is None and len(row.scores) == 5 for row in found)
