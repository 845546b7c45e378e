"""Shared by every test: one thread a process, no telemetry, no terminal width of the machine."""

import os
from collections.abc import Iterator

import pytest

from tests.ray_cluster import RayCluster

os.environ.update(
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_DISABLE_TELEMETRY="1",
    COLUMNS="200",
)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """One head with a dashboard and token authentication; it ends with the tests."""
    cluster = RayCluster()
    yield cluster
    cluster.stop()
