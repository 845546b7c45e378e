"""Small clusters and queues for tests of the scheduler, and what must hold of any schedule."""

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job
from ntlbg_service.domain.scheduling.reservations import has_room, request_of


def a_fit(
    profile: str,
    hours: float = 1.0,
    workers: int = 1,
    *,
    nodes: int = 1,
    host_gib: float = 0.0,
    attention: str = "sdpa",
) -> Fit:
    return Fit(
        profile=profile,
        precision="bf16",
        attention=attention,  # type: ignore[arg-type]
        micro_batch=1,
        accumulation=1,
        workers=workers,
        gradient_checkpointing=False,
        predicted_gib=1.0,
        limit_gib=2.0,
        hours=hours,
        memory={},
        reasons=(),
        nodes=nodes,
        host_gib=host_gib,
    )


def a_job(name: str, *fits: Fit, priority: int = 0, group: str = "") -> Job:
    return Job(run_id=name, fits=fits, priority=priority, group=group)


def a_cluster(**gpus: int | tuple[int, ...]) -> Cluster:
    """Nodes by profile: `a_cluster(a=(8, 8), b=4)` has two nodes of eight and one of four."""
    nodes = []
    for group, (profile, sizes) in enumerate(gpus.items()):
        for number, size in enumerate(sizes if isinstance(sizes, tuple) else (sizes,), start=1):
            name = f"{profile}-{number}"
            nodes.append(Node(name=name, group=group, profile=profile, gpus=size))
    return Cluster(nodes=tuple(nodes))


HOURS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7, 11.0])


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    nodes = []
    for group in range(draw(st.integers(1, 3))):
        profile, gpus = draw(st.sampled_from("ab")), draw(st.sampled_from([1, 2, 4, 8]))
        host, ready = draw(st.sampled_from([64.0, 128.0])), draw(st.sampled_from([0.0, 0.25]))
        nodes += [
            Node(
                name=f"{profile}{group}-{number}",
                group=group,
                profile=profile,
                gpus=gpus,
                host_memory_gib=host,
                ready_hours=ready,
            )
            for number in range(draw(st.integers(1, 3)))
        ]
    return Cluster(nodes=tuple(nodes))


@st.composite
def fits(draw: st.DrawFn) -> Fit:
    nodes = draw(st.sampled_from([1, 1, 1, 2]))
    return a_fit(
        draw(st.sampled_from("ab")),
        draw(HOURS),
        nodes * draw(st.sampled_from([1, 2, 4])),
        nodes=nodes,
        host_gib=draw(st.sampled_from([0.0, 0.0, 20.0, 60.0])),
    )


@st.composite
def queues(draw: st.DrawFn) -> list[Job]:
    kinds = draw(st.lists(st.lists(fits(), min_size=1, max_size=3), min_size=1, max_size=4))
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=20))
    return [
        a_job(str(number), *found, priority=draw(st.integers(0, 1)))
        for number, found in enumerate(chosen)
    ]


def could_hold(cluster: Cluster, fit: Fit) -> bool:
    """Whether the empty cluster has the nodes for a gang."""
    groups = [node.group for node in cluster.nodes if has_room(node, request_of(fit))]
    return any(groups.count(group) >= fit.nodes for group in groups)


def placeable(jobs: Iterable[Job], cluster: Cluster) -> list[Job]:
    return [job for job in jobs if any(could_hold(cluster, fit) for fit in job.fits)]


def check(intervals: Sequence[HoursInterval], jobs: Sequence[Job], cluster: Cluster) -> None:
    """Each job that can be placed is, once, whole, on nodes that have what it takes."""
    by_id = {job.run_id: job for job in jobs}
    nodes = {node.name: node for node in cluster.nodes}
    placed = sorted(interval.placement.run_id for interval in intervals)
    assert placed == sorted(job.run_id for job in placeable(jobs, cluster))
    for interval in intervals:
        fit, names = interval.placement.fit, interval.placement.nodes
        assert fit in by_id[interval.placement.run_id].fits
        assert len(set(names)) == len(names) == fit.nodes
        assert len({nodes[name].group for name in names}) == 1
        assert all(nodes[name].profile == fit.profile for name in names)
        assert all(interval.start >= nodes[name].ready_hours for name in names)
        for name in names:
            _check_node(nodes[name], interval.start, intervals)


def _check_node(node: Node, moment: float, intervals: Sequence[HoursInterval]) -> None:
    """No more than the node has is in use at a moment."""
    there = [
        request_of(interval.placement.fit).need
        for interval in intervals
        if node.name in interval.placement.nodes and interval.start <= moment < interval.end
    ]
    assert sum(need.gpus for need in there) <= node.gpus
    assert sum(need.host_gib for need in there) <= node.host_memory_gib + 1e-6
