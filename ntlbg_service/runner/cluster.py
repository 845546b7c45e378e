"""Connection of a driver to Ray."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.runner.failures import first_line


class NoRayError(InfrastructureError):
    """Ray did not start on this machine, or the cluster did not accept the driver."""


@contextmanager
def connection(cpus: int) -> Iterator[None]:
    """Connect to the cluster in RAY_ADDRESS, else start a Ray that ends with this process.

    Raises NoRayError where neither succeeds.
    """
    try:
        _connect(cpus)
    # Ray raises plain exceptions, for example when a machine is too busy.
    except Exception as error:
        raise NoRayError(f"no Ray for the driver: {first_line(error)}"[:500]) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(cpus: int) -> None:
    """Initialize Ray, with the dashboard: Ray Train's placement group clean-up depends on it."""
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=True)
    else:
        ray.init(address="local", num_cpus=cpus, include_dashboard=True, dashboard_host="127.0.0.1")
