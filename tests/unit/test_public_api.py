"""What users may import, held against a snapshot: a change of it is a decision, and in CHANGELOG."""

import inspect
from pathlib import Path
from types import ModuleType

import ntlbg_model
import ntlbg_service

SNAPSHOT = Path(__file__).parent / "public_api.txt"


def described(package: ModuleType) -> list[str]:
    """Every public name of a package with its parameters; their types live in private modules."""
    return [f"{package.__name__}.{name}{parameters(package, name)}" for name in package.__all__]


def parameters(package: ModuleType, name: str) -> inspect.Signature:
    whole = inspect.signature(getattr(package, name))
    plain = [each.replace(annotation=each.empty) for each in whole.parameters.values()]
    return whole.replace(parameters=plain, return_annotation=whole.empty)


def test_the_public_names_and_their_parameters_are_those_of_the_snapshot() -> None:
    found = [*described(ntlbg_model), *described(ntlbg_service)]
    assert found == SNAPSHOT.read_text().splitlines()
