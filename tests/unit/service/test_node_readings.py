"""A reading of nodes is begun, taken when it is there, and never loses the one before."""

import json
import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service.executors.job_client import ClusterAwayError, JobClient
from ntlbg_service.nodes.inventory import read_nodes
from ntlbg_service.nodes.node_job import MARK
from ntlbg_service.nodes.readings import AGAIN_SECONDS, EVERY_SECONDS, WAIT_SECONDS, NodeReadings
from tests.support.node_rows import node_row


@dataclass
class Job:
    status: str
    said: str = ""


@dataclass
class Ray:
    """A cluster's jobs, as its client sees them."""

    jobs: dict[str, Job] = field(default_factory=dict)
    files: list[set[str]] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    away: bool = False

    def submit_job(self, submission_id: str, **job: Any) -> None:
        self._ask()
        self.files.append({path.name for path in Path(job["runtime_env"]["working_dir"]).iterdir()})
        _, file, told = shlex.split(job["entrypoint"])
        assert file == "node_job.py"
        self.told.append(json.loads(told))
        self.jobs[submission_id] = Job("RUNNING")

    def get_job_info(self, submission_id: str) -> Job:
        self._ask()
        if submission_id not in self.jobs:
            raise RuntimeError("status code 404")
        return self.jobs[submission_id]

    def get_job_logs(self, submission_id: str) -> str:
        self._ask()
        return self.jobs[submission_id].said

    def delete_job(self, submission_id: str) -> None:
        del self.jobs[submission_id]

    def _ask(self) -> None:
        if self.away:
            raise RuntimeError("away")

    def end(self, said: str = "", status: str = "SUCCEEDED") -> None:
        (job,) = self.jobs.values()
        job.status, job.said = status, said


class World:
    """One cluster, and a clock that only waiting moves."""

    def __init__(self) -> None:
        self.ray = Ray()
        self.now = 0.0
        self.on_pause: Any = lambda: None
        client = JobClient("HOST:6379", connect=lambda _: self.ray)
        self.readings = NodeReadings(client, {}, clock=lambda: self.now, pause=self.pause)

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.on_pause()


def told(**nodes: list[dict[str, Any]]) -> str:
    found = {
        node: {"gpus": gpus, "note": "", "visible": None, "held": []}
        for node, gpus in nodes.items()
    }
    return f"Ray says something\n{MARK}{json.dumps(found)}\nand more\n"


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_is_waited_for_and_later_ones_are_not(world: World) -> None:
    world.on_pause = lambda: world.ray.end(told(a=[]))
    assert world.readings.newest(["a"]).keys() == {"a"}
    assert world.ray.files == [{"node_job.py", "gpu_quarantine.py", "nvml.py"}]
    assert not world.ray.jobs, "an ended one is taken from Ray's list"
    world.on_pause = pytest.fail
    world.now = EVERY_SECONDS
    assert world.readings.newest(["a"]).keys() == {"a"} and not world.ray.jobs
    world.now += 1
    assert world.readings.newest(["a"]).keys() == {"a"} and len(world.ray.jobs) == 1
    world.ray.end(told(a=[], b=[]))
    assert world.readings.newest(["a"]).keys() == {"a", "b"}


def test_a_node_that_came_is_read_soon(world: World) -> None:
    world.on_pause = lambda: world.ray.end(told(a=[]))
    world.readings.newest(["a"])
    world.readings.newest(["a", "b"])
    assert not world.ray.jobs
    world.now += AGAIN_SECONDS + 1
    world.readings.newest(["a", "b"])
    assert len(world.ray.jobs) == 1


def test_a_node_that_does_not_answer_is_what_it_said_last(world: World) -> None:
    world.on_pause = lambda: world.ray.end(told(a=[{"index": 0, "error": "GPU is lost"}], b=[]))
    world.readings.read()
    world.on_pause = lambda: world.ray.end(told(b=[{"index": 0}]))
    found = world.readings.read()
    assert found["a"]["gpus"][0]["error"] == "GPU is lost" and found["b"]["gpus"]


def test_what_steers_a_cluster_keeps_gpus_from_runs_and_lets_them_go(world: World) -> None:
    world.readings.holds = True
    world.on_pause = lambda: world.ray.end(told(a=[]))
    world.readings.newest(["a"])
    for wanted in ({"a": ["1", "0"], "b": []}, {"a": []}):
        world.readings.keep_off(wanted)
        world.now += 1
        world.readings.newest(["a"])
        world.ray.end(told(a=[]))
        world.readings.newest(["a"])
    assert world.ray.told == [None, {"a": ["0", "1"]}, {}]


def test_what_only_looks_leaves_what_is_held_as_it_is(world: World) -> None:
    world.on_pause = lambda: world.ray.end(told(a=[]))
    world.readings.keep_off({"a": ["0"]})
    world.readings.newest(["a"])
    world.now = AGAIN_SECONDS + 1
    world.readings.newest(["a"])
    assert world.ray.told == [None]


def test_what_fails_leaves_what_was_known_and_is_said(world: World) -> None:
    world.on_pause = lambda: world.ray.end(told(a=[]))
    world.readings.read()
    world.on_pause = lambda: world.ray.end("no module\nnamed pynvml", "FAILED")
    assert world.readings.read().keys() == {"a"}
    assert world.readings.trouble == "named pynvml"
    world.on_pause = lambda: world.ray.end("", "FAILED")
    world.readings.read()
    assert world.readings.trouble == "the reading said nothing"
    world.ray.away = True
    assert world.readings.read().keys() == {"a"}
    assert "away" in world.readings.trouble


def test_a_cluster_that_does_not_answer_in_time_is_not_waited_for(world: World) -> None:
    assert world.readings.read() == {}
    assert world.now == pytest.approx(WAIT_SECONDS, abs=1) and "within" in world.readings.trouble
    world.ray.away = True
    assert world.readings.newest(["a"]) == {} and "away" in world.readings.trouble
    world.ray.away = False
    world.ray.end(told(a=[]))
    assert world.readings.newest(["a"]).keys() == {"a"} and not world.readings.trouble


def test_a_nodes_own_word_goes_before_the_dashboards(world: World) -> None:
    """But how much memory is in use is the dashboard's, which is newer."""
    row = node_row("aa")
    row["gpus"][0] |= {"uuid": "GPU-x", "memoryUsed": 2048}
    own = {"index": 0, "uuid": "GPU-x", "product": "Tesla V100-SXM2-32GB", "memory_gib": 31.7}
    lost = {"index": 1, "error": "GPU is lost"}
    world.readings.found = json.loads(told(aa=[own, lost]).splitlines()[1].split(": ", 1)[1])
    world.readings.newest = lambda _: world.readings.found  # type: ignore[method-assign]

    class Dashboard(JobClient):
        def get(self, endpoint: str) -> Any:
            return {"data": {"summary": [row, node_row("bb")]}}

    client = Dashboard("HOST:6379")
    first, second = read_nodes({"RAY_ADDRESS": "HOST:6379"}, client, world.readings)
    assert [gpu.health.words for gpu in first.gpus] == ["", "sick: NVML says 'GPU is lost'"]
    assert first.quarantined() == ("1",) and replace(first, devices=1).quarantined() == ()
    assert first.gpus[0].used_gib == 2.0 and first.kinds() == {"V100-32GB": 1}
    # Of one that could not be read, the dashboard's word is what there is.
    assert second.kinds() == {"V100-32GB": 1}


def test_a_client_that_is_away_is_one_kind_of_error() -> None:
    ray = Ray(away=True)
    with pytest.raises(ClusterAwayError, match="away"):
        JobClient("HOST:6379", connect=lambda _: ray).logs("job")
