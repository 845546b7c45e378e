"""What makes two runs the same run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from ntlbg_model.config import Config


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What decides whether a run was there already."""

    suite: str
    group: str
    variant: str
    config: str
    """Digest of the resolved config."""
    seed: int
    data: str
    """Digest of the annotations and video files."""
    code: str
    """Digest of the code that produces results."""
    repetition: int = 0
    """Counts `--again`."""

    @property
    def values(self) -> dict[str, Any]:
        """Its parts by name, as JSON values."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def run_id(self) -> str:
        """Stable identifier of the run, 16 hex digits."""
        return digest(self.values)[:16]


def digest(value: Any) -> str:
    """SHA-256 of a JSON-shaped value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def config_digest(config: Config) -> str:
    """Digest of what a config makes a run learn and measure; where it may run is left out."""
    values = asdict(config)
    del values["hardware"]
    return digest(values)


def changes(old: Mapping[str, Any], new: Identity) -> list[str]:
    """Which parts of a run's identity differ: 'config', 'data', 'code'."""
    fresh = asdict(new)
    return [part for part in ("config", "data", "code") if old.get(part) != fresh[part]]
