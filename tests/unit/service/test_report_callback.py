"""What the Trainer logs becomes metric lines: the loss with its terms, and no summaries."""

from pathlib import Path

from transformers import TrainerControl, TrainerState, TrainingArguments

from ntlbg_service.runner.callback import ReportCallback
from ntlbg_service.runner.checkpoints import Checkpoints, Place
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage


def test_a_metric_line_has_the_loss_and_its_terms(tmp_path: Path) -> None:
    lines: list[tuple[int, dict[str, float]]] = []
    callback = ReportCallback(
        lambda step, values: lines.append((step, values)),
        lambda step: None,
        Checkpoints(LocalStorage(tmp_path), AttemptKeys("run", 1), Place()),
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
