"""Where everything of an installation lies: one folder, or what its options say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Paths below one home folder."""

    home: Path
    data_root: Path
    """Relative data set paths start here."""
    ledger: str | None = None
    """URL of the ledger's database; None for a file in the home."""

    @property
    def ledger_url(self) -> str:
        """Where the ledger is: the one that is named, else the home's own."""
        return self.ledger or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def ledger_exists(self) -> bool:
        """Whether there may be anything in the ledger."""
        if self.ledger_url.startswith("sqlite:///"):
            return Path(self.ledger_url.removeprefix("sqlite:///")).is_file()
        return True

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
        """MLflow's database."""
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.home / "mlartifacts"

    @property
    def wake(self) -> Path:
        """The pipe by which the controller is told of news."""
        return self.home / "controller.wake"
