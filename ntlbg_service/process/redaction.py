"""Redaction of the environment's secrets from everything that this process writes."""

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
"""Environment variable that names the file with Ray's token."""
LONGEST = 1 << 20
"""Largest number of bytes of a line that is searched as a whole."""


@lru_cache(maxsize=1)
def known() -> Secrets:
    """Return the known secrets: from the environment at the first call, and by their shape."""
    return Secrets.of(_without_files(os.environ), _token(os.environ.get(TOKEN_FILE)))


def redacted(text: str) -> str:
    """Return a text of external origin without its secrets, to be stored or shown."""
    return known().redacted(text)


def printed(text: str) -> str:
    """Return a text of our own without what is certainly a secret.

    Links and commands stay unchanged; external values in it have passed `redacted` already.
    """
    return known().printed(text)


def _without_files(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Omit variables that name a file: RAY_TLS_SERVER_KEY is not a secret, its file is."""
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
    """A stream that redacts secrets line by line; a flush writes an incomplete line too."""

    def __init__(self, stream: BinaryIO, without: Callable[[str], str] = redacted) -> None:
        self._stream = stream
        self._without = without
        self._begun = b""

    def write(self, data: "bytes | bytearray | memoryview[int]", /) -> int:  # type: ignore[override]
        """Write complete lines; buffer an incomplete last line."""
        written = bytes(data)
        text = self._begun + written
        end = text.rfind(b"\n") + 1
        if not end and len(text) > LONGEST:
            end = text.rfind(b" ") + 1 or len(text)
        self._begun = text[end:]
        self._hand_on(text[:end])
        return len(written)

    def flush(self) -> None:
        """Write the buffered line and flush the stream."""
        begun, self._begun = self._begun, b""
        self._hand_on(begun)
        self._stream.flush()

    def _hand_on(self, data: bytes) -> None:
        if data:
            said = self._without(data.decode("utf-8", "surrogateescape"))
            self._stream.write(said.encode("utf-8", "surrogateescape"))

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return True if the underlying stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the underlying stream."""
        return self._stream.fileno()


@contextmanager
def redacted_output(stdout: Callable[[str], str] = redacted) -> Iterator[None]:
    """Redact stdout and stderr within the block.

    `stdout`: `printed` where only this program writes to stdout. Errors, warnings and library
    output go to stderr, so it is always searched in full.
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
    """Flush a stream; if its pipe has no reader, discard the rest by way of /dev/null."""
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
