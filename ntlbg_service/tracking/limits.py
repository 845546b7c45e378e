"""MLflow's limits on names, values, numbers and batches."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TypeVar

from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.process.redaction import redacted

PARAMS_PER_BATCH = 100
TAGS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
BATCH_BYTES = 500_000
"""Maximum weight of a batch; a request may have 1,000,000 bytes."""
VALUE_LENGTH = 5000
"""Maximum length of a value, below the 6,000 characters of a param and the 8,000 of a tag."""
KEY_LENGTH = 250
NAME_LENGTH = 200
"""Maximum length of a run's or an experiment's name; the database has 250 for a run's."""
LAST_SECOND = 253_402_300_799.0
"""End of the year 9999, the last date that MLflow's pages can show."""
LAST_STEP = 2**63 - 1

ParamValue = str | int | float | bool | None

_Item = TypeVar("_Item")


def key(name: str) -> str:
    """Return the name without secrets, in MLflow's characters and as a normalized path."""
    allowed = re.sub(r"[^\w.\- :/]", "_", redacted(name))[:KEY_LENGTH]
    parts = [part for part in allowed.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts) or "_"


def text(value: ParamValue) -> str:
    """Return a value as in JSON (null, true), without secrets and terminal control characters.

    A value that is too long is shortened, with a mark.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    plain = neutral(redacted(str(value)))
    if len(plain) <= VALUE_LENGTH:
        return plain
    mark = f" ... [shortened, {len(plain)} characters]"
    return plain[: VALUE_LENGTH - len(mark)] + mark


def name(said: str) -> str:
    """Return the name of a run or an experiment; one that is too long ends in its digest."""
    plain = neutral(redacted(said))
    if len(plain) <= NAME_LENGTH:
        return plain
    digest = sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{plain[: NAME_LENGTH - 17]}-{digest}"


def milliseconds(seconds: float) -> int | None:
    """Return a Unix time in MLflow's milliseconds; None for an invalid time."""
    if math.isfinite(seconds) and 0 <= seconds <= LAST_SECOND:
        return round(1000 * seconds)
    return None


def is_step(step: int) -> bool:
    """Return True if MLflow can store it as the step of a metric."""
    return -LAST_STEP <= step <= LAST_STEP


def batches(
    items: Sequence[_Item], size: int, weigh: Callable[[_Item], int] = lambda _: 0
) -> Iterator[Sequence[_Item]]:
    """Yield the items in order, in batches of at most `size` items and `BATCH_BYTES` weight."""
    batch: list[_Item] = []
    weight = 0
    for item in items:
        more = weigh(item)
        if batch and (len(batch) == size or weight + more > BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += more
    if batch:
        yield batch


def json_bytes(*texts: str) -> int:
    """Return the bytes of the texts in a request, including the JSON around them."""
    return sum(len(json.dumps(text)) for text in texts) + 60
