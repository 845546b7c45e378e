"""Where everything of an installation lies: one folder, or what its options say."""

from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.domain.launch import Stage
from ntlbg_service.process.sqlite_file import file_of, url_of


@dataclass(frozen=True)
class Workspace:
    """Paths below one home folder."""

    home: Path
    data_root: Path
    """Relative data set paths start here."""
    ledger: str | None = None
    """URL of the ledger's database; None for a file in the home."""
    stage: Stage | None = None
    """Where nodes keep copies of what runs read; None: it is read where it lies."""
    mlflow: str | None = None
    """URL of an MLflow server; None for a database in the home."""

    @property
    def ledger_url(self) -> str:
        """Where the ledger is: the one that is named, else the home's own."""
        return self.ledger or url_of(self.home / "ledger.db")

    @property
    def ledger_exists(self) -> bool:
        """Whether there may be anything in the ledger."""
        file = file_of(self.ledger_url)
        return file is None or file.is_file()

    @property
    def storage(self) -> Path:
        """Results."""
        return self.home / "storage"

    @property
    def cache(self) -> Path:
        """Decoded frames; may be deleted at any time."""
        return self.home / "cache"

    @property
    def tracking_uri(self) -> str:
        """MLflow's server, else its database in the home."""
        return self.mlflow or url_of(self.home / "mlflow.db")

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.home / "mlartifacts"

    @property
    def artifact_root(self) -> str | None:
        """Where the files of new experiments go, as a URL; None where a server decides."""
        return None if self.mlflow else self.artifacts.resolve().as_uri()

    @property
    def data_root_kept(self) -> str:
        """The data root as a submission keeps it: relative to the home where it lies there."""
        home, root = self.home.resolve(), self.data_root.resolve()
        return root.relative_to(home).as_posix() if root.is_relative_to(home) else str(root)

    @property
    def wake(self) -> Path:
        """The pipe by which the controller is told of news."""
        return self.home / "controller.wake"
