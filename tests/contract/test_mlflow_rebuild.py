"""MLflow filled again from ledger and storage: a real MLflow on SQLite, lost and wrong."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from ntlbg_service.domain.launch import MetricLine, to_json
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import Command, command_on


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Two runs finished, one cancelled before it ran, one running; in a home that a URL must
    quote."""
    service = Service(tmp_path / "per%20cent? #+;é", places=1)
    ids = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2)]).new
    service.run_all()
    for run_id in ids:
        line = MetricLine(attempt=1, step=2, time=5.0, values={"train/loss": 0.5})
        service.storage.append(AttemptKeys(run_id, 1).metrics, to_json(line))
    (waits,) = service.ledger.submit(SUITE, [new_run(seed=3)]).new
    service.ledger.cancel(waits, "by ada")
    service.ledger.submit(SUITE, [new_run(seed=4)])
    service.controller.step()
    return service


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


def shown(service: Service) -> dict[str, tuple[str, str]]:
    """MLflow's runs by name: id and status."""
    client = MlflowClient(tracking_uri=service.workspace.tracking_uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: (run.info.run_id, run.info.status) for run in runs}


def test_it_is_filled_and_filling_it_again_changes_nothing(
    service: Service, ntlbg: Command
) -> None:
    said = ntlbg("mlflow", "check")
    assert said.code == 5 and said.out.count("MLflow shows no such run") == 3
    assert ntlbg("mlflow", "rebuild").out == "MLflow was told of 3 runs and suites.\n"
    home = service.workspace.home
    assert sorted(path.name for path in home.parent.iterdir()) == [home.name]
    assert len(list(home.glob("mlartifacts/*/artifacts/config.json"))) == 2
    first = shown(service)
    assert {name: status for name, (_, status) in first.items()} == {
        "s (suite)": "RUNNING",
        "ntlbg/seed1": "FINISHED",
        "ntlbg/seed2": "FINISHED",
        "ntlbg/seed4": "RUNNING",
    }
    assert ntlbg("mlflow", "rebuild", "s").code == 0
    assert shown(service) == first
    client = MlflowClient(tracking_uri=service.workspace.tracking_uri)
    assert len(client.get_metric_history(first["ntlbg/seed1"][0], "train/loss")) == 1
    assert "what the ledger says" in ntlbg("mlflow", "check").out


def test_states_that_disagree_are_mended(service: Service, ntlbg: Command) -> None:
    ntlbg("mlflow", "rebuild")
    client = MlflowClient(tracking_uri=service.workspace.tracking_uri)
    before = shown(service)
    client.set_terminated(before["ntlbg/seed1"][0], "KILLED")
    client.set_terminated(before["ntlbg/seed4"][0], "FAILED")
    client.delete_run(before["ntlbg/seed2"][0])
    said = ntlbg("mlflow", "check", "s")
    assert said.code == 5
    assert "g/ntlbg seed 1" in said.out and "finished, MLflow shows killed" in said.out
    assert "running, MLflow shows failed" in said.out and "no such run" in said.out
    assert ntlbg("mlflow", "rebuild", "s").code == 0
    assert {name: status for name, (_, status) in shown(service).items()} == {
        name: status for name, (_, status) in before.items()
    }


def test_beside_a_leader_it_only_notes(service: Service, ntlbg: Command) -> None:
    service.ledger.lead("host-1", 1e12)
    before = len(service.ledger.unsent())
    assert "controller host-1 tells them" in ntlbg("mlflow", "rebuild").out
    assert len(service.ledger.unsent()) >= before > 0
    assert not (service.workspace.home / "mlflow.db").exists()
