"""Launches of a small training on a real cluster, without the service around them."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ntlbg_model.config import (
    Config,
    DataConfig,
    DatasetConfig,
    EvaluationConfig,
    ModelConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.executors.ray_jobs import RayJobsExecutor
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import cpu_fit, tiny_config
from tests.support.command_line import until


def small_config(**training: Any) -> Config:
    """Six steps of the tiny base on rendered videos, and a short evaluation."""
    return replace(
        tiny_config(),
        model=ModelConfig(base_model="tiny"),
        video=VideoConfig(max_frames=64, frame_resolution=(56, 56)),
        training=TrainingConfig(
            **{
                "max_steps": 6,
                "warmup_steps": 1,
                "global_batch": 4,
                "save_steps": 2,
                "logging_steps": 1,
            }
            | training
        ),
        data=DataConfig(
            train=(DatasetConfig(name="train", path="needles/train"),),
            evaluation=(DatasetConfig(name="glitch", path="needles/glitch", max_questions=4),),
        ),
        evaluation=EvaluationConfig(batch_size=2, scoring="option_words"),
    )


@dataclass
class Launches:
    """Starts attempts as the controller would, and reads what they left."""

    storage: LocalStorage
    data_root: Path
    cluster: Mapping[str, str]

    @property
    def executor(self) -> RayJobsExecutor:
        environment = {**os.environ, **self.cluster, "HF_HUB_OFFLINE": "1"}
        return RayJobsExecutor(self.storage, environment)

    def start(self, run: str, config: Config, *, attempt: int = 1, **changes: Any) -> AttemptKeys:
        """Start an attempt; `changes` are of its fit, or `resume_from`, or `placed`: Ray's ids of
        the nodes it is to run on, or the folder of its `code`, or where it is to `stage`."""
        resume_from = changes.pop("resume_from", None)
        code = changes.pop("code", None)
        stage = changes.pop("stage", None)
        placed = changes.pop("placed", ())
        fit = replace(cpu_fit(config), **changes)
        share = config.training.global_batch // (fit.workers * fit.micro_batch)
        spec = LaunchSpec(
            launch_id=f"{run}-{attempt:04d}",
            run_id=run,
            attempt=attempt,
            work=Work.TRAIN,
            config=config,
            seed=1,
            fit=replace(fit, accumulation=share),
            storage=str(self.storage.root),
            data_root=str(self.data_root),
            cache=str(self.storage.root.parent / "cache"),
            nodes=placed,
            code=code,
            stage=stage,
            resume_from=resume_from,
        )
        keys = AttemptKeys(run, attempt)
        self.storage.put(keys.spec, to_json(spec))
        self.executor.launch(spec)
        return keys

    def end(self, keys: AttemptKeys) -> dict[str, Any]:
        """The exit record, once the attempt has one and its job has ended."""
        self.gone(keys)
        record = self.storage.get(keys.exit)
        assert record is not None, self.log(keys)
        return record

    def gone(self, keys: AttemptKeys) -> None:
        """Wait for the end of an attempt's job."""
        executor = self.executor
        until(lambda: executor.status(keys) is LaunchStatus.ENDED, f"the end of {keys.run_id}")

    def nodes(self, keys: AttemptKeys) -> list[str]:
        """Ray ids of the nodes on which the workers of an attempt are or were."""
        from ray.util.state import list_actors

        executor = self.executor
        job = JobClient(self.cluster["RAY_ADDRESS"]).find(executor.submission_id(keys))
        assert job is not None
        workers = list_actors(
            address=self.cluster["RAY_ADDRESS"],
            filters=[("job_id", "=", job.job_id), ("class_name", "=", "RayTrainWorker")],
        )
        return [worker.node_id for worker in workers]

    def run(self, run: str, config: Config, **changes: Any) -> AttemptKeys:
        """An attempt that finishes."""
        keys = self.start(run, config, **changes)
        record = self.end(keys)
        assert record["finished"], record["message"] + self.log(keys)
        return keys

    def losses(self, keys: AttemptKeys) -> dict[int, float]:
        """The loss of every step that was logged."""
        return {
            row["step"]: row["values"]["train/loss"]
            for row in self.storage.lines(keys.metrics)
            if "train/loss" in row["values"]
        }

    def markers(self, keys: AttemptKeys) -> dict[int, str]:
        """Folder of every committed checkpoint by its step."""
        found = [self.storage.get(key) for key in self.storage.keys(keys.markers)]
        return {
            int(row["step"]): str(self.storage.path(row["path"]))
            for row in found
            if row is not None
        }

    def answers(self, keys: AttemptKeys) -> list[Any]:
        """What was answered in the evaluation."""
        rows = self.storage.path(keys.predictions("glitch")).read_text().splitlines()
        return [json.loads(row)["answer"] for row in rows]

    def log(self, keys: AttemptKeys) -> str:
        """Output of the driver and its workers."""
        return self.storage.path(keys.log).read_text(errors="replace")
