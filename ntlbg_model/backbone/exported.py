"""What an exported model's folder says of itself: the base it needs, and where it came from."""

import json
from pathlib import Path
from typing import Any

ORIGIN = "ntlbg_run.json"
"""Written beside the weights of an exported run: its config under `config`, its results."""


def origin_of(folder: Path) -> dict[str, Any] | None:
    """What an exported folder says of its run; None for any other folder."""
    try:
        found: dict[str, Any] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


def base_of(folder: Path) -> str | None:
    """The base model of an exported folder: 'tiny', a hub name or a folder; None where unsaid."""
    origin = origin_of(folder) or {}
    base = origin.get("config", {}).get("model", {}).get("base_model")
    return base if isinstance(base, str) else None
