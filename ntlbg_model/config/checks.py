"""What every section of a configuration shares: strictness and checks of ranges."""

STRICT: dict[str, object] = {"extra": "forbid", "use_attribute_docstrings": True}
"""Read by pydantic where a file is validated: unknown keys are errors, docstrings are kept."""


def check(condition: bool, message: str) -> None:
    """Raise ValueError with `message` where the condition does not hold."""
    if not condition:
        raise ValueError(message)


def at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError where a field is less."""
    check(value >= least, f"{name} must be at least {least}, got {value}")


def above(name: str, value: float, bound: float) -> None:
    """Raise ValueError where a field is not more."""
    check(value > bound, f"{name} must be above {bound}, got {value}")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError where a field is outside, bounds included."""
    check(low <= value <= high, f"{name} must be between {low} and {high}, got {value}")
