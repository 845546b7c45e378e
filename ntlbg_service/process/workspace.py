"""Locations of an installation: one home folder, with overrides by options."""

from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.domain.launch import Stage
from ntlbg_service.process.sqlite_file import file_of, url_of


@dataclass(frozen=True)
class Workspace:
    """Paths below one home folder."""

    home: Path
    data_root: Path
    """Folder that relative data set paths are relative to."""
    ledger: str | None = None
    """URL of the ledger's database; None for a file in the home."""
    stage: Stage | None = None
    """Staging of inputs on the nodes; None: runs read them in place."""
    mlflow: str | None = None
    """URL of an MLflow server; None for a database in the home."""

    @property
    def ledger_url(self) -> str:
        """URL of the ledger: the configured one, else the home's own."""
        return self.ledger or url_of(self.home / "ledger.db")

    @property
    def ledger_exists(self) -> bool:
        """True if the ledger's file exists, or the ledger is on a server."""
        file = file_of(self.ledger_url)
        return file is None or file.is_file()

    @property
    def storage(self) -> Path:
        """Folder of results."""
        return self.home / "storage"

    @property
    def cache(self) -> Path:
        """Folder of decoded frames; may be deleted at any time."""
        return self.home / "cache"

    @property
    def tracking_uri(self) -> str:
        """URL of the MLflow server, else of MLflow's database in the home."""
        return self.mlflow or url_of(self.home / "mlflow.db")

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow artifacts."""
        return self.home / "mlartifacts"

    @property
    def artifact_root(self) -> str | None:
        """URL for artifacts of new experiments; None if a server decides."""
        return None if self.mlflow else self.artifacts.resolve().as_uri()

    @property
    def data_root_kept(self) -> str:
        """Data root as recorded by a submission: relative to the home if below it."""
        home, root = self.home.resolve(), self.data_root.resolve()
        return root.relative_to(home).as_posix() if root.is_relative_to(home) else str(root)

    @property
    def wake(self) -> Path:
        """Named pipe that wakes the controller."""
        return self.home / "controller.wake"
