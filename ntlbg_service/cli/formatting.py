"""Bytes as a person reads them."""

import math

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def bytes_in_words(size: float) -> str:
    """'1.5 MiB'."""
    power = min(int(math.log(size, 1024)) if size >= 1 else 0, len(UNITS) - 1)
    return f"{size / 1024**power:.{min(power, 1)}f} {UNITS[power]}"
