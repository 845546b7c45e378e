"""What this process prints, without characters that steer a terminal.

Everything that goes to stdout or stderr passes here, whoever prints it. Styles and cursor movements
of our own go by `styled`, which the command line's console alone uses: it makes the text neutral
before it adds them.
"""

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, BinaryIO, TextIO, cast

from ntlbg_service.domain.control_characters import neutral


class NeutralBytes(io.BufferedIOBase):
    """Hands bytes on, the text in them made neutral."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        # A character may come in two parts.
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")

    def write(self, data: "bytes | bytearray | memoryview[int]", /) -> int:  # type: ignore[override]
        """Take bytes of text."""
        taken = bytes(data)
        said = neutral(self._decoder.decode(taken))
        self._stream.write(said.encode(self._encoding, "backslashreplace"))
        return len(taken)

    def styled(self, data: bytes) -> None:
        """Take text whose escapes are ours."""
        self._stream.write(data)

    def flush(self) -> None:
        """Hand everything on."""
        self._stream.flush()

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Whether a person sees it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of what is behind it."""
        return self._stream.fileno()


class StyledText:
    """A stream for text whose escapes are ours, in order with what others print there.

    One of `io` would flush when it is collected, where Python drops an interrupt that comes then.
    """

    def __init__(self, stream: TextIO, behind: NeutralBytes) -> None:
        self._stream = stream
        self._behind = behind

    @property
    def encoding(self) -> str:
        """As that of the stream."""
        return self._stream.encoding

    def write(self, text: str, /) -> int:
        """Print it as it is."""
        self._stream.flush()
        self._behind.styled(text.encode(self.encoding, self._stream.errors or "strict"))
        return len(text)

    def flush(self) -> None:
        """Hand everything on."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person sees it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of what is behind it."""
        return self._stream.fileno()


def styled(stream: IO[str]) -> IO[str]:
    """The stream for text whose escapes are ours; itself where `neutral_output` did not make it."""
    behind = getattr(stream, "buffer", None)
    if not isinstance(behind, NeutralBytes):
        return stream
    return cast(IO[str], StyledText(cast(TextIO, stream), behind))


@contextmanager
def neutral_output() -> Iterator[None]:
    """What is printed meanwhile, on stdout and stderr, steers no terminal."""
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
