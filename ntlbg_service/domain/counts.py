"""Numbers that databases, calendars and random generators take."""

MOST = 2**31
"""What a database calls an integer is below."""


def check_count(name: str, value: int) -> None:
    """Raise ValueError for a number below 0, or too large to be kept."""
    if not 0 <= value < MOST:
        shown = value if abs(value) < 10**18 else "one of more digits"
        raise ValueError(f"{name} must be from 0 to {MOST - 1}, got {shown}")


LATEST = 1e11
"""Unix time of the year 5138; calendars and integers of milliseconds take what is before."""


def check_time(name: str, value: float) -> None:
    """Raise ValueError for what is no Unix time."""
    if not 0 <= value < LATEST:
        raise ValueError(f"{name} must be a Unix time, got {value}")


LARGEST = 1e12
"""Of seconds or MiB: more than anything has taken."""


def check_amount(name: str, value: float | None) -> None:
    """Raise ValueError for a measured amount that is negative, not finite or absurd."""
    if value is not None and not 0 <= value < LARGEST:
        raise ValueError(f"{name} must be from 0 to {LARGEST:g}, got {value}")
