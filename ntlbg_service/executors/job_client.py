"""Client of Ray's job API with bounded response times and one class of error."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.ray_token import use_token

TIMEOUT_SECONDS = 20.0
"""Timeout of one request to the cluster's head."""
AGENT_SECONDS = 10.0
"""Seconds that one submission waits for a job agent; the caller retries afterwards.

A cluster that has just started has no agent for a second or two.
"""
STOP_SECONDS = 60.0
"""Timeout for a stopped job to disappear."""
TICK_SECONDS = 0.5
WORKING = frozenset({"RayTrainWorker", "TrainController"})
"""Actors that compute or hold devices. Ray Train has others that outlive a job on purpose."""
ACTORS = "/api/v0/actors"
"""Endpoint of Ray's state API for actors."""
DASHBOARD = "RAY_API_SERVER_ADDRESS"
ASK_FOR_DASHBOARD = """
import sys
from ray.dashboard.utils import ray_address_to_api_server_url
print(ray_address_to_api_server_url(sys.argv[1]))
"""
NO_TOKEN = (
    "the cluster refuses this token; RAY_AUTH_TOKEN_PATH names the file with the cluster's, which "
    "'ray get-auth-token' prints on its head"
)
ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


class ClusterAwayError(InfrastructureError):
    """The cluster did not answer: its launches are in an unknown, unchanged state."""


class JobClient:
    """Client that submits, reads and stops the jobs of one cluster.

    It connects on first use, and again after the cluster was away.
    """

    def __init__(
        self,
        address: str,
        connect: Callable[[str], Any] | None = None,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._clock = clock
        self._connect = connect or connected
        self._pause = pause
        self._client: Any = None

    def submit(self, submission_id: str, **job: Any) -> bool:
        """Submit a job; return False where its id already exists."""
        deadline = self._clock() + AGENT_SECONDS
        while self._clock() < deadline:
            try:
                with self._asked() as client:
                    client.submit_job(submission_id=submission_id, **job)
                return True
            except ClusterAwayError as error:
                # A request that failed or timed out may still have submitted the job.
                if "already exists" in str(error) or self.find(submission_id) is not None:
                    return False
                if "No available agent" not in str(error):
                    raise
            self._pause(TICK_SECONDS)
        raise ClusterAwayError(f"Ray at {self.address} has no agent that starts jobs")

    def find(self, submission_id: str) -> Any | None:
        """Return Ray's details of a job; None where the id is unknown."""
        with self._asked() as client:
            try:
                return client.get_job_info(submission_id)
            except RuntimeError as error:
                if "status code 404" in str(error):
                    return None
                raise

    def logs(self, submission_id: str) -> str:
        """Return the whole output of a job."""
        with self._asked() as client:
            return str(client.get_job_logs(submission_id))

    def get(self, endpoint: str) -> Any:
        """Return the parsed JSON of an endpoint of the head's dashboard."""
        with self._asked() as client:
            answer = client._do_request("GET", endpoint)
            answer.raise_for_status()
            return answer.json()

    def forget(self, submission_id: str) -> None:
        """Delete an ended job from Ray's list; a failure to do so is ignored."""
        with contextlib.suppress(ClusterAwayError), self._asked() as client:
            client.delete_job(submission_id)

    def stop(self, submission_id: str) -> None:
        """Stop a job; return when its driver and everything that it started are gone."""
        with self._asked() as client:
            client.stop_job(submission_id)
        self._wait(lambda: self._gone(submission_id), f"job {submission_id} to end")

    def _gone(self, submission_id: str) -> bool:
        job = self.find(submission_id)
        # Ray reports a job as ended while its workers may still run.
        return job is None or (job.status in ENDED and not self._actors(job.job_id))

    def _actors(self, job_id: str | None) -> bool:
        """Return True if workers of a job's driver are alive."""
        if not job_id:
            return False
        wanted = {"job_id": ("=", job_id), "state": ("!=", "DEAD")}
        query = {
            "filter_keys": list(wanted),
            "filter_predicates": [predicate for predicate, _ in wanted.values()],
            "filter_values": [value for _, value in wanted.values()],
        }
        found = self.get(f"{ACTORS}?{urlencode(query, doseq=True)}")["data"]["result"]["result"]
        return any(actor["class_name"] in WORKING for actor in found)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(int(STOP_SECONDS / TICK_SECONDS)):
            if condition():
                return
            self._pause(TICK_SECONDS)
        raise ClusterAwayError(f"Ray at {self.address}: waited {STOP_SECONDS:g} s for {what}")

    @contextlib.contextmanager
    def _asked(self) -> Iterator[Any]:
        """Yield the connected client; convert every error within the block to ClusterAwayError."""
        try:
            if self._client is None:
                self._client = self._connect(self.address)
            yield self._client
        except ClusterAwayError:
            raise
        except Exception as error:
            self._client = None
            said = " ".join(str(error).split()) or type(error).__name__
            if type(error).__name__ == "AuthenticationError":
                raise ClusterAwayError(f"Ray at {self.address}: {NO_TOKEN}") from None
            raise ClusterAwayError(f"Ray at {self.address}: {said[:300]}") from None


def connected(address: str) -> Any:
    """Return Ray's own client for an address, HTTP or GCS, with a timeout on every request."""
    use_token(os.environ, Path.home())
    from ray.job_submission import JobSubmissionClient

    class Impatient(JobSubmissionClient):  # type: ignore[misc]
        """Job client with a timeout: Ray's own waits forever where a head vanished."""

        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            return super()._do_request(method, endpoint, **{"timeout": TIMEOUT_SECONDS, **options})

    url = address if "://" in address else dashboard_of(address)
    with _named_dashboard(url):
        return Impatient(url)


@contextlib.contextmanager
def _named_dashboard(url: str) -> Iterator[None]:
    """Point Ray's client to a URL within the block.

    Ray's client prefers RAY_ADDRESS to the address that it is given, but this variable to both.
    """
    before = os.environ.get(DASHBOARD)
    os.environ[DASHBOARD] = url
    try:
        yield
    finally:
        del os.environ[DASHBOARD]
        if before is not None:
            os.environ[DASHBOARD] = before


def dashboard_of(address: str) -> str:
    """Return the dashboard's URL, as reported by a head's GCS.

    It asks in a subprocess: Ray's GCS client may wait forever and hold the GIL meanwhile.
    """
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ASK_FOR_DASHBOARD, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterAwayError(
            f"Ray at {address}: no answer within {TIMEOUT_SECONDS:g} s"
        ) from None
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines() or ["no answer"]
        raise ClusterAwayError(f"Ray at {address}: {said[-1][:300]}")
    return asked.stdout.split()[-1]
