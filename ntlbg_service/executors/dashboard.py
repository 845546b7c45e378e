"""Health check of a cluster's head without Ray's client: from any thread, within seconds."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.job_client import ClusterAwayError, dashboard_of

ASK_SECONDS = 5.0
"""Timeout of one request."""
VERSION = "/api/version"
"""Endpoint that an authorized client can read and that involves no node."""
MODE = "/api/authentication_mode"
"""Endpoint that everyone can read."""
NO_ENTRY = (401, 403)


class DashboardRefusedError(InfrastructureError):
    """The head answered and refused this token, or the lack of one."""


class Dashboard:
    """The dashboard of one cluster's head; RAY_ADDRESS is resolved once where it is not a URL."""

    def __init__(
        self,
        environment: Mapping[str, str],
        find: Callable[[str], str] = dashboard_of,
    ) -> None:
        self.address = environment["RAY_ADDRESS"]
        self._environment = environment
        self._find = find
        self._url = self.address.rstrip("/") if "://" in self.address else None

    @property
    def url(self) -> str:
        """URL of the dashboard. Raises ClusterAwayError."""
        if self._url is None:
            self._url = self._find(self.address).rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise ClusterAwayError(f"Ray at {self.address}: not an address of HTTP")
        return self._url

    def get(self, path: str) -> Any:
        """Return the parsed JSON of an endpoint. Raises ClusterAwayError, and RefusedError."""
        token = token_of(self._environment)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        asked = urllib.request.Request(f"{self.url}{path}", headers=headers)
        try:
            with urllib.request.urlopen(  # nosec B310 # http or https, see url
                asked, timeout=ASK_SECONDS
            ) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode(errors="replace").strip()
            if error.code in NO_ENTRY:
                raise DashboardRefusedError(
                    f"Ray at {self.address}: {said or error.reason}"
                ) from None
            raise ClusterAwayError(f"Ray at {self.address}: {error.code} {said}") from None
        except (OSError, ValueError) as error:
            raise ClusterAwayError(f"Ray at {self.address}: {error}") from None

    def asks_for_token(self) -> bool:
        """Return True if the head requires a token. Raises ClusterAwayError."""
        answer = self.get(MODE)
        return isinstance(answer, dict) and answer.get("authentication_mode") == "token"


def token_of(environment: Mapping[str, str]) -> str | None:
    """Return the token that Ray's own clients would send; None where authentication is off.

    It comes from a variable, else from the file that a variable names, else from the user's own
    file.
    """
    if environment.get("RAY_AUTH_MODE") == "disabled":
        return None
    if named := environment.get("RAY_AUTH_TOKEN"):
        return named.strip()
    file = environment.get("RAY_AUTH_TOKEN_PATH")
    path = (
        Path(file) if file else Path(environment.get("HOME", "~")).expanduser() / ".ray/auth_token"
    )
    try:
        return path.read_text().strip() or None
    except OSError:
        return None
