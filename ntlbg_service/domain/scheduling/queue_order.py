"""Whose turn it is: the order in which waiting runs get their places.

A run's turn is a moment: when it was submitted, sooner for each level of priority, later the
longer it will hold devices. Whoever's turn is first is placed first. All wait at the same rate, so
the order of two runs never changes while they wait: whoever is ahead stays ahead. Every run comes
to the front, since what is submitted after its turn is behind it: at once, or for each level that
it is more urgent two days later. A later run that is not more urgent and not smaller is always
behind.
"""

from collections.abc import Sequence
from itertools import groupby

from ntlbg_service.domain.scheduling.cluster import Job

LEVEL_HOURS = 48.0
"""By how much waiting a run makes up for one level of priority."""
PATIENCE = 1.0
"""Hours that a run lets smaller ones go ahead, for each device-hour of its own."""
MOST_PATIENCE = 24.0
"""Hours, at most; less than a level, so that size never outweighs priority."""


def size_of(job: Job) -> float:
    """Device-hours of a job, where it takes the fewest."""
    return min((fit.gpu_hours for fit in job.fits), default=0.0)


def _turn(job: Job, waits: float) -> float:
    return job.submitted - LEVEL_HOURS * job.priority + waits


def _patience(job: Job) -> float:
    """Hours that it lets others go ahead."""
    return min(PATIENCE * size_of(job), MOST_PATIENCE)


def in_turns(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs in the order of their turns. Those of one submission that follow each other are
    together: among them there is no first and last, and the scheduler arranges them as one."""
    one_of = {id(job.fits): job for job in jobs}
    waits = {key: _patience(job) for key, job in one_of.items()}
    order = sorted(
        jobs, key=lambda job: (_turn(job, waits[id(job.fits)]), job.submitted, job.suite)
    )
    return [list(found) for _, found in groupby(order, key=_submission)]


def _submission(job: Job) -> tuple[int, float, str]:
    return job.priority, job.submitted, job.suite


def head_apart(turns: list[list[Job]]) -> list[list[Job]]:
    """Turns with the head of the queue, the longest run of the first, apart where others wait
    too: whatever is arranged behind it, its own place depends on nothing but what runs."""
    if len(turns) < 2 or len(turns[0]) == 1:
        return turns
    head = max(turns[0], key=lambda job: min(fit.hours for fit in job.fits))
    rest = [job for job in turns[0] if job is not head]
    return [[head], rest, *turns[1:]]
