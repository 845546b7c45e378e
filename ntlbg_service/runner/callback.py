"""What a worker tells while it trains: metric lines, its step, the exact checkpoint of a step."""

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
    """Metric lines on every log, a checkpoint on its way to storage on every save.

    Ray Train's own callback reports the last checkpoint found in the output folder, which after a
    restart can be another attempt's, and holds up the training while it copies. Here the next step
    is computed meanwhile, and taken when the checkpoint is committed: a fault costs at most the
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
        """No step beyond a checkpoint that is not committed. DeepSpeed takes a step together with
        its gradients; there it only does not count before. Raises what the copy ended with."""
        self._checkpoints.wait()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Tell how far the run is."""
        self._stepped(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """One metric line of the numbers that the Trainer logs while it trains: the loss, each of
        its weighted terms, and how it went on."""
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
        """Hand the checkpoint of this very step on, when every rank has saved its part."""
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
        """The last checkpoint is committed before anything else begins."""
        self._checkpoints.wait()
