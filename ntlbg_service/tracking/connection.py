"""MLflow client, imported on first use: the import takes seconds."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ntlbg_service.domain.errors import InfrastructureError, in_one_line
from ntlbg_service.process.permissions import make_file
from ntlbg_service.process.redaction import redacted
from ntlbg_service.process.sqlite_file import file_of
from ntlbg_service.tracking.artifact_places import follow_home

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
}
"""Defaults for variables that the user has not set.

MLflow's own retries block for minutes, and they may create a run twice; the outbox retries. Its log
repeats what it raises, with the server's message unredacted. Redirects are not followed: what a run
logs goes only to the server that was named.
"""
REFUSALS = frozenset(
    {
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
    }
)
"""MLflow's codes for a request that it understood and rejects permanently.

It assigns none of them to a response from something else, such as a proxy's page.
"""
DENIALS = frozenset(
    {
        "CUSTOMER_UNAUTHORIZED",
        "PERMISSION_DENIED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
    }
)
"""Codes about the account or the request rate (401, 403, 429), not about the content."""
LONGEST_REASON = 600
"""Limit of characters kept of a server's message."""


class TrackingError(InfrastructureError):
    """MLflow did not accept something; sending it again later is safe."""

    answered = True
    """False where there was no response: no connection, or a timeout."""
    denied = False
    """True where the cause is the account or the load, not the content."""


class RefusedError(TrackingError):
    """MLflow understood the request and rejects its content; a retry would fail again."""


class Connection:
    """One client, whose failures all become one class of error."""

    def __init__(self, tracking_uri: str, artifact_root: str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        self._client: MlflowClient | None = None

    @contextmanager
    def client(self, on_failure: Callable[[], None]) -> Iterator["MlflowClient"]:
        """Yield the client; any failure inside calls `on_failure` and raises TrackingError."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            yield self._connected()
        except TrackingError:
            on_failure()
            raise
        # A server may answer anything, and MLflow's client then raises any exception.
        except Exception as error:
            on_failure()
            raise self._error(error) from error

    @property
    def shown(self) -> str:
        """Address without user and password; the path for a file."""
        file = file_of(self.tracking_uri)
        if file is not None:
            return str(file)
        parts = urlsplit(self.tracking_uri)
        if parts.password is None:
            return self.tracking_uri
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def _error(self, error: Exception) -> TrackingError:
        code = getattr(error, "error_code", "")
        unreached = _unreached(error)
        kind = RefusedError if code in REFUSALS and not unreached else TrackingError
        said = str(error).strip() or type(error).__name__
        if not code and not unreached:
            said = f"the answer is none of MLflow's: {type(error).__name__}: {said}"
        said = redacted(said.replace(self.tracking_uri, self.shown))
        found = kind(f"MLflow at {self.shown}: {_shortened(in_one_line(said))}")
        found.answered, found.denied = not unreached, code in DENIALS
        return found

    def _connected(self) -> "MlflowClient":
        if self._client is None:
            from mlflow import MlflowClient

            if self._artifact_root is not None:
                follow_home(self.tracking_uri, self._artifact_root)
            # MLflow may have been imported before the variable was set.
            logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
            file = file_of(self.tracking_uri)
            if file is not None:
                make_file(file)
            with warnings.catch_warnings():
                # MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 deprecates.
                warnings.filterwarnings("ignore", "The ``noload`` loader", DeprecationWarning)
                self._client = MlflowClient(tracking_uri=self.tracking_uri)
        return self._client


def _unreached(error: BaseException | None) -> bool:
    """Return True if a failed connection caused the error."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    while error is not None:
        if isinstance(error, NoConnection | Timeout | ConnectionError | TimeoutError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _shortened(said: str) -> str:
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]} ..."
