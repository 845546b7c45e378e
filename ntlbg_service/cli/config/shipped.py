"""The configs that come with the program."""

import os
from pathlib import Path

import ntlbg_service
from ntlbg_service.domain.errors import UserError, nearest

MAIN = "configs/longvideo_config.json"


def shipped(path: str) -> Path:
    """A shipped file: of the folder one stands in, else of the checkout the program runs from."""
    here = Path(path)
    there = Path(ntlbg_service.__file__).parents[1] / path
    return there if there.exists() and not here.exists() else here


def shipped_main() -> str:
    """The shipped main config, as the default of an option."""
    return str(shipped(MAIN))


def shipped_suite(name: str) -> Path:
    """The shipped suite of that name. Raises UserError with the nearest name."""
    folder = shipped("configs")
    suites = [*sorted(folder.glob("experiments/*.json")), *folder.glob("quickstart.json")]
    found = {path.stem: path for path in suites}
    if name not in found:
        hint = nearest(name, found, cutoff=0.5)
        raise UserError(f"--experiment: {folder} has no suite '{name}'; {hint}")
    return found[name]


def seen_from(path: Path, folder: Path) -> str:
    """`path` relative to `folder`, as a file in it names it."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
