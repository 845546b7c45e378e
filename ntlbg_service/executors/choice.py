"""Which executor a controller uses."""

from collections.abc import Mapping

from ntlbg_service.domain.errors import UserError
from ntlbg_service.executors.contract import Executor
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.executors.ray_jobs import RayJobsExecutor
from ntlbg_service.storage.local import Storage

NAMES = ("local", "ray_jobs")


def executor(storage: Storage, environment: Mapping[str, str], name: str | None = None) -> Executor:
    """The one named; without a name, `ray_jobs` where RAY_ADDRESS names a cluster, else `local`."""
    address = environment.get("RAY_ADDRESS")
    if (name or ("ray_jobs" if address else "local")) == "local":
        return LocalExecutor(storage, environment)
    if not address:
        raise UserError(
            "the executor ray_jobs needs RAY_ADDRESS: the cluster's head, as http://HOST:8265 or "
            "HOST:6379; without a cluster use --executor local"
        )
    return RayJobsExecutor(storage, environment)
