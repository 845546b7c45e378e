"""What it costs that a fault costs at most the steps from one checkpoint to the next, in one run.

    python benchmarks/checkpoint_copies.py [--steps 25] [--interval 5] [--batch 16] [--repeats 5]

The same training of the tiny base, with its checkpoints copied to storage in three ways: the
training waits for each copy; the next step is computed meanwhile and taken when the copy is
committed (as the runner does it); or the training goes on until the next checkpoint is due. The
storage is this machine's disk, and the same with a wait before each marker of so many steps' time:
a stand-in for storage that is slower. At risk is the most that a kill could have cost: steps that
had been taken since the checkpoint that was committed last.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402

from ntlbg_model.config import Config  # noqa: E402
from ntlbg_model.data.longvideobench import read_longvideobench  # noqa: E402
from ntlbg_model.data.video import FrameCache  # noqa: E402
from ntlbg_model.modeling.load import load_variant  # noqa: E402
from ntlbg_model.training import build_trainer  # noqa: E402
from ntlbg_service.runner.callback import ReportCallback  # noqa: E402
from ntlbg_service.runner.checkpoints import Checkpoints, WorkerRank  # noqa: E402
from ntlbg_service.storage.layout import AttemptKeys  # noqa: E402
from ntlbg_service.storage.local import LocalStorage  # noqa: E402
from tests.support.command_line import render  # noqa: E402
from tests.support.launches import small_config  # noqa: E402

KEYS = AttemptKeys("run", 1)
SLOWNESS = (0.0, 0.5, 1.0, 2.0)
"""Steps' time that a copy takes longer than on this disk."""


class Storage(LocalStorage):
    """A disk that takes longer to have a checkpoint."""

    def __init__(self, root: Path, seconds: float) -> None:
        super().__init__(root)
        self.seconds = seconds

    def put(self, key: str, value: Any) -> None:
        time.sleep(self.seconds)
        super().put(key, value)


class Waits(ReportCallback):
    """The training waits for each copy."""

    def on_save(self, *args: Any, **kwargs: Any) -> None:
        super().on_save(*args, **kwargs)
        self._checkpoints.wait()


class Free(ReportCallback):
    """The training waits when the next checkpoint is due."""

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        pass


WAYS = {
    "waits for each copy": Waits,
    "computes the next step": ReportCallback,
    "waits at the next checkpoint": Free,
}


def train(config: Config, root: Path, way: type[ReportCallback], slow: float) -> tuple[float, int]:
    """Seconds of a training, and the most steps that were at risk."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(Path(folder) / "storage", slow)
        at_risk = [0]

        def stepped(step: int) -> None:
            done = [int(Path(key).stem.rpartition("-")[2]) for key in storage.keys(KEYS.markers)]
            at_risk.append(step - max(done, default=0))

        cache = FrameCache(root / "cache")
        torch.manual_seed(0)
        trainer = build_trainer(
            config,
            backbone=load_variant(
                config, dtype=torch.float32, device="cpu", attention="sdpa", seed=0
            ),
            questions=read_longvideobench(root / "needles/train", None),
            frames=lambda question: cache.frames(
                question.video_path, config.video.max_frames, config.video.frame_resolution
            ),
            output_dir=Path(folder) / "own",
            micro_batch=config.training.global_batch,
            accumulation=1,
            world_size=1,
            seed=0,
            device="cpu",
            precision="fp32",
            gradient_checkpointing=False,
            callbacks=[way(lambda *_: None, stepped, Checkpoints(storage, KEYS, WorkerRank()))],
        )
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began, max(at_risk)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = small_config(
        max_steps=arguments.steps,
        save_steps=arguments.interval,
        global_batch=arguments.batch,
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        render(root)
        never = replace(config, training=replace(config.training, save_steps=10 * arguments.steps))
        train(never, root, ReportCallback, 0.0)
        alone = [train(never, root, ReportCallback, 0.0)[0] for _ in range(arguments.repeats)]
        step = median(alone) / arguments.steps
        print(f"a step takes {1e3 * step:.0f} ms; a checkpoint every {arguments.interval}")
        rows = []
        for slow in SLOWNESS:
            taken: dict[str, list[tuple[float, int]]] = {name: [] for name in WAYS}
            for _ in range(arguments.repeats):
                for name, way in WAYS.items():
                    taken[name].append(train(config, root, way, slow * step))
            free = median(seconds for seconds, _ in taken["waits at the next checkpoint"])
            for name, runs in taken.items():
                seconds = [each for each, _ in runs]
                row = {
                    "slower_by_steps": slow,
                    "way": name,
                    "seconds": seconds,
                    "ratio": median(seconds) / free,
                    "at_risk": max(risk for _, risk in runs),
                }
                rows.append(row)
                print(
                    f"  +{slow:3.1f} steps  {name:28} {median(seconds):6.2f} s  "
                    f"{row['ratio']:.2f}  at risk {row['at_risk']} steps",
                    flush=True,
                )
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, no GPU",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        **{name: getattr(arguments, name) for name in ("steps", "interval", "batch", "repeats")},
        "seed": 0,
        "step_seconds": step,
        "seconds_without_checkpoints": alone,
        "rows": rows,
        "gpu": "not measured",
    }
    path = arguments.out / "checkpoint_copies.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
