"""A client of MLflow, imported when first needed: it takes seconds."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.storage.permissions import make_file
from ntlbg_service.storage.sqlite_file import file_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Set where the user has not. MLflow's own retries block for minutes, and they may create a run
twice; the outbox retries."""


class TrackingError(InfrastructureError):
    """MLflow did not take something; saying it again later is safe."""


class Connection:
    """One client, and one kind of error for whatever goes wrong with it."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._client: MlflowClient | None = None

    @contextmanager
    def client(self, on_failure: Callable[[], None]) -> Iterator["MlflowClient"]:
        """The client; raises TrackingError for any failure inside, after `on_failure`."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.exceptions import MlflowException

        try:
            yield self._connected()
        except (MlflowException, SQLAlchemyError, OSError) as error:
            on_failure()
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            shown = reason.replace(self.tracking_uri, self.shown)
            raise TrackingError(f"MLflow at {self.shown}: {shown}") from error

    @property
    def shown(self) -> str:
        """The address without user and password; of a file its path."""
        file = file_of(self.tracking_uri)
        if file is not None:
            return str(file)
        parts = urlsplit(self.tracking_uri)
        if parts.password is None:
            return self.tracking_uri
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _connected(self) -> "MlflowClient":
        if self._client is None:
            from mlflow import MlflowClient

            file = file_of(self.tracking_uri)
            if file is not None:
                make_file(file)
            with warnings.catch_warnings():
                # MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 deprecates.
                warnings.filterwarnings("ignore", "The ``noload`` loader", DeprecationWarning)
                self._client = MlflowClient(tracking_uri=self.tracking_uri)
        return self._client
