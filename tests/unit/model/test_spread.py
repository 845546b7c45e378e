"""DeepSpeed trains, saves and answers in half precision: two processes, real ZeRO."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_qwen import question
from torch.multiprocessing import spawn

from ntlbg_model.backbone.model import load_backbone
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.records import Question
from ntlbg_model.data.video import Frames
from ntlbg_model.evaluation import evaluate
from ntlbg_model.training import build_trainer

WORKERS = 2
CONFIG = Config(
    model=ModelConfig(base_model="tiny", tuning="full", vision_cache_mib=16),
    video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
    selection=SelectionConfig(method="random"),
    training=TrainingConfig(
        global_batch=WORKERS, max_steps=2, warmup_steps=0, save_steps=2, logging_steps=1
    ),
    evaluation=EvaluationConfig(scoring="option_words"),
)


def work(rank: int, folder: str, port: int, stage: int) -> None:
    """A worker: trains, saves, and answers with what it trained."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(WORKERS),
        LOCAL_WORLD_SIZE=str(WORKERS),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        ACCELERATE_TORCH_DEVICE="cpu",
    )
    torch.set_num_threads(1)
    backbone = load_backbone(
        CONFIG.model,
        dtype=torch.bfloat16,
        device="cpu",
        attention="sdpa",
        to_spread=stage == 3,
    )
    trainer = build_trainer(
        CONFIG,
        backbone=backbone,
        questions=[question(i) for i in range(4)],
        frames=rendered,
        output_dir=Path(folder),
        micro_batch=1,
        accumulation=1,
        world_size=WORKERS,
        seed=1,
        device="cpu",
        precision="bf16",
        gradient_checkpointing=True,
        zero_stage=stage,
    )
    trainer.train()
    answered: list[int | None] = []
    evaluate(
        replace(CONFIG, evaluation=replace(CONFIG.evaluation, batch_size=2)),
        backbone=backbone,
        dataset="d",
        questions=[question(i) for i in range(4)],
        frames=rendered,
        seed=1,
        on_prediction=lambda row: answered.append(row.answer),
    )
    assert None not in answered and len(answered) == 4
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("stage", [2, 3])
def test_half_precision_trains_and_saves_the_whole_model(tmp_path: Path, stage: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn(work, (str(tmp_path), port, stage), nprocs=WORKERS)
    saved = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    whole = load_backbone(CONFIG.model, dtype=torch.bfloat16, device="cpu", attention="sdpa")
    assert set(saved) == set(whole.model.state_dict())
    assert all(value.isfinite().all() for value in saved.values())
    tower = whole.visual.state_dict()
    assert all(torch.equal(saved[f"model.visual.{name}"], tower[name]) for name in tower)


def rendered(asked: Question) -> Frames:
    """Noise, the same for a video wherever it is read."""
    rng = np.random.default_rng(sum(asked.video_id.encode()))
    pixels = rng.integers(0, 256, (40, 28, 28, 3), np.uint8)
    return Frames(pixels=pixels, indices=3 * np.arange(40), times=np.arange(40) / 8)
