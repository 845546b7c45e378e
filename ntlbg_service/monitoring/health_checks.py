"""Health checks of a controller's dependencies except the database, each with a short timeout."""

import os
import tempfile
from collections.abc import Callable, Mapping

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.choice import chosen
from ntlbg_service.executors.dashboard import VERSION, Dashboard
from ntlbg_service.monitoring.snapshot import HealthCheck
from ntlbg_service.storage.local import LocalStorage


def health_checks(
    storage: LocalStorage, environment: Mapping[str, str], executor: str | None
) -> dict[str, HealthCheck]:
    """Return the checks by name: storage, and the cluster where there is one."""
    return {
        "storage": lambda: write_in(storage),
        "executor": _cluster(environment, executor),
    }


def write_in(storage: LocalStorage) -> None:
    """Write a temporary file. Raises InfrastructureError where nothing can be written."""
    try:
        storage.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=storage.root) as file:
            file.write(b".")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InfrastructureError(f"{storage.root}: {error.strerror or error}") from None


def _cluster(environment: Mapping[str, str], executor: str | None) -> Callable[[], None]:
    if chosen(environment, executor) == "local":
        return lambda: None
    head = Dashboard(environment)

    def ask() -> None:
        head.get(VERSION)

    return ask
