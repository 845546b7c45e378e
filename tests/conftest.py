"""Shared by every test: one thread a process, no telemetry, no terminal width of the machine."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.ray_cluster import RayCluster

if TYPE_CHECKING:
    from tests.support.databases import Postgres

# torch without AVX-512 takes a kernel that packs for AMX where oneDNN has AMX, and fails there
# ("pack_vnni2 is only supported when avx512 is supported"): a processor without the one has not the
# other, so oneDNN is held to what torch is held to.
if os.environ.get("ATEN_CPU_CAPABILITY") in ("default", "avx2"):
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
os.environ.update(
    OMP_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_DISABLE_TELEMETRY="1",
    # Ray reads these once a process, when it is first imported.
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=secrets.token_hex(32),
    COLUMNS="200",
)


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Postgres]":
    """One PostgreSQL server for all tests that ask for it."""
    from tests.support.databases import postgres_server

    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres").new_database())


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """One head with a dashboard and token authentication; it ends with the tests."""
    cluster = RayCluster()
    yield cluster
    cluster.stop()
