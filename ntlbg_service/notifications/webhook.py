"""The webhook: a URL that accepts JSON. The URL is a secret and is never shown in full."""

import base64
import json
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ntlbg_service.domain.errors import InfrastructureError, UserError

TIMEOUT_SECONDS = 10.0
"""Socket timeout: longest silence of the receiver."""
PASSING = frozenset({408, 425, 429})
"""HTTP status codes after which the same request may succeed later."""


class UndeliveredError(InfrastructureError):
    """A failed delivery, which is safe to retry later."""

    def __init__(self, words: str, *, refused: bool = False, wait: float = 0.0) -> None:
        super().__init__(words)
        self.refused = refused
        """True if the receiver answered and rejected this notice."""
        self.wait = wait
        """Seconds to wait before a retry, as the receiver requested."""


class Webhook:
    """An http or https URL; its user and password are sent as Basic authentication."""

    def __init__(self, url: str, source: str) -> None:
        """Parse the URL; raise UserError, which names `source`, not the URL, if invalid."""
        parts = _parts(url, source)
        bare = parts.netloc.rpartition("@")[2]
        self._address = parts._replace(netloc=bare, fragment="").geturl()
        self._headers = {"Content-Type": "application/json", "User-Agent": "ntlbg"}
        if parts.username is not None:
            word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(word.encode()).decode()}"
        self._opener = build_opener(_NoRedirects)
        self.shown = f"{parts.scheme}://{bare}"
        """Scheme and host, without user, password and path."""

    def post(self, payload: Mapping[str, Any]) -> None:
        """Send one notice; raise UndeliveredError unless it was accepted."""
        body = json.dumps(payload).encode()
        request = Request(self._address, data=body, headers=self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS):
                return
        except HTTPError as error:
            with closing(error):
                raise _answered(self.shown, error) from None
        except (HTTPException, OSError) as error:
            # The libraries' own messages may contain the secret URL.
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or type(reason).__name__
            raise UndeliveredError(f"{self.shown} does not answer: {words}") from None


class _NoRedirects(HTTPRedirectHandler):
    """Handler that follows no redirects: urllib would turn the POST into a GET without body.

    Such a GET would count as a successful delivery.
    """

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Return None, so that a redirect counts as a failed delivery."""


def _parts(url: str, source: str) -> SplitResult:
    wrong = UserError(f"{source}: is no address; valid: https://HOST/PATH or http://HOST/PATH")
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise wrong
    try:
        parts = urlsplit(url)
        _ = parts.port  # urlsplit validates the port only when it is read.
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong
    return parts


def _answered(shown: str, error: HTTPError) -> UndeliveredError:
    asked = error.headers.get("Retry-After", "") if error.headers else ""
    return UndeliveredError(
        f"{shown} answered {error.code}",
        refused=400 <= error.code < 500 and error.code not in PASSING,
        wait=float(asked) if asked.isascii() and asked.isdigit() else 0.0,
    )
