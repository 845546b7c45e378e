"""Small whole objects for tests of the service."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path

from ntlbg_model.config import Config, DataConfig, DatasetConfig, ModelConfig, TrainingConfig
from ntlbg_service.controller import Controller
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.domain.fitting.fit import Fit, fit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import CPU, NodeShape
from ntlbg_service.domain.launch import Heartbeat, Work, to_json
from ntlbg_service.domain.run_identity import Identity, config_digest
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import NewRun, NewSuite
from ntlbg_service.process.sqlite_file import url_of
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.local import LocalStorage
from tests.support.simulated_executor import SimulatedExecutor

SUITE = NewSuite(key="s", name="s", description="", submitter="ada", spec={})


class Ticks:
    """A clock that moves by one second a reading."""

    def __init__(self) -> None:
        self._ticks: Iterator[int] = count(1)

    def __call__(self) -> float:
        return float(next(self._ticks))


def tiny_config(**training: int) -> Config:
    """A valid config that fits a CPU."""
    return Config(
        model=ModelConfig(base_model="tiny"),
        training=TrainingConfig(
            **{"max_steps": 4, "warmup_steps": 0, "global_batch": 8} | training
        ),
        data=DataConfig(evaluation=(DatasetConfig(name="glitch", path="needles/glitch"),)),
    )


def cpu_fit(config: Config) -> Fit:
    """The config's fit on a CPU."""
    found = fit(config, CPU, NodeShape(cores=2, host_memory_gib=16))
    assert isinstance(found, Fit)
    return found


def a_beat(step: int) -> dict[str, object]:
    """What storage holds of a heartbeat at a step."""
    beat = Heartbeat(
        attempt=1, time=1.0, step=step, pid=1, host="h", memory_mib=1.0, peak_memory_mib=1.0
    )
    return dict(to_json(beat))


def new_run(
    variant: str = "ntlbg",
    seed: int = 1,
    *,
    code: str = "c1",
    data: str = "d1",
    repetition: int = 0,
) -> NewRun:
    """A training run of suite `s`."""
    config = tiny_config()
    return NewRun(
        identity=Identity(
            suite="s",
            group="g",
            variant=variant,
            config=config_digest(config),
            seed=seed,
            data=data,
            code=code,
            repetition=repetition,
        ),
        work=Work.TRAIN,
        baseline=variant == "uniform",
        config=asdict(config),
        fits=(cpu_fit(config),),
        details={"data_root": "data"},
    )


def new_ledger(folder: Path) -> Ledger:
    """A ledger in SQLite with a clock of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return open_test_ledger(url_of(folder / "ledger.db"))


def open_test_ledger(url: str) -> Ledger:
    """The ledger of a database with a clock of its own."""
    return Ledger(open_database(url), Ticks())


class Service:
    """A controller on a simulated executor, which can be killed and started again."""

    def __init__(self, folder: Path, places: int = 2) -> None:
        self.workspace = Workspace(home=folder, data_root=folder / "data")
        self.storage = LocalStorage(self.workspace.storage)
        self.ledger = new_ledger(folder)
        self.executor = SimulatedExecutor(self.storage)
        self.places = places
        self.restart()

    def restart(self) -> None:
        """A new controller on what is durable."""
        group = NodeGroup(profile="cpu", gpus=self.places, nodes=1, cores=2, host_memory_gib=16)
        self.controller = Controller(
            effects=Effects(ledger=self.ledger, storage=self.storage, executor=self.executor),
            workspace=self.workspace,
            ground=ClusterView(inventory=Inventory(name="laptop", groups=(group,))),
            clock=Ticks(),
        )

    def run_all(self, steps: int = 200) -> None:
        """Step and complete launches until nothing is left."""
        for _ in range(steps):
            if not self.controller.step():
                return
            for spec in list(self.executor.running.values()):
                self.executor.complete(spec.run_id)
        raise AssertionError("the suite did not end")
