"""Secrets of this process's environment, kept out of what it writes."""

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from ntlbg_service.domain.secrets import Secrets

TOKEN_FILE = "RAY_AUTH_TOKEN_PATH"
"""Variable that names the file with Ray's token."""
LONGEST = 1 << 20
"""Bytes of a line that is still searched as a whole."""


@lru_cache(maxsize=1)
def known() -> Secrets:
    """What is a secret here: by the environment as it was at first, and by its shape."""
    return Secrets.of(_without_files(os.environ), _token(os.environ.get(TOKEN_FILE)))


def redacted(text: str) -> str:
    """Return a text that came from somewhere else without its secrets, to be kept or shown."""
    return known().redacted(text)


def printed(text: str) -> str:
    """Return a text of our own without what is certainly a secret: links and commands stay as they
    are, and values from elsewhere have gone through `redacted` before they came into it."""
    return known().printed(text)


def _without_files(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Variables without those that name a file: RAY_TLS_SERVER_KEY is no secret, its file is."""
    return {name: value for name, value in environment.items() if not _is_file(value)}


def _is_file(value: str) -> bool:
    try:
        return value.startswith("/") and Path(value).is_file()
    except (OSError, ValueError):
        return False


def _token(path: str | None) -> tuple[str, ...]:
    try:
        return (Path(path).read_text().strip(),) if path else ()
    except (OSError, ValueError):
        return ()


class RedactedBytes(io.BufferedIOBase):
    """Hands whole lines on without the secrets in them, and at a flush what there is of one."""

    def __init__(self, stream: BinaryIO, without: Callable[[str], str] = redacted) -> None:
        self._stream = stream
        self._without = without
        self._begun = b""

    def write(self, data: "bytes | bytearray | memoryview[int]", /) -> int:  # type: ignore[override]
        """Take bytes; those of a line without its end are held back."""
        written = bytes(data)
        text = self._begun + written
        end = text.rfind(b"\n") + 1
        if not end and len(text) > LONGEST:
            end = text.rfind(b" ") + 1 or len(text)
        self._begun = text[end:]
        self._hand_on(text[:end])
        return len(written)

    def flush(self) -> None:
        """Hand everything on."""
        begun, self._begun = self._begun, b""
        self._hand_on(begun)
        self._stream.flush()

    def _hand_on(self, data: bytes) -> None:
        if data:
            said = self._without(data.decode("utf-8", "surrogateescape"))
            self._stream.write(said.encode("utf-8", "surrogateescape"))

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Whether a person sees it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of what is behind it."""
        return self._stream.fileno()


@contextmanager
def redacted_output(stdout: Callable[[str], str] = redacted) -> Iterator[None]:
    """Keep secrets out of stdout and stderr meanwhile.

    `stdout`: `printed` where this program words what it writes there. On stderr are errors,
    warnings and what libraries say, so it is searched in full.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = _without_secrets(sys.stdout, stdout)
    sys.stderr = _without_secrets(sys.stderr, redacted)
    try:
        yield
    finally:
        streams = sys.stdout, sys.stderr, *before
        sys.stdout, sys.stderr = before
        for stream in streams:
            _flush(stream)


def _flush(stream: TextIO) -> None:
    """Where nobody reads any more, what is left goes nowhere."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _without_secrets(stream: TextIO, without: Callable[[str], str]) -> TextIO:
    behind = getattr(stream, "buffer", None)
    if behind is None:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        cast(BinaryIO, RedactedBytes(behind, without)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=True,
    )
