"""Train loop of each Ray Train worker: load, train, evaluate, write the exit record."""

import gc
import json
import os
import socket
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ntlbg_model.config import DatasetConfig
from ntlbg_model.records import Prediction
from ntlbg_service.domain.launch import FOLDER, LaunchSpec, WorkerLocation, to_json
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse
from ntlbg_service.process.permissions import follow
from ntlbg_service.runner.checkpoints import WorkerRank
from ntlbg_service.runner.device import device_of
from ntlbg_service.runner.failures import classify
from ntlbg_service.runner.heartbeat import peak_mib
from ntlbg_service.runner.progress import Progress, signs_of_life
from ntlbg_service.runner.scratch import scratch
from ntlbg_service.runner.staging.copying import CopyError
from ntlbg_service.runner.staging.staged import Staged, staged
from ntlbg_service.storage.homes import bound
from ntlbg_service.storage.local import AlreadyWrittenError


def work(settings: dict[str, Any]) -> None:
    """Run the train loop; Ray Train calls this on each worker."""
    from ray import train

    spec = parse(LaunchSpec, json.loads(json.dumps(settings["spec"])), "launch spec")
    follow(Path(spec.storage))
    storage = bound(Path(spec.storage), settings["home"])
    context = train.get_context()
    device = device_of(spec.fit, settings["simulated"])
    if device.name == "cpu":
        # Ray Train names a CUDA device even where the workers were given none.
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    os.chdir(os.environ.get(FOLDER, "."))
    progress = Progress(spec, storage, place_of(context), device)
    where = whereabouts(progress.place)
    try:
        storage.put(progress.keys.worker(where.rank), to_json(where))
        with signs_of_life(progress), staged(spec, storage, progress.place, progress.stage) as own:
            progress.staged = own
            _train_and_evaluate(spec, progress)
    # Every error becomes the attempt's exit record and is then raised to Ray.
    except Exception as error:
        traceback.print_exc()
        failure, message = classify(error)
        if failure is FailureClass.OUT_OF_MEMORY:
            progress.peak_memory_mib = peak_mib(not device.simulated)
        suspect = where.node if isinstance(error, CopyError) else ""
        # The first rank to fail has the cause; the others only see that it is gone.
        with suppress(AlreadyWrittenError):
            progress.end(failure, message, suspect)
        raise
    if progress.leads:
        progress.end()


def place_of(context: Any) -> WorkerRank:
    """Return the ranks that Ray Train assigned to this worker."""
    return WorkerRank(
        rank=context.get_world_rank(),
        local_rank=context.get_local_rank(),
        node_rank=context.get_node_rank(),
        nodes=max(1, context.get_world_size() // context.get_local_world_size()),
    )


def whereabouts(place: WorkerRank) -> WorkerLocation:
    """Return the node, host and process of this worker."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return WorkerLocation(rank=place.rank, node=node, host=socket.gethostname(), pid=os.getpid())


def _train_and_evaluate(spec: LaunchSpec, progress: Progress) -> None:
    import torch

    from ntlbg_model.data.video import FrameCache
    from ntlbg_model.modeling.load import load_variant

    device = progress.device
    if device.name == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(spec.seed)
    cache = FrameCache(Path(spec.cache))
    backbone = load_variant(
        spec.config,
        dtype={"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
            device.precision
        ],
        device=device.name,
        attention=device.attention,
        seed=spec.seed,
        vision_chunk=spec.fit.vision_chunk,
        to_spread=spec.fit.zero_stage == 3 and spec.config.training.max_steps > 0,
        copy=progress.staged.weights,
    )
    if spec.config.training.max_steps > 0:
        _train(spec, progress, backbone, cache)
        # The predicted memory of the evaluation excludes optimizer states, which cycles keep alive.
        gc.collect()
    if progress.leads or spec.fit.zero_stage == 3:
        # Sharded weights are gathered only while every rank asks for the same ones.
        _evaluate(spec, progress, backbone, cache)
        progress.peak_memory_mib = peak_mib(not device.simulated)


def _train(spec: LaunchSpec, progress: Progress, backbone: Any, cache: Any) -> None:
    from ntlbg_model.training import build_trainer
    from ntlbg_model.training.sampling import Share
    from ntlbg_service.runner.callback import ReportCallback

    config = spec.config
    sets = [
        [each for each in read_dataset(spec, dataset, progress.staged) if each.answer is not None]
        for dataset in config.data.train
    ]
    with scratch(spec, progress.place) as output:
        trainer = build_trainer(
            config,
            backbone=backbone,
            questions=[question for found in sets for question in found],
            sets=[
                Share(len(found), dataset.weight)
                for found, dataset in zip(sets, config.data.train, strict=True)
            ],
            frames=frame_reader(spec, cache),
            output_dir=output,
            micro_batch=spec.fit.micro_batch,
            accumulation=spec.fit.accumulation,
            world_size=spec.fit.workers,
            seed=spec.seed,
            device=progress.device.name,
            precision=progress.device.precision,
            gradient_checkpointing=spec.fit.gradient_checkpointing,
            zero_stage=spec.fit.zero_stage,
            offload=spec.fit.offload,
            callbacks=[
                ReportCallback(progress.metric, progress.stepped, progress.checkpoints),
            ],
        )
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=spec.resume_from)
        progress.train_seconds = time.monotonic() - started
        progress.steps = trainer.state.global_step


def _evaluate(spec: LaunchSpec, progress: Progress, backbone: Any, cache: Any) -> None:
    from ntlbg_model.evaluation import evaluate
    from ntlbg_service.runner.summary import summarise

    asked = replace(spec.config.evaluation, batch_size=spec.fit.questions)
    started = time.monotonic()
    for dataset in spec.config.data.evaluation:
        predictions: list[Prediction] = []
        key = progress.keys.predictions(dataset.name)

        def keep(row: Prediction, key: str = key, found: list[Prediction] = predictions) -> None:
            if progress.leads:
                progress.storage.append(key, row.to_json())
            found.append(row)
            progress.answers += 1

        evaluate(
            replace(spec.config, evaluation=asked),
            backbone=backbone,
            dataset=dataset.name,
            questions=read_dataset(spec, dataset, progress.staged),
            frames=frame_reader(spec, cache),
            seed=spec.seed,
            on_prediction=keep,
        )
        progress.results |= summarise(dataset.name, predictions)
    progress.evaluation_seconds = time.monotonic() - started
    progress.metric(spec.config.training.max_steps, progress.results)


def read_dataset(spec: LaunchSpec, dataset: DatasetConfig, own: Staged) -> list[Any]:
    """Return the questions of a data set, from this node's copy where it has one."""
    from ntlbg_model.data.longvideobench import read_longvideobench

    return read_longvideobench(own.of(Path(spec.data_root) / dataset.path), dataset.max_questions)


def frame_reader(spec: LaunchSpec, cache: Any) -> Callable[[Any], Any]:
    """Return a reader of the candidate frames of a question's video at the config's resolution."""
    video = spec.config.video

    def frames(question: Any) -> Any:
        return cache.frames(question.video_path, video.max_frames, video.frame_resolution)

    return frames
