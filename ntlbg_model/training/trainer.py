"""Hugging Face's Trainer on multiple-choice questions: our sample order, loss and checkpoints."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import PreTrainedModel, Trainer

from ntlbg_model.backbone.beside import weights_beside
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import Config
from ntlbg_model.inputs.candidates import Candidates
from ntlbg_model.learning.finite import (
    ADVICE,
    NonFiniteLossError,
    Skips,
    refusal,
    what_is_not_finite,
)
from ntlbg_model.learning.joint import Questions
from ntlbg_model.learning.loss_schedule import loss_weights
from ntlbg_model.learning.loss_terms import PREFIX, TermMeans
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.model import NTLBGModel, save_plain
from ntlbg_model.modeling.video_selection import video_seed
from ntlbg_model.training.sampling import MixtureSampler, Share


class NTLBGTrainer(Trainer):  # type: ignore[misc]
    """Trainer with our sample order and a loss on the answer token, to which the terms of a
    learned selection are added."""

    def __init__(
        self,
        config: Config,
        backbone: Backbone,
        sample_seed: int,
        sets: Sequence[Share],
        **kwargs: Any,
    ) -> None:
        super().__init__(model=backbone.model, **kwargs)
        self._config = config
        self._backbone = backbone
        self._sample_seed = sample_seed
        self._sets = sets
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
        return MixtureSampler(self._sets, args.max_steps * samples_a_step, self._sample_seed)

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
