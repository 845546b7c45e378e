"""What a queued run waits for is what the scheduler would do."""

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.cluster import Cluster, Job, Placement, Running
from ntlbg_service.domain.scheduling.schedule import look_ahead
from ntlbg_service.domain.scheduling.waiting import wait_of, words_of_wait
from tests.support.builders import cpu_fit, tiny_config

FIT = cpu_fit(tiny_config())
NODE = Node(name="laptop", group=0, profile="cpu", gpus=1)


@given(st.integers(1, 8), st.integers(0, 3))
def test_every_run_that_fits_has_a_wait(queued: int, busy: int) -> None:
    jobs = [Job(run_id=f"q{place}", fits=(FIT,)) for place in range(queued)]
    nodes = tuple(Node(name=f"n{i}", group=0, profile="cpu", gpus=1) for i in range(3))
    running = tuple(
        Running(placement=Placement(run_id=f"r{i}", fit=FIT, nodes=(f"n{i}",)), hours=1.0 + i)
        for i in range(busy)
    )
    cluster = Cluster(nodes=nodes, running=running)
    starts = {row.placement.run_id: row.start for row in look_ahead(jobs, cluster)}
    for job in jobs:
        wait = wait_of(job.run_id, jobs, cluster)
        assert wait is not None and wait.interval.start == starts[job.run_id]
        assert bool(wait.behind) == (wait.interval.start > 0)
        assert job.run_id not in wait.behind
        assert wait.ahead == sum(start < wait.interval.start - 1e-6 for start in starts.values())


def test_it_is_said_in_words() -> None:
    job = Job(run_id="a", fits=(FIT,))
    free = wait_of("a", [job], Cluster(nodes=(NODE,)))
    assert free is not None
    assert words_of_wait(free, {}).startswith("its place on laptop is free")
    held = Running(placement=Placement(run_id="b", fit=FIT, nodes=("laptop",)), hours=2.0)
    taken = wait_of("a", [job], Cluster(nodes=(NODE,), running=(held,)))
    assert taken is not None
    assert words_of_wait(taken, {"b": "g/x:1"}) == "waits for g/x:1 to end on laptop"
    assert wait_of("a", [job], Cluster(nodes=())) is None
