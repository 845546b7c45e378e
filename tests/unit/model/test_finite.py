"""The probe of half precision: overflow ends a run before its first step, and leaves no trace."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.learning.finite import NonFiniteLossError, refusal, what_is_not_finite
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import backbone_of
from ntlbg_model.records import Question
from ntlbg_model.tiny_base import architecture
from ntlbg_model.training import NTLBGTrainer, build_trainer
from ntlbg_service.domain.recovery import Ended, FailureClass, decide
from ntlbg_service.runner.failures import classify
from tests.support.small_qwen import question, random_model

Reader = Callable[[Question], Frames]


def answer_loss(backbone: Backbone) -> Tensor:
    """Of one question about noise."""
    generator = torch.Generator().manual_seed(0)
    sample = Sample(
        prompt=build_prompt(question(1), backbone.tokenizer, "option_words"),
        pixels=torch.randint(0, 256, (4, 2, 28, 28, 3), generator=generator, dtype=torch.uint8),
        pairs=torch.arange(4),
        answer=1,
    )
    logits = answer_logits(backbone, collate([sample], backbone.video_token))
    return cross_entropy(logits, torch.tensor([7]))


def loud(dtype: torch.dtype) -> Backbone:
    """Activations beyond 65504, which fp32 and bf16 hold."""
    model = random_model()
    with torch.no_grad():
        model.model.language_model.layers[0].mlp.down_proj.weight *= 1e5
    model.model.visual.requires_grad_(False)
    return backbone_of(model.to(dtype), architecture.tokenizer())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_activations_beyond_fp16_are_found_in_fp16_alone(dtype: torch.dtype):
    backbone = loud(dtype)
    found = what_is_not_finite(backbone.model, lambda: answer_loss(backbone))
    assert found == ("the loss is nan" if dtype == torch.float16 else None)


def test_a_finite_loss_with_an_infinite_gradient_is_found():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(layer.weight)
    found = what_is_not_finite(layer, lambda: layer(torch.ones(1, 2)).abs().sqrt().sum())
    assert found == "the gradient of weight is not finite"


def test_the_probe_leaves_no_trace():
    layer = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert what_is_not_finite(layer, lambda: layer(torch.ones(2, 4)).sum()) is None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in layer.parameters())


def trainer(folder: Path, frames: Reader, backbone: Backbone, precision: str) -> NTLBGTrainer:
    config = Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="random"),
        training=TrainingConfig(global_batch=2, max_steps=4, warmup_steps=0, save_steps=2),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
    return build_trainer(
        config,
        backbone=backbone,
        questions=[question(i) for i in range(4)],
        frames=frames,
        output_dir=folder,
        micro_batch=1,
        accumulation=2,
        world_size=1,
        seed=1,
        device="cpu",
        precision=precision,
        gradient_checkpointing=False,
    )


def test_a_run_that_overflows_ends_before_its_first_step(tmp_path: Path, frames: Reader):
    backbone = loud(torch.float32)
    with torch.no_grad():
        # An elementwise product beyond fp32: infinite on every processor, whatever the order in
        # which its matrix units add up.
        backbone.base.model.language_model.norm.weight.fill_(torch.finfo(torch.float32).max)
    before = [weight.clone() for weight in backbone.model.parameters()]
    run = trainer(tmp_path, frames, backbone, "bf16")
    with pytest.raises(NonFiniteLossError) as caught:
        run.train()
    assert str(caught.value) == (
        "training.precision bf16: the loss is nan on the first batch, before any step; "
        "use training.precision 'fp32'"
    )
    assert run.state.global_step == 0
    pairs = zip(before, backbone.model.parameters(), strict=True)
    assert all(torch.equal(was, weight) for was, weight in pairs)
    failure, message = classify(caught.value)
    assert failure is FailureClass.NON_FINITE and message.endswith(str(caught.value))
    assert not decide([Ended(failure=failure)]).retry


def test_fp16_names_both_ways_out_and_a_worker_speaks_for_the_others():
    assert str(refusal("fp16", None)) == (
        "training.precision fp16: another worker's loss or gradient is not finite on the first "
        "batch, before any step; use training.precision 'bf16' on a card that has it, or 'fp32'"
    )


def test_a_probed_training_is_bit_for_bit_one_without_and_resumes_unprobed(
    tmp_path: Path, frames: Reader, monkeypatch: pytest.MonkeyPatch
):
    probes: list[str] = []

    def run(folder: str, *, probed: bool = True, resume: str | None = None) -> list[Tensor]:
        def probe(model: nn.Module, loss: Callable[[], Tensor], *, backward: bool) -> str | None:
            assert backward
            probes.append(folder)
            return what_is_not_finite(model, loss) if probed else None

        monkeypatch.setattr("ntlbg_model.training.trainer.what_is_not_finite", probe)
        found = trainer(tmp_path / folder, frames, quiet(), "bf16")
        found.train(resume_from_checkpoint=resume)
        return [weight.detach() for weight in found.model.parameters()]

    whole = run("whole")
    bare = run("bare", probed=False)
    again = run("again", resume=str(tmp_path / "whole" / "checkpoint-2"))
    assert probes == ["whole", "bare"]
    for other in (bare, again):
        assert all(torch.equal(x, y) for x, y in zip(whole, other, strict=True))


def quiet() -> Backbone:
    model = random_model()
    model.model.language_model.config.attention_dropout = 0.1
    for layer in model.model.language_model.layers:
        layer.self_attn.attention_dropout = 0.1
    model.model.visual.requires_grad_(False)
    return backbone_of(model, architecture.tokenizer())
