"""A fault of ours, kept whole in a file."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.process.permissions import following

NAME = "crash.log"


@dataclass
class Invocation:
    """One call of the command line, as far as its end needs to know it."""

    home: Path | None = None
    """The home that its command works on, once that is known."""

    def keep(self, report: str) -> str:
        """Write a report into the home, else into a temporary folder; say where it is."""
        home = self.home or Path(os.environ.get("NTLBG_HOME", ".ntlbg"))
        try:
            return str(_written(home, report))
        except OSError as error:
            lost = f"{home}: {error.strerror or error}"
        try:
            kept = _written(Path(tempfile.mkdtemp(prefix="ntlbg-")), report)
        except OSError:
            return f"not kept: {lost}"
        return f"{kept}, since {lost}"


def _written(folder: Path, report: str) -> Path:
    with following(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / NAME
        file.write_text(report)
    return file
