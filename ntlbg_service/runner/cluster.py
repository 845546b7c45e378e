"""Connecting a driver to Ray."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray


@contextmanager
def connection(cpus: int) -> Iterator[None]:
    """The cluster named by RAY_ADDRESS, else a Ray of this process's own that ends with it.

    The dashboard process stays on: Ray Train's clean-up of placement groups asks it.
    """
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=True)
    else:
        ray.init(address="local", num_cpus=cpus, include_dashboard=True, dashboard_host="127.0.0.1")
    try:
        yield
    finally:
        ray.shutdown()
