"""Reasons why a queued run waits, as a controller on these nodes would see them."""

import math
from collections.abc import Sequence

from ntlbg_service.controller.ledger_snapshot import LedgerSnapshot
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.cluster import Cluster, Job
from ntlbg_service.domain.scheduling.waiting import Wait, full_caps, wait_of, words_of_wait
from ntlbg_service.domain.states import DesiredState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Run


def reasons_to_wait(
    ledger: Ledger, run: Run, nodes: Sequence[Node], caps: Caps
) -> tuple[Wait | None, tuple[str, ...]]:
    """Return a queued run's predicted placement and start, and every reason to wait in words."""
    words = list(_held_back(ledger, run))
    ids = [each.run_id for each in ledger.in_queue(math.inf)]
    waiting = ledger.waiting([*ids, *({run.run_id} - set(ids))])
    seen = LedgerSnapshot(ledger, caps)
    cluster = seen.cluster(nodes)
    jobs = {run_id: seen.job_of(waiting[run_id]) for run_id in [*ids, *(waiting.keys() - set(ids))]}
    mine = jobs[run.run_id]
    wait = wait_of(run.run_id, list(jobs.values()), cluster)
    if wait is None:
        words.append(_no_place(run, mine, cluster))
    elif full := full_caps(mine, cluster.running):
        words += [f"{cap.whose} holds {used:g} of {cap.gpus} GPUs" for cap, used in full]
    elif not words or wait.interval.start > 0:
        words.append(words_of_wait(wait, _labels(ledger, wait.behind)))
    return wait, tuple(words)


def _labels(ledger: Ledger, run_ids: Sequence[str]) -> dict[str, str]:
    """Return `group/variant:seed` of runs, by their ids."""
    found = ledger.summaries(run_ids)
    return {each.run_id: f"{each.group}/{each.variant}:{each.seed}" for each in found}


def _held_back(ledger: Ledger, run: Run) -> list[str]:
    """Return the reasons why the run is not considered for placement now."""
    words = []
    if run.wanted is DesiredState.PAUSE:
        words.append(f"paused; 'ntlbg resume {run.run_id}' lets it go on")
    left = run.not_before - ledger.now()
    if left > 0:
        words.append(f"a pause after its last failure, {left:.0f} s more")
    return words


def _no_place(run: Run, mine: Job, cluster: Cluster) -> str:
    wanted = " or ".join(dict.fromkeys(f"{fit.workers} x {fit.profile}" for fit in mine.fits))
    capped = [cap for cap in mine.caps if all(fit.workers > cap.gpus for fit in mine.fits)]
    if capped:
        return f"needs {wanted}; {capped[0].whose} may hold {capped[0].gpus} GPUs at once"
    here = [node for node in cluster.nodes if node.name not in cluster.drained]
    there = ", ".join(sorted({f"{node.gpus} x {node.profile}" for node in here})) or "none"
    shut = f", and not {', '.join(run.excluded)}, where it was lost" if run.excluded else ""
    drained = f"; drained: {', '.join(sorted(cluster.drained))}" if cluster.drained else ""
    return f"needs {wanted} together{shut}; nodes here have {there}{drained}"
