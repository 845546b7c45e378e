"""Choice of a controller's executor."""

from collections.abc import Mapping

from ntlbg_service.domain.errors import UserError
from ntlbg_service.executors.contract import Executor
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.executors.ray_jobs import RayJobsExecutor
from ntlbg_service.storage.local import Storage

NAMES = ("local", "ray_jobs")


def executor(storage: Storage, environment: Mapping[str, str], name: str | None = None) -> Executor:
    """Return the named executor; the default is `ray_jobs` with RAY_ADDRESS, else `local`."""
    if chosen(environment, name) == "local":
        return LocalExecutor(storage, environment)
    if not environment.get("RAY_ADDRESS"):
        raise UserError(
            "the executor ray_jobs needs RAY_ADDRESS: the cluster's head, as http://HOST:8265 or "
            "HOST:6379; without a cluster use --executor local"
        )
    return RayJobsExecutor(storage, environment)


def chosen(environment: Mapping[str, str], name: str | None = None) -> str:
    """Return the name of the executor that `executor` creates."""
    return name or ("ray_jobs" if environment.get("RAY_ADDRESS") else "local")
