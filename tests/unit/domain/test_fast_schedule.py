"""What makes the scheduler fast changes no decision: in thousands of random histories it decides as
the plain one does."""

from collections.abc import Sequence
from random import Random

import pytest

from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.cluster import Cluster, Job, Placement, Running
from ntlbg_service.domain.scheduling.queue_order import in_turns
from ntlbg_service.domain.scheduling.schedule import look_ahead, schedule
from tests.support.made_up_histories import HOURS, a_history, off_by_a_factor
from tests.support.made_up_jobs import a_fit
from tests.support.plain_schedule import plain_look_ahead, plain_turns

HISTORIES = 1200
PARTS = [
    pytest.param(
        range(part, HISTORIES, 4), marks=[pytest.mark.long] if part else [], id=f"part {part}"
    )
    for part in range(4)
]
DEPTHS = (0, 1, 3, 1000)


@pytest.mark.parametrize("seeds", PARTS)
def test_it_decides_as_the_plain_one(seeds: Sequence[int]) -> None:
    waited = filled = 0
    for seed in seeds:
        draw = Random(seed)

        def policy(
            waiting: Sequence[Job], cluster: Cluster, draw: Random = draw
        ) -> Sequence[Placement]:
            nonlocal waited, filled
            depth = draw.choice(DEPTHS)
            found = look_ahead(waiting, cluster, depth)
            assert found == plain_look_ahead(waiting, cluster, depth)
            assert found == look_ahead(waiting, cluster, depth, in_turns(waiting))
            assert in_turns(waiting) == plain_turns(waiting)
            waited += any(row.start > 0 for row in found)
            filled += sum(row.start <= 0 for row in found) > depth
            return schedule(waiting, cluster)

        history = a_history(
            seed,
            runs=12,
            together=seed % 2 == 0,
            caps=seed % 3 == 0,
            sharing=seed % 5 == 0,
        )
        history.live(policy, off_by_a_factor(seed))
    assert waited > 100 and filled > 100


def a_crowd(draw: Random) -> tuple[list[Job], Cluster]:
    """Groups of several nodes, much of them held, and gangs over two or three of them in a long
    queue of few kinds."""
    nodes = tuple(
        Node(name=f"{profile}-{n}", group=group, profile=profile, gpus=gpus, host_memory_gib=64.0)
        for group, profile in enumerate("ab")
        for gpus in (draw.choice((2, 4)),)
        for n in range(draw.randint(3, 5))
    )
    running = tuple(
        Running(
            placement=Placement(
                run_id=f"r-{node.name}", fit=a_fit(node.profile), nodes=(node.name,)
            ),
            hours=draw.choice(HOURS),
        )
        for node in nodes
        for _ in range(draw.randint(0, node.gpus))
    )
    kinds = []
    for _ in range(5):
        fits = []
        for profile in draw.choice(("a", "b", "ab")):
            wide = draw.choice((1, 2, 3))
            workers = wide * draw.choice((1, 2))
            fits.append(a_fit(profile, draw.choice(HOURS), workers, nodes=wide))
        kinds.append(tuple(fits))
    jobs = [
        Job(
            run_id=str(number),
            fits=draw.choice(kinds),
            submitted=float(draw.randint(0, 3)),
            suite=draw.choice("xy"),
        )
        for number in range(25)
    ]
    return jobs, Cluster(nodes=nodes, running=running)


@pytest.mark.parametrize("seeds", PARTS)
def test_it_decides_as_the_plain_one_where_gangs_crowd(seeds: Sequence[int]) -> None:
    together = 0
    for seed in seeds:
        draw = Random(seed)
        jobs, cluster = a_crowd(draw)
        depth = draw.choice((0, 5, 1000))
        found = look_ahead(jobs, cluster, depth)
        assert found == plain_look_ahead(jobs, cluster, depth)
        together += sum(len(row.placement.nodes) > 1 for row in found)
    assert together > 1000
