"""`ntlbg ui` on a home that a URL must quote: the address that it prints answers, files too."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.builders import SUITE, Service, new_run
from tests.support.command_line import Cli, until
from tests.support.mlflow_server import unused_port


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "per%20cent? #+;é", tmp_path / "data")


def answer(address: str, **asked: object) -> bytes:
    data = json.dumps(asked).encode() if asked else None
    with urlopen(Request(address, data, {"Content-Type": "application/json"})) as found:
        return bytes(found.read())


@pytest.mark.long
def test_the_address_that_it_prints_answers(cli: Cli) -> None:
    service = Service(cli.home)
    service.ledger.submit(SUITE, [new_run()])
    service.run_all()
    service.ledger.close()
    assert cli("mlflow", "rebuild").returncode == 0
    process = cli.start("ui", "--port", str(unused_port()))
    try:
        log = cli.home.parent / f"{cli.home.name}.log"
        until(lambda: "MLflow is at " in log.read_text(), "MLflow")
        address = log.read_text().partition("MLflow is at ")[2].partition(";")[0]
        runs = json.loads(answer(f"{address}/api/2.0/mlflow/runs/search", experiment_ids=["1"]))
        (run,) = (each["info"] for each in runs["runs"] if "seed" in each["info"]["run_name"])
        file = f"{address}/get-artifact?path=identity.json&run_uuid={run['run_id']}"
        assert json.loads(answer(file))["variant"] == "ntlbg"
    finally:
        process.terminate()
        process.wait()
    assert {path.name for path in cli.home.parent.iterdir()} == {cli.home.name, log.name}
