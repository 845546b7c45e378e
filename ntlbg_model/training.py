"""Fine-tuning on multiple-choice questions with Hugging Face's Trainer."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from ntlbg_model.backbone.beside import stand_beside, weights_beside
from ntlbg_model.backbone.model import Backbone, answer_logits
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.config import PAIR, Config
from ntlbg_model.data.candidates import Candidates
from ntlbg_model.data.collate import Sample, collate, gather_pairs, targets
from ntlbg_model.data.points import PointReader
from ntlbg_model.data.records import Question
from ntlbg_model.data.video import Frames, VideoError
from ntlbg_model.footprint import Offload
from ntlbg_model.learning.finite import (
    ADVICE,
    NonFiniteLossError,
    Skips,
    refusal,
    what_is_not_finite,
)
from ntlbg_model.learning.joint import Questions
from ntlbg_model.learning.joint_data import QuestionCandidates
from ntlbg_model.learning.loss_schedule import loss_weights
from ntlbg_model.learning.loss_terms import PREFIX, TermMeans
from ntlbg_model.learning.sampling import StreamSampler
from ntlbg_model.model import NTLBGModel, save_plain
from ntlbg_model.selection.video import VideoSelector, video_seed
from ntlbg_model.sharding import deepspeed_config, spread, without_compiled_collectives
from ntlbg_model.tokens.visual_tokens import layout_of

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FrameReader = Callable[[Question], Frames]
"""Candidate frames of a question's video. Raises VideoError."""


class NoTrainingDataError(ValueError):
    """No question with a readable video and a known answer is left."""


class QuestionSamples(Dataset[Sample]):
    """Questions with the frame pairs that the config's selection keeps of their videos."""

    def __init__(
        self,
        config: Config,
        backbone: Backbone,
        questions: Sequence[Question],
        frames: FrameReader,
        seed: int,
    ) -> None:
        self._questions = questions
        self._frames = frames
        self._selector = VideoSelector(config.video, config.selection, seed, backbone)
        self._points = PointReader(config)
        self._layout = layout_of(config.model)
        self._tokens_per_second = backbone.tokens_per_second
        self._prompts = [
            build_prompt(question, backbone.tokenizer, config.evaluation.scoring)
            for question in questions
        ]

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Sample:
        question = self._questions[index]
        found = self._frames(question)
        pixels = torch.from_numpy(found.pixels.copy())
        pairs = self._selector.pairs(question.video_id, pixels, question.question)
        return Sample(
            prompt=self._prompts[index],
            pixels=gather_pairs(pixels, pairs),
            pairs=pairs,
            answer=question.answer,
            points=self._points.points(question.video_id, pixels, pairs, found.times),
            layout=self._layout,
            tokens_per_second=self._tokens_per_second,
            video=str(question.video_path),
        )


def readable(questions: Sequence[Question], frames: FrameReader) -> list[Question]:
    """Questions that can be trained on: a known answer and a video that decodes.

    Whatever is left out is named in the log, once a video.
    """
    broken: dict[str, bool] = {}
    for question in questions:
        if question.video_id not in broken:
            reason = _unreadable(question, frames)
            broken[question.video_id] = reason is not None
            if reason is not None:
                logger.warning("excluded from training: %s: %s", question.video_path, reason)
    return [row for row in questions if row.answer is not None and not broken[row.video_id]]


def _unreadable(question: Question, frames: FrameReader) -> str | None:
    """Why a question's video cannot be used, or None."""
    try:
        found = len(frames(question).pixels)
    except VideoError as error:
        return error.reason
    return None if found >= PAIR else f"has {found} frames, and selection needs {PAIR}"


class NTLBGTrainer(Trainer):  # type: ignore[misc]
    """Trainer with our sample order and a loss on the answer token, to which the terms of a
    learned selection are added."""

    def __init__(self, config: Config, backbone: Backbone, sample_seed: int, **kwargs: Any) -> None:
        super().__init__(model=backbone.model, **kwargs)
        self._config = config
        self._backbone = backbone
        self._sample_seed = sample_seed
        self._probed = False
        # Every micro-batch has one answer a sample, so the mean of means is the global mean.
        self.model_accepts_loss_kwargs = False
        self._terms = TermMeans()
        self._skips = Skips()

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        args = self.args
        samples_a_step = (
            args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        )
        return StreamSampler(
            len(self.train_dataset), args.max_steps * samples_a_step, self._sample_seed
        )

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any) -> Tensor:
        """One micro-batch, before the first of which half precision is probed on it. Raises
        NonFiniteLossError."""
        precision = "fp16" if self.args.fp16 else "bf16" if self.args.bf16 else "fp32"
        if not self._probed and self.state.global_step == 0 and precision in ADVICE:
            # DeepSpeed would count the probe's gradients into the first step, and looks at those
            # of each step itself.
            found = what_is_not_finite(
                model,
                lambda: self._loss(model, inputs)[0],
                backward=not self.is_deepspeed_enabled,
            )
            # All workers must agree, or those that go on wait for those that do not.
            broken = torch.tensor([found is not None], device=self.args.device)
            if self.accelerator.gather(broken).any():
                raise refusal(precision, found)
        self._probed = True
        if self._skipping and self.is_deepspeed_enabled:
            # It looks for what is not finite by itself in half precision alone.
            self.model_wrapped.optimizer.check_grad_overflow = True
        loss: Tensor = super().training_step(model, inputs, *args)
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Cross-entropy of the answer over the vocabulary, mean over the micro-batch, and the
        weighted terms of the selection. Raises NonFiniteLossError where the config says so."""
        loss, logits, weighted = self._loss(model, inputs)
        if math.isfinite(loss.item()):
            self._terms.add(weighted)
        elif self._skipping:
            self._skips.saw_loss()
        else:
            raise NonFiniteLossError(f"loss {loss.item()} at step {self.state.global_step + 1}")
        return (loss, logits) if return_outputs else loss

    def _loss(
        self, model: nn.Module, inputs: dict[str, Any]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss, the answers' logits, and the weighted terms that the loss is the sum of."""
        device = self.args.device
        step = self.state.global_step
        weights = loss_weights(self._config.training.loss, step, self.args.max_steps)
        terms: dict[str, Tensor] = {}
        if "candidates" in inputs:
            logits, terms = model(self._questions(inputs["candidates"], step).to(device))
        else:
            # A trained tower runs beside the wrapped model, and is to compute in its precision.
            with self.accelerator.autocast():
                logits = answer_logits(self._backbone, inputs["prompt"].to(device), model)
        task = functional.cross_entropy(logits, inputs["targets"].to(device))
        weighted = {name: weights[name] * value for name, value in {"task": task, **terms}.items()}
        return torch.as_tensor(sum(weighted.values())), logits, weighted

    @property
    def _skipping(self) -> bool:
        return self._config.training.on_non_finite == "skip"

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        """Clips; where broken steps are skipped, the gradients of one are dropped here: workers
        share them, so all of them drop the same. Raises NonFiniteLossError."""
        norm = super()._clip_grad_norm(model)
        if not self._skipping:
            return norm
        if self.args.fp16:
            # Loss scaling skips what is not finite itself, and finds its scale by such steps.
            broken = self._skips.loss_was_broken
        elif self.is_deepspeed_enabled:
            # It steps within the backward pass, and skips there.
            skipped = self.accelerator.optimizer_step_was_skipped
            broken = skipped or self._skips.loss_was_broken
        else:
            broken = not math.isfinite(norm)
        self._skips.count(broken, self.state.global_step + 1)
        if not self.args.fp16 and not self.is_deepspeed_enabled:
            # As those two do it themselves: the schedule waits for a step that is made.
            self.optimizer._is_overflow = broken
            if broken:
                model.zero_grad(set_to_none=True)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The Trainer's numbers and, beside the loss, the mean of each of its weighted terms."""
        if "loss" in logs:
            logs |= {
                f"{PREFIX}{name}": float(self.accelerator.gather(value.reshape(1)).mean())
                for name, value in self._terms.take().items()
            }
            if self._skipping:
                logs["skipped_steps"] = self._skips.take()
                if not math.isfinite(logs.get("grad_norm", 0.0)):
                    del logs["grad_norm"]
        super().log(logs, start_time)

    def _questions(self, rows: Sequence[Candidates], step: int) -> Questions:
        """The batch with its draws: a function of seed, step and question, so the same after a
        restart and however the batch is split."""
        seeds = [video_seed(self._sample_seed, f"{step}:{row.question_id}") for row in rows]
        draws = [torch.rand(1, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        teacher = None
        if self._config.training.loss.distillation > 0:
            shares = [row.teach().cpu() for row in rows]
            teacher = nn.utils.rnn.pad_sequence(shares, batch_first=True)
        return Questions(
            config=self._config, rows=tuple(rows), start=torch.cat(draws), teacher=teacher
        )

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """The usual optimizer, with the selector's own learning rate."""
        fresh = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
        if fresh and isinstance(self.model, NTLBGModel) and self.model.selector is not None:
            own = {id(weight) for weight in self.model.selector.parameters()}
            rate = self._config.training.selector_learning_rate
            _split_off(optimizer, own, rate)
        return optimizer

    @property
    def _base(self) -> Any:
        """The base model with its adapters, without what NTLBG adds."""
        return self.model.base if isinstance(self.model, NTLBGModel) else self.model

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        if not isinstance(self.model, NTLBGModel | PreTrainedModel):
            super()._save(output_dir, state_dict)
        elif not self.args.should_save:
            return
        elif isinstance(self.model, NTLBGModel):
            self.model.save_pretrained(folder, self._whole("base.", state_dict))
        else:
            save_plain(self.model, folder, self._whole("", state_dict))

    def _whole(self, prefix: str, state_dict: Any) -> Any:
        """What was gathered of the workers' shards, with what stands beside them."""
        beside = weights_beside(self._backbone)
        if not beside:
            return state_dict
        return {**state_dict, **{f"{prefix}{name}": value for name, value in beside.items()}}

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        if any(weight.requires_grad for weight in self._base.parameters()):
            super()._load_from_checkpoint(resume_from_checkpoint, model or self._base)
        if isinstance(self.model, NTLBGModel):
            self.model.load_added(Path(resume_from_checkpoint))

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        trained = {name for name, p in self._base.named_parameters() if p.requires_grad}
        lost = trained.intersection(load_result.missing_keys)
        if lost or load_result.unexpected_keys:
            raise RuntimeError(
                f"the checkpoint is not of this model: {len(lost)} trained weights are missing, "
                f"{len(load_result.unexpected_keys)} are unknown"
            )


def _split_off(optimizer: torch.optim.Optimizer, chosen: set[int], rate: float) -> None:
    """Gives the weights with ids in `chosen` groups of their own, at learning rate `rate`."""
    for group in list(optimizer.param_groups):
        own = [weight for weight in group["params"] if id(weight) in chosen]
        if own:
            group["params"] = [weight for weight in group["params"] if id(weight) not in chosen]
            optimizer.add_param_group({**group, "params": own, "lr": rate})


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
) -> NTLBGTrainer:
    """A trainer for the config's steps over `questions`.

    `micro_batch` x `accumulation` x `world_size` must be the config's global batch (ValueError).
    Raises NoTrainingDataError where no question can be trained on.
    """
    training = config.training
    if micro_batch * accumulation * world_size != training.global_batch:
        raise ValueError(
            f"micro-batch {micro_batch} x accumulation {accumulation} x workers {world_size} "
            f"is not the global batch {training.global_batch}"
        )
    usable = readable(questions, frames)
    if not usable:
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
        stand_beside(backbone)
        spread(backbone.model, settings, DTYPES[precision])
    return NTLBGTrainer(
        config,
        backbone,
        seed,
        args=arguments,
        train_dataset=(QuestionCandidates if learned else QuestionSamples)(
            config, backbone, usable, frames, seed
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
