"""What words of a command line may be."""

import os
from pathlib import Path
from typing import Any

import click

LONGEST_NAME = 255
"""Bytes of a file's name."""


class FilePath(click.ParamType[Path]):
    """A path that a file system could take."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Fails for a name with control characters, or too long for any."""
        path = Path(value)
        if "\0" in str(path) or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            self.fail(f"{str(path)[:60]!r}: no file can be called so", param, ctx)
        return path


FILE = FilePath()
PRIORITY = click.IntRange(-1_000_000, 1_000_000)
