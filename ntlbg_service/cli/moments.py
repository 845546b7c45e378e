"""A moment as a person writes it: a day, a time, or so long ago."""

import re
from datetime import datetime

from ntlbg_service.domain.errors import UserError

SECONDS = {"min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
AGO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(min|h|d|w)")


def moment(text: str, source: str, now: float) -> float:
    """Unix time of a moment; days and times are local. Raises UserError, which names `source`."""
    ago = AGO.fullmatch(text)
    if ago:
        return now - float(ago[1]) * SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise UserError(
            f"{source}: {text!a} is no moment; valid: 2026-11-01, 2026-11-01T08:00, 12h, 30d, 4w"
        ) from None
