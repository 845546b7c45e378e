"""A lab of four nodes and three kinds of GPU that a compiled NVML tells of: what is read through
Ray is right, and a mixed suite goes where it was planned to go."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Cli, until
from tests.support.lab_suite import WHOLE, write_lab_suite
from tests.support.nvml_stub import A100_40, A100_80, LOST, SLICED, V100_32, compiled, described
from tests.support.patience import PATIENCE
from tests.support.ray_cluster import RayCluster

FOREIGN = f"pids={os.getpid()}:20480"
"""A process that no node of the cluster has started."""
NODES: dict[str, tuple[str, ...]] = {
    "volta": (f"{V100_32},ecc=2", V100_32),
    "ampere": (A100_40, A100_40),
    "half": (A100_40, f"{A100_40},{FOREIGN}"),
    # What NVML fails on must not hide those behind it.
    "big": (f"{A100_80},fail={LOST}", A100_80, SLICED),
}
USABLE = {
    "volta": {"V100-32GB": 1},
    "ampere": {"A100-40GB": 2},
    "half": {"A100-40GB": 1},
    "big": {"A100-80GB": 1},
}
KEPT_OFF = {"volta": ["0"], "ampere": [], "half": ["1"], "big": ["0", "2"]}
"""GPUs that Ray must not hand out, though it has them."""
VARIANTS = {
    "kinds": {
        "volta": {"hardware.profile": "V100-32GB"},
        "first": {},
        "second": {},
    },
    "workers": {
        "one": {"hardware.profile": "A100-80GB", "hardware.num_gpus": 1, **WHOLE},
        "two": {"hardware.profile": "A100-40GB", "hardware.num_gpus": 2, **WHOLE},
    },
}


@pytest.fixture
def lab(
    cli: Cli, tmp_path: Path, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    """The command line on the lab."""
    library = compiled(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.dashboard)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    added = [
        ray_cluster.add_node(
            num_cpus=4,
            num_gpus=len(gpus),
            node_name=name,
            labels={"ntlbg.io/gpus": "simulated"},
            env_vars=described(library, *gpus),
        )
        for name, gpus in NODES.items()
    ]
    try:
        until(lambda: set(added) <= ray_cluster.reported(), "the dashboard's word of all nodes")
        yield cli
    finally:
        cli.stop()
        for node in added:
            ray_cluster.remove_node(node)


def read(cli: Cli, *words: str | Path) -> Any:
    """What a command prints as JSON."""
    done = cli(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def places(plan: dict[str, Any]) -> dict[str, tuple[str, list[str], float]]:
    """Kind, nodes and start of every planned run."""
    return {
        f"{run['group']}/{run['variant']}": (
            run["fit"]["profile"],
            run["nodes"],
            run["start_hours"],
        )
        for run in plan["runs"]
    }


def test_every_gpu_is_read_on_its_node_and_counted_where_it_can_be_used(
    lab: Cli, tmp_path: Path
) -> None:
    shown = {node["name"]: node for node in read(lab, "cluster", "gpus")["nodes"]}
    assert {name: shown[name]["planned"] for name in NODES} == USABLE
    told = {name: [gpu["use"] for gpu in shown[name]["gpus"]] for name in NODES}
    assert told["volta"][0].startswith("sick: 2 uncorrected ECC errors")
    assert told["half"][1].startswith(f"busy: 20.0 GiB held by process {os.getpid()} (")
    assert told["big"][:2] == ["sick: NVML says 'GPU is lost'", "A100-80GB"]
    assert told["big"][2].startswith("no kind") and shown["big"]["gpus"][2]["slice"] == 0
    assert shown["ampere"]["gpus"][0]["capability"] == [8, 0]
    planned = places(read(lab, "plan", write_lab_suite(tmp_path, [1], VARIANTS), "--no-trace"))
    assert planned["kinds/volta"] == ("V100-32GB", ["volta"], 0.0)
    assert planned["workers/one"] == ("A100-80GB", ["big"], 0.0)
    assert planned["workers/two"][:2] == ("A100-40GB", ["ampere"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_mixed_suite_goes_where_it_was_planned_to_go(lab: Cli, tmp_path: Path) -> None:
    """One scheduler, two uses: what starts at once is where the plan has it, and whatever is
    elsewhere later says why."""
    suite = write_lab_suite(tmp_path, [1], VARIANTS)
    planned = places(read(lab, "plan", suite))
    submitted = read(lab, "submit", suite)
    assert places(submitted["plan"]) == planned
    controller = lab.start("controller", "--until-idle")
    assert controller.wait(timeout=PATIENCE) == 0, (lab.home.parent / "home.log").read_text()
    shown = {node["name"]: node for node in read(lab, "cluster", "gpus")["nodes"]}
    assert {name: sorted(shown[name]["held"]) for name in NODES} == KEPT_OFF
    (rows,) = read(lab, "status", suite, "--planned").values()
    assert len(rows) == 5
    at_once = {name for name, (_, _, start) in planned.items() if start == 0.0}
    assert at_once >= {"kinds/volta", "workers/one", "workers/two"}
    for row in rows:
        run = row["run"].removesuffix(":1")
        profile, nodes = row["used"]["profile"], row["used"]["nodes"]
        assert nodes and profile in USABLE[nodes[0]]
        assert row["agrees"] == ((profile, sorted(nodes)) == of_plan(planned[run]))
        assert row["agrees"] or (run not in at_once and row["why"])
    said = lab("status", suite, "--planned").stdout
    assert "as planned" in said and f"of {len(rows)} runs that started" in said


def of_plan(place: tuple[str, list[str], float]) -> tuple[str, list[str]]:
    return place[0], sorted(place[1])
