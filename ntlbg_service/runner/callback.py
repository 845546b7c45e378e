"""Our own report to Ray Train: rank 0, the exact checkpoint, our marker when it is committed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import train
from ray.train import Checkpoint
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ntlbg_model.learning.loss_terms import PREFIX
from ntlbg_service.domain.launch import CheckpointMarker, to_json
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

KEPT = ("loss", "grad_norm", "learning_rate", "epoch")


class ReportCallback(TrainerCallback):  # type: ignore[misc]
    """Metric lines on every log, a committed checkpoint on every save.

    The stock callback reports the last checkpoint found in the output folder, which after a
    restart can be another attempt's; this one names the checkpoint of the step.
    """

    def __init__(
        self,
        metric: Callable[[int, dict[str, float]], None],
        stepped: Callable[[int], None],
        storage: Storage,
        keys: AttemptKeys,
    ) -> None:
        self._metric = metric
        self._stepped = stepped
        self._storage = storage
        self._keys = keys

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
        """Hand the checkpoint of this very step to Ray Train, then mark it committed."""
        step = state.global_step
        if train.get_context().get_world_rank() != 0:
            train.report({"step": step})
            return
        folder = Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"
        name = f"step-{step:08d}"
        train.report(
            {"step": step},
            checkpoint=Checkpoint.from_directory(str(folder)),
            checkpoint_dir_name=name,
        )
        committed = self._storage.path(self._keys.work) / name
        marker = CheckpointMarker(attempt=self._keys.attempt, step=step, path=str(committed))
        self._storage.put(self._keys.marker(step), to_json(marker))
