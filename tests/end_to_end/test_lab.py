"""A suite on a lab of several kinds of GPU: Ray, PostgreSQL, MLflow, submission and controller are
processes of their own; only the GPUs are simulated."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.command_line import Cli, until
from tests.support.databases import Postgres
from tests.support.lab_suite import NODES, VARIANTS, write_kind, write_lab_suite
from tests.support.launches import Launches
from tests.support.mlflow_server import mlflow_server
from tests.support.patience import PATIENCE
from tests.support.ray_cluster import RayCluster


@dataclass
class Lab:
    """What a person has of it, and what the test looks at behind it."""

    cli: Cli
    cluster: RayCluster
    kinds: dict[str, str]
    """Kind of every node by Ray's id."""
    ledger_url: str
    mlflow: str

    def ledger(self) -> Ledger:
        return Ledger(open_database(self.ledger_url), lambda: 0.0)

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.cli.home / "storage")

    def launches(self) -> Launches:
        return Launches(self.storage, self.cli.data_root, self.cluster.environment)


@pytest.fixture
def lab(
    cli: Cli,
    tmp_path: Path,
    ray_cluster: RayCluster,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lab]:
    ledger_url = postgres.new_database()
    with mlflow_server(tmp_path / "mlflow") as mlflow:
        settings = {
            "RAY_ADDRESS": ray_cluster.dashboard,
            "NTLBG_LEDGER": ledger_url,
            "NTLBG_MLFLOW": mlflow,
            "NTLBG_PROFILES": str(write_kind(tmp_path / "slice.json")),
            "HF_HUB_OFFLINE": "1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        kinds = {
            ray_cluster.add_node(
                num_cpus=cores,
                num_gpus=gpus,
                labels={"ntlbg.io/profile": kind, "ntlbg.io/gpus": "simulated"},
            ): kind
            for kind, (cores, gpus) in NODES.items()
        }
        try:
            until(
                lambda: kinds.keys() <= ray_cluster.reported(), "the dashboard's word of all nodes"
            )
            yield Lab(cli, ray_cluster, kinds, ledger_url, mlflow)
        finally:
            cli.stop()
            for node in kinds:
                ray_cluster.remove_node(node)


def test_runs_go_to_the_kinds_that_their_fits_name(lab: Lab, tmp_path: Path) -> None:
    """A kind that follows from the precision; one that was asked for, a gang with ZeRO-2."""
    few = {
        "kinds": {"brain_float": VARIANTS["kinds"]["brain_float"]},
        "workers": {"sharded": VARIANTS["workers"]["sharded"]},
    }
    check_suite(lab, write_lab_suite(tmp_path, [1], few), runs=2)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_suite_of_twenty_four_runs(lab: Lab, tmp_path: Path) -> None:
    check_suite(lab, write_lab_suite(tmp_path, [1, 2, 3, 4]), runs=24)


def check_suite(lab: Lab, suite: Path, runs: int) -> None:
    submitted = lab.cli("submit", suite)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    controller = lab.cli.start("controller", "--until-idle")
    try:
        assert controller.wait(timeout=PATIENCE) == 0
    except subprocess.TimeoutExpired:
        raise AssertionError((lab.cli.home.parent / "home.log").read_text()) from None
    ledger = lab.ledger()
    try:
        found = [(run, ledger.attempts_of(run.run_id)) for run in ledger.current_runs("lab@laptop")]
    finally:
        ledger.close()
    assert len(found) == runs
    for run, attempts in found:
        assert run.state == "finished", run.reason
        # On a busy machine Ray may not come up in its time: then there is one attempt more.
        check_place(lab, run, attempts[-1])
    check_mlflow(lab, [run.run_id for run, _ in found])
    check_fits({run.variant: run.fits[0] for run, _ in found})
    if runs >= len(VARIANTS["kinds"]) + len(VARIANTS["workers"]):
        check_learned(lab, [(run, attempts[-1]) for run, attempts in found])
    # What a CPU took says nothing of the GPU that it stands for.
    learned = lab.cli("cluster", "calibration", "--json")
    assert json.loads(learned.stdout or "{}") == {}


def check_place(lab: Lab, run: Run, attempt: Attempt) -> None:
    """Ray, its workers and the ledger agree where it was, and its kind is that of its fit."""
    keys = AttemptKeys(attempt.run_id, attempt.number)
    told = [lab.storage.get(key) for key in lab.storage.keys(keys.workers)]
    nodes = sorted(str(row["node"]) for row in told if row is not None)
    assert nodes == sorted(lab.launches().nodes(keys))
    assert len(nodes) == attempt.fit.workers
    assert {lab.kinds[node] for node in nodes} == {attempt.fit.profile}
    assert attempt.fit in run.fits
    # Nodes of one machine are told apart by the beginning of Ray's id.
    assert {name.rpartition("-")[2] for name in attempt.nodes} == {node[:6] for node in nodes}


def check_mlflow(lab: Lab, run_ids: list[str]) -> None:
    """One run for each, ended as it did."""
    client = MlflowClient(lab.mlflow)
    everywhere = [row.experiment_id for row in client.search_experiments()]
    for run_id in run_ids:
        (row,) = client.search_runs(everywhere, f"tags.`ntlbg.run_id` = '{run_id}'")
        assert row.info.status == "FINISHED"


def check_fits(fits: Mapping[str, Fit]) -> None:
    """Each kind's precision, and a gang where one worker would not do."""
    assert (fits["sharded"].precision, fits["brain_float"].precision) == ("fp16", "bf16")
    assert (fits["sharded"].workers, fits["sharded"].zero_stage) == (2, 2)
    assert "volta" not in fits or fits["volta"].precision == "fp16"
    assert "two" not in fits or (fits["two"].workers, fits["two"].zero_stage) == (2, 0)


def check_learned(lab: Lab, runs: list[tuple[Run, Attempt]]) -> None:
    """However many workers share a global batch, and however their states: the same is learned."""
    losses = {
        (run.variant, run.seed): lab.launches().losses(AttemptKeys(run.run_id, last.number))
        for run, last in runs
    }
    for seed in {run.seed for run, _ in runs}:
        alone = losses["one", seed]
        assert sorted(alone) == [1, 2, 3, 4]
        assert losses["two", seed] == pytest.approx(alone, rel=1e-3)
        assert losses["sharded", seed] == pytest.approx(alone, rel=1e-3)
