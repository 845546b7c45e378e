"""Questions answered at once: never the reason that a run does not fit, or runs out of memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, EvaluationConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import Step, answering_footprint, run_footprint, training_footprint
from ntlbg_service.domain.fitting.answering import with_questions
from ntlbg_service.domain.fitting.fit import Fit, fit
from ntlbg_service.domain.hardware.profiles import PROFILES, NodeShape

NODE = NodeShape(cores=96, host_memory_gib=768, gpus=8)
STEP = Step(precision="bf16", attention="sdpa", accumulation=8)


def asked(kept: int, batch: int = 8, steps: int = 100, **model: str) -> Config:
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept),
        model=ModelConfig(**model),  # type: ignore[arg-type]
        training=TrainingConfig(max_steps=steps, warmup_steps=0),
        evaluation=EvaluationConfig(batch_size=batch),
    )


@given(
    kept=st.integers(2, 128).map(lambda eighths: 8 * eighths),
    batch=st.integers(1, 32),
    micro_batch=st.integers(1, 4),
    tuning=st.sampled_from(["lora", "full"]),
)
def test_answers_take_no_more_than_training(
    kept: int, batch: int, micro_batch: int, tuning: str
) -> None:
    config = asked(kept, batch, tuning=tuning)
    step = Step(precision="bf16", attention="sdpa", accumulation=8, micro_batch=micro_batch)
    found = with_questions(config, step)
    assert 1 <= found.questions <= batch
    training = training_footprint(config, found)
    assert run_footprint(config, found) == training
    assert answering_footprint(config, found).total <= training.total


def test_long_videos_are_answered_a_few_at_a_time() -> None:
    config = asked(1024)
    found = fit(config, PROFILES["A100-80GB"], NODE)
    assert isinstance(found, Fit) and found.questions < 8
    assert any("questions answered at once" in reason for reason in found.reasons)
    assert with_questions(asked(16), replace(STEP, micro_batch=8)).questions == 8


@pytest.mark.parametrize("kind", ["V100-16GB", "A100-80GB"])
def test_an_evaluation_alone_answers_as_many_as_fit(kind: str) -> None:
    config = asked(512, batch=16, steps=0, tuning="none")
    found = fit(config, PROFILES[kind], NODE)
    if kind == "V100-16GB":
        assert not isinstance(found, Fit)
        return
    assert isinstance(found, Fit) and found.reasons[1] == "evaluation alone"
    assert found.predicted_gib <= found.limit_gib and found.memory["optimizer"] == 0
    more = Step(precision=found.precision, attention=found.attention, questions=2 * found.questions)
    roomier = answering_footprint(config, more).total
    assert found.questions == 16 or roomier > found.limit_gib
