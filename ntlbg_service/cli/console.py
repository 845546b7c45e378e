"""The one console of the command line: what it is given is data, and shown as it is."""

from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.process.terminal import styled

UNFOLDED = 200
"""Width of a table that goes to a file or a pipe."""


class DataConsole(Console):
    """Styles what is a `Text` with a style; in a plain text `[red]` and `:smile:` are words.

    Characters that steer a terminal are made visible here, before styles and movements are added.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **how: Any) -> Text:
        """A plain text, measured as it is shown."""
        return super().render_str(neutral(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What a thing is shown as, of neutral text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(neutral(segment.text), segment.style)

    @property
    def file(self) -> IO[str]:
        """Where it prints."""
        return styled(super().file)

    @file.setter
    def file(self, new: IO[str]) -> None:
        self._file = new


def new_console() -> DataConsole:
    """A console on stdout that does not fold what goes to a file or a pipe."""
    console = DataConsole()
    if not console.is_terminal:
        console.width = UNFOLDED
    return console
