"""What every driver is given in its environment."""

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
"""One thread a process, and a Ray that phones nobody."""

HANDED_ON = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT", "PYTHONPATH")
"""What a job on a cluster takes along from the controller's environment. Ray shows a job's
environment to everyone who sees the cluster, so tokens are none of it: they belong to the nodes."""


KEPT_BACK = ("RAY_ADDRESS", "NTLBG_NOTIFY", VALUE, FILE)
"""What a driver on this machine does not take along: another Ray and its token, a
secret of the service."""
ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Lets a Ray of one machine take 127.0.0.1 as its address, and listen nowhere else, as it does on
macOS by itself. On Linux it listens on all addresses otherwise, whatever address it is given."""


def local_driver(environment: Mapping[str, str], token: Path) -> dict[str, str]:
    """For a driver on this machine with a Ray of its own: on loopback alone, and open to whoever
    has the token in the file `token`. RAY_AUTH_MODE=disabled in the environment does without."""
    own = {name: value for name, value in environment.items() if name not in KEPT_BACK}
    if own.get(MODE, "token") == "token":
        own |= {MODE: "token", FILE: str(token_file(token).resolve())}
    return {**own, **DRIVER, **ON_LOOPBACK, FOLDER: str(Path.cwd())}


def cluster_driver(environment: Mapping[str, str]) -> dict[str, str]:
    """For a driver on a cluster, which has rules and tokens of its own."""
    return {**{name: environment[name] for name in HANDED_ON if name in environment}, **DRIVER}


def with_code(environment: Mapping[str, str], spec: LaunchSpec) -> dict[str, str]:
    """The environment of a driver that runs with the code of its spec, before any other.

    Its folder is the driver's and the workers' own as well: where its path has a colon, which
    PYTHONPATH cannot hold, that alone is enough.

    Raises InfrastructureError where that is gone from storage.
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
