"""One receiver of news: an address that takes JSON. It is a secret, and never shown whole."""

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
"""How long a receiver may be silent."""
PASSING = frozenset({408, 425, 429})
"""Answers of a receiver that would take the same later."""


class UndeliveredError(InfrastructureError):
    """A receiver did not take something; sending it again later is safe."""

    def __init__(self, words: str, *, refused: bool = False, wait: float = 0.0) -> None:
        super().__init__(words)
        self.refused = refused
        """It lives, and would not have this one."""
        self.wait = wait
        """Seconds that it asks to be left alone."""


class Webhook:
    """An address of http or https; user and password in it go along as HTTP asks for them."""

    def __init__(self, url: str, source: str) -> None:
        """Raises UserError, which names `source` and not the address."""
        parts = _parts(url, source)
        bare = parts.netloc.rpartition("@")[2]
        self._address = parts._replace(netloc=bare, fragment="").geturl()
        self._headers = {"Content-Type": "application/json", "User-Agent": "ntlbg"}
        if parts.username is not None:
            word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(word.encode()).decode()}"
        self._opener = build_opener(_NoRedirects)
        self.shown = f"{parts.scheme}://{bare}"
        """Where it is, without user, password and path."""

    def post(self, payload: Mapping[str, Any]) -> None:
        """Send one piece of news. Raises UndeliveredError unless it was taken."""
        body = json.dumps(payload).encode()
        request = Request(self._address, data=body, headers=self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS):
                return
        except HTTPError as error:
            with closing(error):
                raise _answered(self.shown, error) from None
        except (HTTPException, OSError) as error:
            # Words of our own: those of the libraries may have the address in them.
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or type(reason).__name__
            raise UndeliveredError(f"{self.shown} does not answer: {words}") from None


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would come as a GET that says nothing, and count as taken."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """Take a redirect as an answer that is no delivery."""


def _parts(url: str, source: str) -> SplitResult:
    wrong = UserError(f"{source}: is no address; valid: https://HOST/PATH or http://HOST/PATH")
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise wrong
    try:
        parts = urlsplit(url)
        _ = parts.port  # Looked at only now, and refused where it is none.
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
