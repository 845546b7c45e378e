"""A place that nothing may leave: what is in it, what is around it, what was said in it."""

import io
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from ntlbg_service.cli import main
from ntlbg_service.process import redaction
from tests.support.fuzz.hostile import SECRETS

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""Characters that steer a terminal or turn a line around."""
ROOT = Path(__file__).parents[3]
CODES = frozenset({0, 2, 3, 4, 5})
"""Exit codes that the command line documents; 1 would be a fault of ours."""
OURS = (".ntlbg", "out", "inputs", "imported")
"""Folders of the working folder in which things may change."""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    output: str


class Place:
    """A working folder far below `top`, with configs, links that lead out, and secrets around."""

    def __init__(self, top: Path, patch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.work = top / "a" / "b" / "c" / "work"
        self.outside = top / "outside"
        for folder in (
            self.outside,
            top / "user",
            top / "tmp",
            *(self.work / ours for ours in OURS),
        ):
            folder.mkdir(parents=True)
        (self.outside / "kept.txt").write_text("kept")
        shutil.copytree(ROOT / "configs", self.work / "configs")
        shutil.copytree(ROOT / "tests/data/published", self.work / "published")
        (self.work / "link").symlink_to(self.outside)
        (self.work / "loop").symlink_to(self.work / "loop")
        patch.chdir(self.work)
        patch.setenv("HOME", str(top / "user"))
        patch.setenv("LAB_TOKEN", SECRETS[-2])
        patch.setenv("LAB_PASSWORD", SECRETS[-1])
        patch.setenv("TMPDIR", str(top / "tmp"))
        patch.setenv("MPLCONFIGDIR", str(self.work / "out"))  # Its fonts are looked for once.
        patch.setattr(tempfile, "tempdir", None)
        patch.delenv("RAY_ADDRESS", raising=False)
        # Names of models that nobody has: no hub is asked again and again.
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        redaction.known.cache_clear()
        self._before = self._around()

    def run(self, *words: str) -> Said:
        """One command in this process, as `ntlbg` would run it."""
        behind = io.BytesIO()
        stream = io.TextIOWrapper(behind, encoding="utf-8", errors="backslashreplace")
        before = sys.argv, sys.stdout, sys.stderr
        sys.argv, sys.stdout, sys.stderr = ["ntlbg", *words], stream, stream
        try:
            main()
            code: Any = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            stream.flush()
            sys.argv, sys.stdout, sys.stderr = before
        return Said(code or 0, behind.getvalue().decode("utf-8", "replace"))

    def problem_of(self, said: Said) -> str | None:
        """What is wrong with how a command ended."""
        if said.code not in CODES:
            return f"exit code {said.code}"
        if "Traceback" in said.output:
            return "a traceback"
        raw = RAW.search(said.output)
        if raw:
            return f"{raw[0]!r} is printed raw"
        if any(secret in said.output for secret in SECRETS):
            return "a secret is shown"
        if said.code and not said.output.strip():
            return "no word about what is wrong"
        return None

    def changed_outside(self) -> list[str]:
        """What is not as it was, outside of where things may change."""
        return sorted(map(str, self._before ^ self._around()))

    def secrets_kept(self) -> list[str]:
        """Files of the home with a secret in them."""
        wanted = [secret.encode() for secret in SECRETS]
        return [
            str(path)
            for folder in (".ntlbg", "out")
            for path in (self.work / folder).rglob("*")
            if path.is_file() and any(secret in path.read_bytes() for secret in wanted)
        ]

    def _around(self) -> set[tuple[str, int, int]]:
        found = set()
        for folder, below, files in os.walk(self.top):
            if Path(folder) == self.work:
                below[:] = [name for name in below if name not in OURS]
            # Compiled by torch when it is imported, not for anything that it is given.
            below[:] = [name for name in below if not name.startswith("torchinductor_")]
            for name in (*below, *files):
                path = Path(folder, name)
                stat = path.lstat()
                size = 0 if path.is_dir() else stat.st_size
                changed = 0 if path.is_dir() else stat.st_mtime_ns
                found.add((str(path), size, changed))
        return found
