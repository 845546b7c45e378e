"""Functions of transformers' files that need torchvision to be imported, taken from their source.

They are the published arithmetic itself; only the import at the top of their file is not possible
here.
"""

import ast
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch


def stock_function(model: str, file: str, name: str) -> Callable[..., Any]:
    """The function or method `name` of transformers/models/`model`/`file`.py, without a class."""
    found = find_spec(f"transformers.models.{model}")
    assert found is not None and found.submodule_search_locations is not None
    source = Path(found.submodule_search_locations[0], f"{file}.py").read_text(encoding="utf-8")
    (node,) = (
        one
        for one in ast.walk(ast.parse(source))
        if isinstance(one, ast.FunctionDef) and one.name == name
    )
    bare = ast.Module(body=[node], type_ignores=[])
    space: dict[str, Any] = {"torch": torch, "math": math}
    exec("from __future__ import annotations\n" + ast.unparse(bare), space)
    function: Callable[..., Any] = space[name]
    return function
