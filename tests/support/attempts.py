"""One attempt started as a controller starts many."""

from collections.abc import Sequence

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.states import TransitionError
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, NewAttempt, Run


def start_attempt(
    ledger: Ledger,
    run: Run,
    fit: Fit,
    resume_from: str | None,
    executor: str,
    reason: str,
    nodes: Sequence[str] = (),
) -> Attempt:
    """Start one attempt. Raises TransitionError where the run is not queued."""
    new = NewAttempt(
        run_id=run.run_id,
        fit=fit,
        resume_from=resume_from,
        executor=executor,
        reason=reason,
        nodes=tuple(nodes),
    )
    started = ledger.start_attempts([new])
    if not started:
        raise TransitionError(f"run {run.run_id} is not queued")
    return started[0]
