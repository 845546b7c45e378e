"""What is done to a run that trains: one function a fault."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil

from ntlbg_service.domain.launch import WorkerLocation
from ntlbg_service.domain.resolve import parse
from ntlbg_service.runner.checkpoints import WorkerRank
from ntlbg_service.runner.scratch import folder_of
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.command_line import until
from tests.support.faults_on_ray.home import SAVE_STEPS, Home
from tests.support.ray_cluster import RayCluster

SECOND = 2 * SAVE_STEPS
"""Step of the checkpoint that stays without a marker."""


def kill_worker(home: Home, keys: AttemptKeys) -> None:
    """The worker of a gang that does not lead: the one that is waited for."""
    other_worker(home, keys).kill()


def kill_driver(home: Home, keys: AttemptKeys) -> None:
    """The driver, whose workers Ray has to end."""
    home.driver(keys).kill()


def freeze_leader(home: Home, keys: AttemptKeys) -> None:
    """The leader takes no more turns: nothing beats."""
    home.worker(keys).send_signal(signal.SIGSTOP)


def freeze_peer(home: Home, keys: AttemptKeys) -> None:
    """The other worker takes no more turns: the leader waits for it, and beats."""
    other_worker(home, keys).send_signal(signal.SIGSTOP)


def other_worker(home: Home, keys: AttemptKeys) -> psutil.Process:
    """The worker of a gang of two that does not lead."""
    return psutil.Process(where(home, keys, 1).pid)


def where(home: Home, keys: AttemptKeys, rank: int) -> WorkerLocation:
    """Where a worker says that it is."""
    key = keys.worker(rank)
    return parse(WorkerLocation, until(lambda: home.storage.get(key), "a worker's place"), key)


def kill_node(cluster: RayCluster, home: Home, keys: AttemptKeys) -> str:
    """SIGKILL to every process of the node on which the leader is. The node's Ray id."""
    node = where(home, keys, 0).node
    cluster.remove_node(node, kill=True)
    return node


def coming(home: Home, keys: AttemptKeys) -> int:
    """Step of a checkpoint that is far enough to be prepared for."""
    return max(home.markers(keys)) + 2 * SAVE_STEPS


def fill_storage(home: Home, keys: AttemptKeys) -> None:
    """The kernel's own full disk stands where a file of a checkpoint will go in storage."""
    folder = home.storage.path(keys.checkpoint(coming(home, keys)))
    folder.mkdir(parents=True)
    (folder / "optimizer.pt").symlink_to("/dev/full")


def fill_node_disk(home: Home, keys: AttemptKeys) -> None:
    """The same on the disk of the node, where the workers save."""
    saved = f"checkpoint-{coming(home, keys)}"
    folder = folder_of(str(home.storage.root), keys, WorkerRank()) / saved
    folder.mkdir()
    (folder / "optimizer.pt").symlink_to("/dev/full")


def dies_before_the_marker(folder: Path) -> dict[str, str]:
    """Variables with which a first attempt's leader ends itself by SIGKILL when a checkpoint is in
    storage, all but its marker."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *([inherited] if inherited else [])])}


SITECUSTOMIZE = f"""
import os, pathlib, signal

link = os.link

def link_unless_it_is_that_marker(source, target, **options):
    if str(target).endswith("attempt-0001/checkpoints/step-{SECOND:08d}.json"):
        pathlib.Path(__file__).with_name("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    link(source, target, **options)

os.link = link_unless_it_is_that_marker
"""


def has_died(folder: Path) -> Callable[[Home, AttemptKeys], None]:
    """Waits for the death that `dies_before_the_marker` prepared."""
    return lambda _home, _keys: until((folder / "killed").exists, "the death before the marker")
