"""Trainer callback that reports metrics, steps and checkpoints of a worker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ntlbg_model.learning.loss_terms import PREFIX
from ntlbg_service.runner.checkpoints import Checkpoints

KEPT = ("loss", "grad_norm", "learning_rate", "epoch", "skipped_steps")


class ReportCallback(TrainerCallback):  # type: ignore[misc]
    """Callback that writes metric lines on every log and starts a checkpoint on every save.

    Ray Train's own callback reports the last checkpoint found in the output folder, which after a
    restart can be another attempt's, and blocks the training while it copies. Here the next step is
    computed meanwhile, and applied when the checkpoint is committed: a fault costs at most the
    steps from one checkpoint to the next.
    """

    def __init__(
        self,
        metric: Callable[[int, dict[str, float]], None],
        stepped: Callable[[int], None],
        checkpoints: Checkpoints,
    ) -> None:
        self._metric = metric
        self._stepped = stepped
        self._checkpoints = checkpoints

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Wait until the last checkpoint is committed, before the optimizer applies the next step.

        DeepSpeed applies a step together with its backward pass, so there the wait only delays the
        count of the step. Raises the error of the copy.
        """
        self._checkpoints.wait()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Report the step."""
        self._stepped(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write one metric line of the Trainer's training log.

        It holds the loss, each of its weighted terms, and the values named in `KEPT`.
        """
        values = {
            f"train/{name}": float(value)
            for name, value in (logs or {}).items()
            if name in KEPT or name.startswith(PREFIX)
        }
        if "train/loss" in values:
            self._metric(state.global_step, values)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start the checkpoint of this very step, once every rank has saved its part."""
        if distributed.is_initialized():
            distributed.barrier()
        folder = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        self._checkpoints.save(folder, state.global_step)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Wait until the last checkpoint is committed."""
        self._checkpoints.wait()
