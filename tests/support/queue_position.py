"""The place of one job in the queue, written down plainly."""

from ntlbg_service.domain.scheduling.cluster import Job
from ntlbg_service.domain.scheduling.queue_order import (
    LEVEL_HOURS,
    MOST_PATIENCE,
    PATIENCE,
    size_of,
)


def queue_position_of(job: Job) -> float:
    """Hours on the clock of submissions: the smaller, the sooner."""
    return job.submitted - LEVEL_HOURS * job.priority + min(PATIENCE * size_of(job), MOST_PATIENCE)
