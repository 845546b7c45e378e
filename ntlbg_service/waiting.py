"""The queue as the scheduler sees it, for who asks what a run waits for."""

from collections.abc import Sequence

from ntlbg_service.domain.cluster import Cluster, Job, Placement, Running
from ntlbg_service.domain.inventory import Node
from ntlbg_service.domain.waiting import Wait, wait_of, words_of_wait
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run

A_SECOND = 1 / 3600


def what_it_waits_for(ledger: Ledger, run: Run, nodes: Sequence[Node]) -> tuple[Wait | None, str]:
    """A queued run's wait on these nodes, and the words for it."""
    jobs = [_job(each) for each in ledger.queued()]
    running = tuple(_running(each, ledger.now()) for each in ledger.active_attempts())
    wait = wait_of(run.run_id, jobs, Cluster(nodes=tuple(nodes), running=running))
    if wait is not None:
        return wait, words_of_wait(wait, {name.run_id: name.label for name in ledger.names()})
    wanted = " or ".join(dict.fromkeys(f"{fit.workers} x {fit.profile}" for fit in run.fits))
    there = ", ".join(sorted({f"{node.gpus} x {node.profile}" for node in nodes})) or "none"
    return None, f"needs {wanted} together; nodes here have {there}"


def _job(run: Run) -> Job:
    return Job(run_id=run.run_id, fits=run.fits, group=run.group)


def _running(attempt: Attempt, now: float) -> Running:
    left = attempt.fit.hours - (now - attempt.launched_at) / 3600
    placement = Placement(run_id=attempt.run_id, fit=attempt.fit)
    return Running(placement=placement, hours=max(left, A_SECOND))
