"""Whole numbers that databases and random generators take."""

MOST = 2**31
"""What a database calls an integer is below."""


def check_count(name: str, value: int) -> None:
    """Raise ValueError for a number below 0, or too large to be kept."""
    if not 0 <= value < MOST:
        raise ValueError(f"{name} must be from 0 to {MOST - 1}, got {value}")
