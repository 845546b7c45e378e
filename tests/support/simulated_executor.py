"""Executor without processes: for tests, and for simulations at large scale."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, to_json
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.storage.claims import read_claim
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

Outcome = Callable[[LaunchSpec], ExitRecord | None]
"""Function from a spec to its exit record; None for an attempt that dies without one."""


def finishes(spec: LaunchSpec) -> ExitRecord:
    """Return the exit record of an attempt that finishes."""
    return ExitRecord(run_id=spec.run_id, attempt=spec.attempt, finished=True, ended_at=0.0)


@dataclass
class SimulatedExecutor:
    """Executor whose launches run until `complete` is called."""

    storage: Storage
    outcome: Outcome = finishes
    running: dict[str, LaunchSpec] = field(default_factory=dict)
    launched: list[str] = field(default_factory=list)
    """Ids of all launches, in the order of their start."""
    name: str = "simulated"

    def launch(self, spec: LaunchSpec) -> None:
        """Start a launch once; the claim in storage refuses a second start."""
        keys = AttemptKeys(spec.run_id, spec.attempt)
        if read_claim(self.storage, keys) is None:
            self.storage.put(keys.process, {"launch": spec.launch_id})
            self.running[keys.folder] = spec
            self.launched.append(spec.launch_id)

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """Return RUNNING until the launch is completed or stopped."""
        if keys.folder in self.running:
            return LaunchStatus.RUNNING
        started = read_claim(self.storage, keys) is not None
        return LaunchStatus.ENDED if started else LaunchStatus.ABSENT

    def stop(self, keys: AttemptKeys) -> None:
        """End a launch without an exit record."""
        self.running.pop(keys.folder, None)

    def complete(self, run_id: str) -> None:
        """Complete the running attempt of a run with its outcome."""
        folder, spec = next(
            (folder, spec) for folder, spec in self.running.items() if spec.run_id == run_id
        )
        record = self.outcome(spec)
        if record is not None:
            self.storage.put(AttemptKeys(spec.run_id, spec.attempt).exit, to_json(record))
        del self.running[folder]
