"""DeepSpeed trains, saves and answers: real ZeRO in processes of its own, in bf16 and fp32."""

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.multiprocessing import spawn

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.video import Frames
from ntlbg_model.evaluation import evaluate
from ntlbg_model.footprint import Offload
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.records import Question
from ntlbg_model.training import DTYPES, build_trainer
from tests.support.small_qwen import question

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


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the workers train."""

    workers: int = WORKERS
    stage: Literal[0, 2, 3]
    offload: Offload = "none"
    precision: str = "bf16"


def work(rank: int, folder: str, port: int, way: Way) -> None:
    """A worker: trains, saves, and answers with what it trained."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(way.workers),
        LOCAL_WORLD_SIZE=str(way.workers),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        ACCELERATE_TORCH_DEVICE="cpu",
    )
    torch.set_num_threads(1)
    check_answers(train(folder, way))
    torch.distributed.destroy_process_group()


def train(folder: str, way: Way) -> Backbone:
    """Two steps of the same two samples each, however many workers share them."""
    backbone = load_backbone(
        CONFIG.model,
        dtype=DTYPES[way.precision],
        device="cpu",
        attention="sdpa",
        to_spread=way.stage == 3,
    )
    build_trainer(
        CONFIG,
        backbone=backbone,
        questions=[question(i) for i in range(4)],
        frames=rendered,
        output_dir=Path(folder),
        micro_batch=1,
        accumulation=WORKERS // way.workers,
        world_size=way.workers,
        seed=1,
        device="cpu",
        precision=way.precision,
        gradient_checkpointing=True,
        zero_stage=way.stage,
        offload=way.offload,
    ).train()
    return backbone


def check_answers(backbone: Backbone) -> None:
    """Every question is answered by what was trained."""
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


def saved_by(folder: Path, way: Way) -> dict[str, torch.Tensor]:
    """The model that the workers' last checkpoint has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spawn(work, (str(folder), port, way), nprocs=way.workers)
    return load_file(folder / "checkpoint-2" / "model.safetensors")


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way(workers=1, stage=2), id="ZeRO-2", marks=pytest.mark.long),
        pytest.param(Way(stage=3), id="ZeRO-3", marks=pytest.mark.long),
    ],
)
def test_half_precision_trains_and_saves_the_whole_model(tmp_path: Path, way: Way) -> None:
    saved = saved_by(tmp_path, way)
    whole = load_backbone(CONFIG.model, dtype=torch.bfloat16, device="cpu", attention="sdpa")
    assert set(saved) == set(whole.model.state_dict())
    assert all(value.isfinite().all() for value in saved.values())
    tower = whole.visual.state_dict()
    assert all(torch.equal(saved[f"model.visual.{name}"], tower[name]) for name in tower)


def test_weights_that_are_spread_and_moved_become_what_one_worker_makes_of_them(
    tmp_path: Path,
) -> None:
    alone = train(str(tmp_path / "alone"), Way(workers=1, stage=0, precision="fp32"))
    way = Way(stage=3, offload="all", precision="fp32")
    spread = saved_by(tmp_path / "spread", way)
    fresh = load_backbone(CONFIG.model, dtype=torch.float32, device="cpu", attention="sdpa")
    start, whole = fresh.model.state_dict(), alone.model.state_dict()
    assert set(spread) == set(whole)
    moved = torch.cat([(whole[name] - start[name]).flatten() for name in whole])
    off = torch.cat([(spread[name] - whole[name]).flatten() for name in whole])
    assert moved.norm() > 0
    assert off.norm() < 1e-2 * moved.norm()


def rendered(asked: Question) -> Frames:
    """Noise, the same for a video wherever it is read."""
    rng = np.random.default_rng(sum(asked.video_id.encode()))
    pixels = rng.integers(0, 256, (40, 28, 28, 3), np.uint8)
    return Frames(pixels=pixels, indices=3 * np.arange(40), times=np.arange(40) / 8)
