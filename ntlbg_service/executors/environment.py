"""What every driver is given in its environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import FOLDER, LaunchSpec

DRIVER = {
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "RAY_COLOR_PREFIX": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""One thread a process, and a Ray that phones nobody."""

HANDED_ON = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "PYTHONPATH")
"""What a job on a cluster takes along from the controller's environment. Ray shows a job's
environment to everyone who sees the cluster, so tokens are none of it: they belong to the nodes."""


KEPT_BACK = ("RAY_ADDRESS", "NTLBG_NOTIFY")
"""What a driver on this machine does not take along: another Ray, a secret of the service."""


def local_driver(environment: Mapping[str, str]) -> dict[str, str]:
    """For a driver on this machine with a Ray of its own: on loopback alone, without tokens."""
    own = {name: value for name, value in environment.items() if name not in KEPT_BACK}
    return {**own, **DRIVER, "RAY_AUTH_MODE": "disabled", FOLDER: str(Path.cwd())}


def cluster_driver(environment: Mapping[str, str]) -> dict[str, str]:
    """For a driver on a cluster, which has rules and tokens of its own."""
    return {**{name: environment[name] for name in HANDED_ON if name in environment}, **DRIVER}


def with_code(environment: Mapping[str, str], spec: LaunchSpec) -> dict[str, str]:
    """The environment of a driver that runs with the code of its spec, before any other.

    Raises InfrastructureError where that is gone from storage.
    """
    if spec.code is None:
        return dict(environment)
    if not Path(spec.code).is_dir():
        raise InfrastructureError(f"{spec.code}: the code of run {spec.run_id} is gone")
    before = environment.get("PYTHONPATH")
    paths = [spec.code, *([before] if before else [])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
