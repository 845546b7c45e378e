"""MLflow's limits on names, values and batches."""

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.redaction import redacted

PARAMS_PER_BATCH = 100
TAGS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
VALUE_LENGTH = 5000
"""Below the 6,000 characters of a param and the 8,000 of a tag."""
KEY_LENGTH = 250

ParamValue = str | int | float | bool | None

_Item = TypeVar("_Item")


def key(name: str) -> str:
    """The name without secrets, of characters that MLflow allows, as a path that is normal."""
    allowed = re.sub(r"[^\w.\- :/]", "_", redacted(name))
    parts = [part for part in allowed.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)[:KEY_LENGTH] or "_"


def text(value: ParamValue) -> str:
    """A value as in JSON (null, true), without secrets and characters that steer a
    terminal, shortened with a mark where it is too long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    plain = neutral(redacted(str(value)))
    if len(plain) <= VALUE_LENGTH:
        return plain
    mark = f" ... [shortened, {len(plain)} characters]"
    return plain[: VALUE_LENGTH - len(mark)] + mark


def batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """The items in order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
