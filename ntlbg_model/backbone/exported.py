"""What an exported model's folder says of itself: the base it needs, and where it came from."""

import json
from pathlib import Path
from typing import Any

ORIGIN = "ntlbg_run.json"
"""Written beside the weights of an exported run: its config under `config`, its results."""


class OriginError(ValueError):
    """What an exported folder says of itself is not what an export writes; one line."""


def origin_of(folder: Path) -> dict[str, Any] | None:
    """What an exported folder says of its run; None for any other folder. Raises OriginError."""
    path = folder / ORIGIN
    try:
        text = path.read_bytes() if path.is_file() else None
    except (OSError, ValueError):  # ValueError: a name that no file system takes.
        return None
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OriginError(f"{path}: not JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise OriginError(f"{path}: has no 'config' as an export writes it")
    return found


def base_of(folder: Path) -> str | None:
    """The base model of an exported folder: 'tiny', a hub name or a folder; None where unsaid.
    Raises OriginError."""
    model = (origin_of(folder) or {"config": {}})["config"].get("model")
    base = model.get("base_model") if isinstance(model, dict) else None
    return base if isinstance(base, str) else None
