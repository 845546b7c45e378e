"""Environment variables of drivers."""

import os
from collections.abc import Mapping
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import FOLDER, LaunchSpec
from ntlbg_service.executors.ray_token import FILE, MODE, VALUE, token_file

DRIVER = {
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "RAY_COLOR_PREFIX": "0",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Variables of every driver: one thread per process, and no telemetry."""

HANDED_ON = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "PYTHONPATH")
"""Variables of the controller that are passed on to a job on a cluster.

Ray shows a job's environment to everyone who sees the cluster, so tokens are not among them: they
belong to the nodes.
"""


KEPT_BACK = ("RAY_ADDRESS", "NTLBG_NOTIFY", VALUE, FILE)
"""Variables that a driver on this machine does not inherit.

They are another Ray and its token, and a secret of the service.
"""
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Setting that binds a one-machine Ray to 127.0.0.1 alone, as is its default on macOS.

On Linux it otherwise listens on all addresses, whatever address it is given.
"""


def local_driver(environment: Mapping[str, str], token: Path) -> dict[str, str]:
    """Return the environment of a driver on this machine with a Ray of its own.

    That Ray listens on loopback alone and accepts clients with the token in the file `token`;
    RAY_AUTH_MODE=disabled in the environment turns the token off.
    """
    own = {name: value for name, value in environment.items() if name not in KEPT_BACK}
    if own.get(MODE, "token") == "token":
        own |= {MODE: "token", FILE: str(token_file(token).resolve())}
    return {**own, **DRIVER, **ON_LOOPBACK, FOLDER: str(Path.cwd())}


def cluster_driver(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a driver on a cluster, which has its own rules and tokens."""
    return {**{name: environment[name] for name in HANDED_ON if name in environment}, **DRIVER}


def with_code(environment: Mapping[str, str], spec: LaunchSpec) -> dict[str, str]:
    """Return the environment of a driver that imports the code of its spec before any other.

    The code folder is also the working directory of driver and workers: where its path has a colon,
    which PYTHONPATH cannot hold, that alone is enough.

    Raises InfrastructureError where the code is gone from storage.
    """
    if spec.code is None:
        return dict(environment)
    if not Path(spec.code).is_dir():
        raise InfrastructureError(f"{spec.code}: the code of run {spec.run_id} is gone")
    if os.pathsep in spec.code:
        return dict(environment)
    before = environment.get("PYTHONPATH")
    paths = [spec.code, *([before] if before else [])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
