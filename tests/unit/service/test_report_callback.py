"""What the Trainer logs becomes metric lines, and no step is taken beyond a checkpoint that is not
committed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

from ntlbg_service.runner.callback import ReportCallback
from ntlbg_service.runner.checkpoints import Checkpoints, WorkerRank
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage

KEYS = AttemptKeys("run", 1)


def test_a_metric_line_has_the_loss_and_its_terms(tmp_path: Path) -> None:
    lines: list[tuple[int, dict[str, float]]] = []
    callback = ReportCallback(
        lambda step, values: lines.append((step, values)),
        lambda step: None,
        Checkpoints(LocalStorage(tmp_path), KEYS, WorkerRank()),
    )
    state = TrainerState(global_step=50)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    logs = {"loss": 1.5, "loss_task": 1.0, "loss_distillation": 0.5, "learning_rate": 1e-3}
    callback.on_log(arguments, state, TrainerControl(), logs | {"odd": 3.0})
    callback.on_log(arguments, state, TrainerControl(), {"train_runtime": 9.0, "epoch": 1.0})
    assert lines == [
        (
            50,
            {
                "train/loss": 1.5,
                "train/loss_task": 1.0,
                "train/loss_distillation": 0.5,
                "train/learning_rate": 1e-3,
            },
        )
    ]


class Line(torch.nn.Module):
    """The smallest model that a Trainer trains."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        found = self.slope(x)
        return {"loss": ((found - labels) ** 2).mean(), "logits": found}


def train_six_steps(root: Path, checkpoints: Checkpoints, told: list[int]) -> None:
    """A checkpoint every two steps, and a metric line for each step."""
    Trainer(
        model=Line(),
        args=TrainingArguments(
            output_dir=str(root / "own"),
            use_cpu=True,
            max_steps=6,
            save_steps=2,
            logging_steps=1,
            per_device_train_batch_size=1,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=[{"x": torch.ones(1), "labels": torch.ones(1)}] * 8,
        callbacks=[
            ReportCallback(lambda step, _: told.append(step), lambda step: None, checkpoints)
        ],
    ).train()


class SlowStorage(LocalStorage):
    """Commits a checkpoint only when the training has come to wait for it."""

    def __init__(self, root: Path, told: list[int]) -> None:
        super().__init__(root)
        self.told = told
        self.newest: dict[str, int] = {}
        """Newest step that was told of when a checkpoint was committed."""
        self.awaited: Callable[[], int] = lambda: 0

    def put(self, key: str, value: Any) -> None:
        tick, deadline = threading.Event(), time.monotonic() + 60
        while not self.awaited():
            assert time.monotonic() < deadline, "the training goes on without the checkpoint"
            tick.wait(0.01)
        self.newest[key] = max(self.told)
        super().put(key, value)


def test_the_next_step_is_not_taken_before_the_checkpoint_is_committed(tmp_path: Path) -> None:
    told: list[int] = []
    storage = SlowStorage(tmp_path / "storage", told)
    checkpoints = Checkpoints(storage, KEYS, WorkerRank())
    storage.awaited = lambda: checkpoints.awaited
    train_six_steps(tmp_path, checkpoints, told)
    assert storage.newest == {KEYS.marker(step): step for step in (2, 4, 6)}
    assert told == [1, 2, 3, 4, 5, 6]
    assert checkpoints.awaited == 0 < checkpoints.waited_seconds


class FullStorage(LocalStorage):
    """Full when the second checkpoint comes."""

    def put(self, key: str, value: Any) -> None:
        if key == KEYS.marker(4):
            raise OSError(28, "No space left on device")
        super().put(key, value)


def test_a_checkpoint_that_cannot_be_written_costs_no_more_than_its_interval(
    tmp_path: Path,
) -> None:
    told: list[int] = []
    storage = FullStorage(tmp_path / "storage")
    with pytest.raises(OSError, match="No space left"):
        train_six_steps(tmp_path, Checkpoints(storage, KEYS, WorkerRank()), told)
    assert told == [1, 2, 3, 4]
    assert storage.keys(KEYS.markers) == [KEYS.marker(2)]
