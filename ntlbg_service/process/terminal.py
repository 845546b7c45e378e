"""Output of this process without terminal control characters.

All output to stdout and stderr passes here, including that of libraries. Our own styles and cursor
movements use `styled`, which only the CLI's console uses: it neutralizes the text before it adds
them.
"""

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, TextIO, cast

from ntlbg_service.domain.control_characters import neutral


class NeutralBytes(io.BufferedIOBase):
    """A byte stream that neutralizes control characters in the text written to it."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        # A multi-byte character may be split over two writes.
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def write(self, data: "bytes | bytearray | memoryview[int]", /) -> int:  # type: ignore[override]
        """Write encoded text, neutralized."""
        taken = bytes(data)
        said = neutral(self._decoder.decode(taken))
        self._stream.write(said.encode(self._encoding, "backslashreplace"))
        return len(taken)

    def styled(self, data: bytes) -> None:
        """Write text unchanged; its escape sequences are our own."""
        self._stream.write(data)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._stream.flush()

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return True if the underlying stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the underlying stream."""
        return self._stream.fileno()


class StyledText:
    """A stream for text with our own escape sequences, in order with other output.

    A stream of `io` would flush when garbage-collected, and Python drops a KeyboardInterrupt that
    arrives then.
    """

    def __init__(self, stream: TextIO, behind: NeutralBytes) -> None:
        self._stream = stream
        self._behind = behind

    @property
    def encoding(self) -> str:
        """Encoding of the underlying stream."""
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        """Write text unchanged."""
        self._stream.flush()
        self._behind.styled(text.encode(self.encoding, self._stream.errors or "strict"))
        return len(text)

    def flush(self) -> None:
        """Flush the underlying stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return True if the underlying stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the underlying stream."""
        return self._stream.fileno()


def styled(stream: IO[str]) -> IO[str]:
    """Return a stream for text with our own escape sequences.

    It is `stream` itself if `neutral_output` did not make that.
    """
    behind = getattr(stream, "buffer", None)
    if not isinstance(behind, NeutralBytes):
        return stream
    return cast(IO[str], StyledText(cast(TextIO, stream), behind))


@contextmanager
def neutral_output() -> Iterator[None]:
    """Neutralize control characters on stdout and stderr within the block."""
    before = sys.stdout, sys.stderr
    ours = sys.stdout, sys.stderr = _neutral(before[0]), _neutral(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in ours:
            with suppress(BrokenPipeError):
                stream.flush()


def _neutral(stream: TextIO) -> TextIO:
    behind = getattr(stream, "buffer", None)
    if behind is None:
        return stream
    stream.flush()
    return io.TextIOWrapper(
        cast(BinaryIO, NeutralBytes(behind, stream.encoding)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=True,
    )
