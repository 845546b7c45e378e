"""SIGKILL to one process of a run."""

import psutil

from ntlbg_service.storage.layout import AttemptKeys
from tests.end_to_end.faults_on_ray.home import Home


def kill_worker(home: Home, keys: AttemptKeys) -> None:
    """The worker of a gang that does not lead: the one that is waited for."""
    other_worker(home, keys).kill()


def kill_driver(home: Home, keys: AttemptKeys) -> None:
    """The driver, whose workers Ray has to end."""
    home.driver(keys).kill()


def other_worker(home: Home, keys: AttemptKeys) -> psutil.Process:
    """The other worker of the leader's node, of the same attempt."""
    leader = home.worker(keys)
    raylet = leader.parent()
    assert raylet is not None
    (other,) = (
        child
        for child in raylet.children()
        if child.pid != leader.pid and "RayTrainWorker" in " ".join(child.cmdline())
    )
    return other
