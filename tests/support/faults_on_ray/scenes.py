"""The faults in their scenes: what is there, what goes wrong, and the rows that come of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ntlbg_model.config import Config
from ntlbg_service.maintenance.garbage_collection import find_reclaimable
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import delete_atomically
from tests.support.command_line import until
from tests.support.databases import Postgres
from tests.support.faults_on_ray.home import CONFIG, SAVE_STEPS, Home
from tests.support.faults_on_ray.hurts import (
    SECOND,
    dies_before_the_marker,
    fill_node_disk,
    fill_storage,
    freeze_leader,
    freeze_peer,
    has_died,
    kill_driver,
    kill_node,
    kill_worker,
)
from tests.support.faults_on_ray.outcome import Outcome, points_in_mlflow
from tests.support.faults_on_ray.rows import Hurt, Row, suffer, undisturbed
from tests.support.launches import small_config
from tests.support.mlflow_server import MlflowServer
from tests.support.ray_cluster import RayCluster

LONG = small_config(max_steps=90, save_steps=SAVE_STEPS)
"""Enough steps for a handful of faults, each with checkpoints of its own."""
AWAY_SECONDS = 60.0
"""How long a server is gone."""
GPUS = {"ntlbg.io/profile": "V100-32GB", "ntlbg.io/gpus": "simulated"}
"""Labels of a node whose GPUs are the CPU: so the head, which has none, holds no worker."""


@dataclass
class Stage:
    """What all scenes share."""

    cluster: RayCluster
    data_root: Path
    folder: Path
    config: Config = CONFIG

    @contextmanager
    def home(
        self, name: str, *options: str, cluster: RayCluster | None = None, **more: Any
    ) -> Iterator[Home]:
        """A home with a controller."""
        ray = (cluster or self.cluster).environment
        home = Home(self.folder / name / "home", self.data_root, ray, **more)
        home.start_controller(*options)
        try:
            yield home
        finally:
            home.close()

    @cached_property
    def whole(self) -> Outcome:
        """What every run must come to."""
        with self.home("undisturbed") as home:
            return undisturbed(home, self.config)


def killed_worker(stage: Stage) -> list[Row]:
    """A worker of a gang."""
    whole = stage.whole
    with stage.home("worker") as home:
        return suffer(home, {"worker killed": kill_worker}, whole, config=stage.config)


def processes(stage: Stage) -> list[Row]:
    """A worker of a gang, and the driver."""
    whole = stage.whole
    hurts = {"worker killed": kill_worker, "driver killed": kill_driver}
    with stage.home("processes") as home:
        return suffer(home, hurts, whole, config=stage.config)


def hangs_and_disks(stage: Stage) -> list[Row]:
    """A kill between checkpoint and marker, workers that hang, disks that are full."""
    whole = stage.whole
    folder = stage.folder / "dies"
    hurts: dict[str, Hurt] = {
        "killed between checkpoint and marker": has_died(folder),
        "leading worker hangs": freeze_leader,
        "other worker hangs": freeze_peer,
        "storage full at a checkpoint": fill_storage,
        "node's disk full at a checkpoint": fill_node_disk,
    }
    timeouts = ("--heartbeat-timeout", "20", "--progress-timeout", "30")
    with stage.home("hangs", *timeouts, more=dies_before_the_marker(folder)) as home:
        rows = suffer(home, hurts, whole, config=stage.config)
        check_sweep(home)
        return rows


def check_sweep(home: Home) -> None:
    """The folder without a marker was not resumed from, and is swept."""
    (run_id,) = (name.run_id for name in home.ledger.names())
    first = AttemptKeys(run_id, 1)
    cut_short = home.storage.path(first.checkpoint(SECOND))
    resumed_from = home.attempts(run_id)[1].resume_from
    assert resumed_from == first.checkpoint(SECOND - SAVE_STEPS)
    assert cut_short.is_dir()
    litter = find_reclaimable(home.ledger, home.storage, home.workspace).litter
    for each in litter:
        if each.kind == "cut short":
            delete_atomically(each.path)
    assert not cut_short.exists()


def node(stage: Stage) -> list[Row]:
    """A node with the workers on it; there is another."""
    whole = stage.whole
    size = {"num_cpus": 2, "num_gpus": 2, "labels": GPUS}
    nodes = {stage.cluster.add_node(**size) for _ in range(2)}
    try:
        with stage.home("node") as home:
            return suffer(
                home,
                {"node killed": lambda *to: nodes.discard(kill_node(stage.cluster, *to))},
                whole,
                config=stage.config,
                profile="V100-32GB",
            )
    finally:
        for each in nodes:
            stage.cluster.remove_node(each)


def head(stage: Stage) -> list[Row]:
    """The head with all its cluster; a new one comes up at another address."""
    whole = stage.whole
    first = RayCluster()
    clusters = [first]

    def kill(home: Home, keys: AttemptKeys) -> None:
        first.kill()
        killed_at = time.time()
        clusters.append(RayCluster())
        home.restart(clusters[-1].environment)
        assert home.ledger.attempts_of(keys.run_id)[-1].launched_at < killed_at

    try:
        with stage.home("head", cluster=first) as home:
            return suffer(home, {"head killed": kill}, whole, config=stage.config)
    finally:
        for cluster in clusters:
            cluster.stop()


def mlflow_away(stage: Stage) -> list[Row]:
    """MLflow's server is gone for a minute, in which the run ends."""
    whole = stage.whole
    server = MlflowServer(stage.folder / "mlflow")

    def away(home: Home, keys: AttemptKeys) -> None:
        server.kill()
        gone(lambda: home.ended(keys.run_id))
        server.start()

    try:
        with stage.home("mlflow", more={"NTLBG_MLFLOW": server.address}) as home:
            hurts = {f"MLflow gone for {AWAY_SECONDS:g} s": away}
            rows = suffer(home, hurts, whole, config=stage.config, mlflow=server.database)
            (run_id,) = (name.run_id for name in home.ledger.names())
        told = points_in_mlflow(server.database, run_id, "train/loss")
        assert told == {step: row["train/loss"] for step, row in whole.lines.items()}
        return rows
    finally:
        server.stop()


def postgres_away(stage: Stage, postgres: Postgres) -> list[Row]:
    """The database is gone for a minute, in which the training ends."""
    whole = stage.whole

    def away(home: Home, keys: AttemptKeys) -> None:
        postgres.kill()
        gone(lambda: home.storage.get(keys.exit) is not None)
        postgres.start()

    with stage.home("postgres", ledger_url=postgres.new_database()) as home:
        hurts = {f"PostgreSQL gone for {AWAY_SECONDS:g} s": away}
        return suffer(home, hurts, whole, config=stage.config)


def gone(condition: Callable[[], object]) -> None:
    """Return when a server was away long enough, and what was to happen meanwhile has happened."""
    back_at = time.monotonic() + AWAY_SECONDS
    until(lambda: condition() and time.monotonic() >= back_at, "what goes on without the server")
