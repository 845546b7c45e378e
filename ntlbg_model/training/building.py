"""A trainer for a config, as the fit of a run splits it."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

from ntlbg_model.backbone.beside import replicate_tower
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import Config
from ntlbg_model.footprint import Offload
from ntlbg_model.inputs.candidates import Candidates
from ntlbg_model.inputs.collate import Sample, collate, targets
from ntlbg_model.records import Question
from ntlbg_model.sharding import deepspeed_config, spread, without_compiled_collectives
from ntlbg_model.training.joint_data import QuestionCandidates
from ntlbg_model.training.samples import (
    FrameReader,
    NoTrainingDataError,
    QuestionSamples,
    usable_sets,
)
from ntlbg_model.training.sampling import Share
from ntlbg_model.training.trainer import NTLBGTrainer

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build_trainer(
    config: Config,
    *,
    backbone: Backbone,
    questions: Sequence[Question],
    frames: FrameReader,
    output_dir: Path,
    micro_batch: int,
    accumulation: int,
    world_size: int,
    seed: int,
    device: str,
    precision: str,
    gradient_checkpointing: bool,
    zero_stage: int = 0,
    offload: Offload = "none",
    callbacks: Sequence[TrainerCallback] = (),
    sets: Sequence[Share] = (),
) -> NTLBGTrainer:
    """A trainer for the config's steps over `questions`, which are those of `sets`, one after
    another (none: of one set).

    `micro_batch` x `accumulation` x `world_size` must be the config's global batch (ValueError).
    Raises NoTrainingDataError where no question can be trained on.
    """
    training = config.training
    if micro_batch * accumulation * world_size != training.global_batch:
        raise ValueError(
            f"micro-batch {micro_batch} x accumulation {accumulation} x workers {world_size} "
            f"is not the global batch {training.global_batch}"
        )
    mixed = usable_sets(questions, sets or [Share(len(questions))], frames)
    if not mixed:
        raise NoTrainingDataError("no training question has a known answer and a readable video")
    learned = config.selection.query == "learned"
    settings = deepspeed_config(
        zero_stage=zero_stage,
        offload=offload,
        micro_batch=micro_batch,
        accumulation=accumulation,
        max_grad_norm=training.max_grad_norm,
        precision=precision,
        pinned=device != "cpu",
    )
    if settings is not None and device == "cpu":
        without_compiled_collectives()
    arguments = TrainingArguments(
        output_dir=str(output_dir),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        max_steps=training.max_steps,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=training.warmup_steps,
        lr_scheduler_type=_SCHEDULES[training.lr_scheduler],
        max_grad_norm=training.max_grad_norm,
        save_steps=training.save_steps,
        logging_steps=training.logging_steps,
        logging_first_step=True,
        seed=seed,
        use_cpu=device == "cpu",
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        **{_CHECKPOINTING: gradient_checkpointing},
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=device != "cpu",
        deepspeed=settings,
    )
    if settings is not None and zero_stage == 3:
        replicate_tower(backbone)
        spread(backbone.model, settings, DTYPES[precision])
    return NTLBGTrainer(
        config,
        backbone,
        seed,
        [Share(len(found), weight) for found, weight in mixed],
        args=arguments,
        train_dataset=(QuestionCandidates if learned else QuestionSamples)(
            config, backbone, [row for found, _ in mixed for row in found], frames, seed
        ),
        data_collator=_candidates if learned else _prompts(backbone.video_token),
        callbacks=list(callbacks),
    )


def _candidates(rows: Sequence[Candidates]) -> dict[str, Any]:
    return {"candidates": rows, "targets": torch.tensor([row.target for row in rows])}


def _prompts(video_token: int) -> Callable[[Sequence[Sample]], dict[str, Any]]:
    return lambda samples: {"prompt": collate(samples, video_token), "targets": targets(samples)}


_CHECKPOINTING = (
    "activation_checkpointing"
    if any(field.name == "activation_checkpointing" for field in fields(TrainingArguments))
    else "gradient_checkpointing"
)
"""transformers renamed it within the versions that we allow."""

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
