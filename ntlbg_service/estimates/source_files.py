"""The source files of a module: its own and those of its transitive imports within the package.

Imports are parsed from the source, so nothing heavy is imported. Imports inside functions count.
"""

import ast
from collections.abc import Iterator
from pathlib import Path


def files_behind(root: Path, module: str) -> tuple[Path, ...]:
    """Return the files of the package at `root` that importing its `module` could run, sorted."""
    package = root.name
    waiting, found = [module], set[Path]()
    while waiting:
        path = _file_of(root, waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        tree = ast.parse(path.read_bytes())
        names = [name for node in _run(tree) for name in _imported(node)]
        names.append(".".join((package, *path.parent.relative_to(root).parts)))
        waiting += [name for name in names if name.split(".")[0] == package]
    return tuple(sorted(found))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes without the blocks that only type checkers read."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield from _run(child)


def _file_of(root: Path, module: str) -> Path | None:
    """Return the file of a module or a package's `__init__.py`; None for a name in a module."""
    place = root.parent.joinpath(*module.split("."))
    choices = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in choices if path.is_file()), None)


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield names that may be modules: for `from a import b`, both a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
