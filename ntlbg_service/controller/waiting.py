"""What a queued run waits for, as a controller on these nodes would see it."""

from collections.abc import Sequence

from ntlbg_service.controller.controller import job_of, running_of
from ntlbg_service.domain.cluster import Cluster
from ntlbg_service.domain.inventory import Node
from ntlbg_service.domain.states import Wanted
from ntlbg_service.domain.waiting import Wait, wait_of, words_of_wait
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Run


def reasons_to_wait(
    ledger: Ledger, run: Run, nodes: Sequence[Node]
) -> tuple[Wait | None, tuple[str, ...]]:
    """A queued run's predicted place and start, and everything it waits for, in words."""
    words = list(_held_back(ledger, run))
    waiting = [each for each in ledger.queued() if each.wanted is Wanted.RUN or each == run]
    running = tuple(running_of(each, ledger.now()) for each in ledger.active_attempts())
    cluster = Cluster(nodes=tuple(nodes), running=running)
    wait = wait_of(run.run_id, [job_of(each) for each in waiting], cluster)
    if wait is None:
        words.append(_no_place(run, nodes))
    elif not words or wait.interval.start > 0:
        words.append(words_of_wait(wait, {name.run_id: name.label for name in ledger.names()}))
    return wait, tuple(words)


def _held_back(ledger: Ledger, run: Run) -> list[str]:
    """Why no place is looked for now."""
    words = []
    if run.wanted is Wanted.PAUSE:
        words.append(f"paused; 'ntlbg resume {run.run_id}' lets it go on")
    left = run.not_before - ledger.now()
    if left > 0:
        words.append(f"a pause after its last failure, {left:.0f} s more")
    return words


def _no_place(run: Run, nodes: Sequence[Node]) -> str:
    fits = (run.next_fit,) if run.next_fit else run.fits
    wanted = " or ".join(dict.fromkeys(f"{fit.workers} x {fit.profile}" for fit in fits))
    there = ", ".join(sorted({f"{node.gpus} x {node.profile}" for node in nodes})) or "none"
    shut = f", and not {', '.join(run.excluded)}, where it was lost" if run.excluded else ""
    return f"needs {wanted} together{shut}; nodes here have {there}"
