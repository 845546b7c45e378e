"""What users may import, held against a snapshot: a change of it is a line in CHANGELOG."""

import inspect
from pathlib import Path
from types import ModuleType

import ntlbg_model
import ntlbg_service

PLAIN = (int, float, str, tuple, type(None))
SNAPSHOT = Path(__file__).parent / "public_api.txt"


def described(package: ModuleType) -> list[str]:
    """Every public name of a package with its parameters; their types live in private modules."""
    return [f"{package.__name__}.{name}{parameters(package, name)}" for name in package.__all__]


def parameters(package: ModuleType, name: str) -> inspect.Signature:
    """The parameters, with the defaults that a person could write down."""
    whole = inspect.signature(getattr(package, name))
    return whole.replace(
        parameters=[
            each.replace(annotation=each.empty, default=default_of(each))
            for each in whole.parameters.values()
        ],
        return_annotation=whole.empty,
    )


def default_of(parameter: inspect.Parameter) -> object:
    plain = parameter.default is parameter.empty or isinstance(parameter.default, PLAIN)
    return parameter.default if plain else ...


def test_the_public_names_and_their_parameters_are_those_of_the_snapshot() -> None:
    found = [*described(ntlbg_model), *described(ntlbg_service)]
    assert found == SNAPSHOT.read_text().splitlines()
