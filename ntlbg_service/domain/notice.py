"""What receivers of news are told: that a run changed its state, or that a suite has ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.domain.states import RunState

LONGEST = 1000
"""Characters of a reason; the whole of it is in the ledger."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One piece of news, as it was when it was written down."""

    key: str
    """The same however often it is sent, and no other notice's."""
    time: float
    """Unix time."""
    suite: str
    submitter: str
    """Whose the run is; who submitted the suite first."""
    state: RunState
    run_id: str | None = None
    """None where it is about a suite."""
    group: str = ""
    variant: str = ""
    seed: int = 0
    before: RunState | None = None
    reason: str = ""
    runs: Mapping[str, int] | None = None
    """Of a suite that has ended: how many of its newest runs are in which state."""

    @property
    def payload(self) -> dict[str, Any]:
        """What is sent as JSON: `text` as Slack reads it, and all of it as fields."""
        common = {
            "id": self.key,
            "text": escaped(neutral(self.text)),
            "kind": "suite" if self.run_id is None else "run",
            "time": self.time,
            "suite": self.suite,
            "submitter": self.submitter,
            "state": self.state.value,
        }
        if self.run_id is None:
            return {**common, "runs": dict(self.runs or {})}
        return {
            **common,
            "run_id": self.run_id,
            "group": self.group,
            "variant": self.variant,
            "seed": self.seed,
            "before": None if self.before is None else self.before.value,
            "reason": self.reason[:LONGEST],
        }

    @property
    def text(self) -> str:
        """One line for people."""
        if self.run_id is None:
            counts = ", ".join(f"{count} {state}" for state, count in (self.runs or {}).items())
            return f"{self.suite} ({self.submitter}) has ended: {counts}"
        run = f"{self.group}/{self.variant} seed {self.seed} ({self.submitter})"
        reason = f": {' '.join(self.reason[:LONGEST].split())}" if self.reason else ""
        return f"{self.suite}: {run} {WORDS[self.state]}{reason}"


WORDS = {
    RunState.QUEUED: "waits for its next attempt",
    RunState.RUNNING: "runs",
    RunState.FINISHED: "finished",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "was cancelled",
    RunState.LOST: "was lost",
}
"""A state as what a run does."""


def escaped(text: str) -> str:
    """A text without what Slack would take as a link or as a call for everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def state_of_suite(counts: Mapping[str, int]) -> RunState:
    """How a suite has ended, by the states of its runs: the worst of them."""
    for state in (RunState.FAILED, RunState.LOST, RunState.CANCELLED):
        if counts.get(state.value):
            return state
    return RunState.FINISHED
