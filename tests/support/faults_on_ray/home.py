"""A home with its ledger, its storage and controllers that are real processes, on a Ray cluster."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from ntlbg_model.config import Config
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import Heartbeat, Work
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.run_identity import Identity, config_digest
from ntlbg_service.domain.states import TERMINAL
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, NewRun, NewSuite
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import cpu_fit
from tests.support.command_line import REPOSITORY, until
from tests.support.launches import small_config
from tests.support.patience import PATIENCE

SAVE_STEPS = 5
CONFIG = small_config(max_steps=30, save_steps=SAVE_STEPS)
TWO = {"workers": 2, "micro_batch": 2}
"""A gang of two, which share each global batch of four."""


@dataclass
class Home:
    """What a lab has: a home, and a cluster that RAY_ADDRESS names."""

    folder: Path
    data_root: Path
    ray: Mapping[str, str]
    """What a client of the cluster needs in its environment."""
    ledger_url: str | None = None
    more: dict[str, str] = field(default_factory=dict)
    """Further variables of the controllers."""
    _controllers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace(home=self.folder, data_root=self.data_root, ledger=self.ledger_url)

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.workspace.storage)

    @cached_property
    def ledger(self) -> Ledger:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Ledger(open_database(self.workspace.ledger_url), time.time)

    def submit(self, name: str, config: Config = CONFIG, **fit: Any) -> str:
        """A run of this name; `fit` changes its one fit. Its id."""
        found = replace(cpu_fit(config), **fit)
        share = config.training.global_batch // (found.workers * found.micro_batch)
        identity = Identity(
            suite="faults",
            group="faults",
            variant=name,
            config=config_digest(config),
            seed=1,
            data="data",
            code="code",
        )
        run = NewRun(
            identity=identity,
            work=Work.TRAIN,
            baseline=False,
            config=asdict(config),
            fits=(replace(found, accumulation=share),),
            details={"data_root": str(self.data_root)},
        )
        suite = NewSuite(key="faults", name="faults", description="", submitter="ada", spec={})
        self.ledger.submit(suite, [run])
        return identity.run_id

    def start_controller(self, *options: str) -> subprocess.Popen[str]:
        """`ntlbg controller` in a process of its own; its words are in HOME/../controller.log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "controller.log").open("a") as output:
            controller = subprocess.Popen(
                [sys.executable, "-m", "ntlbg_service", "controller", "--parallel", "2", *options],
                env=self._environment,
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._controllers.append(controller)
        return controller

    @property
    def _environment(self) -> dict[str, str]:
        own = {
            "NTLBG_HOME": str(self.folder),
            "NTLBG_DATA_ROOT": str(self.data_root),
            "HF_HUB_OFFLINE": "1",
        }
        named = {} if self.ledger_url is None else {"NTLBG_LEDGER": self.ledger_url}
        return {**os.environ, **own, **named, **self.ray, **self.more}

    def stop_controllers(self) -> None:
        """SIGTERM, and wait for their ends."""
        for controller in self._controllers:
            controller.terminate()
        for controller in self._controllers:
            controller.wait(timeout=PATIENCE)
        self._controllers.clear()

    def restart(self, ray: Mapping[str, str]) -> None:
        """The next controller, on another cluster."""
        self.stop_controllers()
        self.ray = ray
        self.start_controller()

    def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        return self.ledger.attempts_of(run_id)

    def steps(self, keys: AttemptKeys) -> int:
        """How far an attempt says it has come."""
        return max((int(row["step"]) for row in self.storage.lines(keys.metrics)), default=0)

    def markers(self, keys: AttemptKeys) -> list[int]:
        """Steps of an attempt's committed checkpoints."""
        found = [self.storage.get(key) for key in self.storage.keys(keys.markers)]
        return [int(row["step"]) for row in found if row is not None]

    def until_saved(self, run_id: str, number: int = 1) -> AttemptKeys:
        """Wait for the first checkpoint of an attempt."""
        keys = AttemptKeys(run_id, number)
        until(lambda: self.markers(keys) or self.ended(run_id), "a checkpoint")
        assert self.markers(keys), self.said()
        return keys

    def ended(self, run_id: str) -> bool:
        """Whether a run has come to its end."""
        with suppress(InfrastructureError):
            return self.ledger.run(run_id).state in TERMINAL
        return False

    def until_ended(self, run_id: str) -> None:
        until(lambda: self.ended(run_id), "the run's end")

    def worker(self, keys: AttemptKeys) -> psutil.Process:
        """The worker that leads an attempt."""
        found = until(lambda: self.storage.get(keys.heartbeat), "a heartbeat")
        return psutil.Process(parse(Heartbeat, found, keys.heartbeat).pid)

    def driver(self, keys: AttemptKeys) -> psutil.Process:
        """The process that claimed an attempt."""
        found = until(lambda: self.storage.get(keys.process), "a claim")
        return psutil.Process(int(found["pid"]))

    def said(self) -> str:
        """What its controllers said last."""
        log = self.folder.parent / "controller.log"
        return log.read_text()[-3000:] if log.exists() else ""

    def close(self) -> None:
        """Stop what runs, then the controllers: nothing of it is left on the cluster."""
        self.stop_controllers()
        if "ledger" in self.__dict__:
            self.ledger.close()
