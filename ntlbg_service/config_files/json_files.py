"""Strict reader of user-written JSON files; an error is one line with the fault and its place."""

import difflib
import json
from pathlib import Path
from typing import Any, NoReturn

from ntlbg_service.domain.commands import command
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published.conversion import is_published, published_mark
from ntlbg_service.process.redaction import known


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object in this project's layout.

    Raises UserError where `read_any` does, and for a file in the published layout, which has to
    be imported first.
    """
    value = read_any(path)
    if is_published(value):
        raise UserError(
            f"{path}: has the published layout ('{published_mark(value)}'): convert it with "
            f"{command('config', 'import', str(path))}"
        )
    return value


def read_any(path: Path) -> dict[str, Any]:
    """Return a JSON object.

    Raises UserError for a missing file, bad syntax, a repeated key or a secret: the content of a
    config is copied to ledger, storage, MLflow and reports.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file{near_file(path)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _unique(pairs, path),
            parse_constant=lambda word: _no_number(word, path),
        )
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply") from None
    except ValueError as error:  # Python limits the number of digits of an int that it parses.
        raise UserError(f"{path}: not JSON: {str(error).partition(';')[0]}") from None
    _check_text(text, value, path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be a JSON object, got {type(value).__name__}")
    secret = known().place_in(value)
    if secret is not None:
        raise UserError(
            f"{path}: {secret}: looks like a secret; leave it out, and put it into the environment "
            "of the nodes"
        )
    return value


def is_file(path: Path) -> bool:
    """Return True if the file exists; False for a name that is not a valid file name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _unique(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            raise UserError(f"{path}: key '{key}' stands twice in one object")
        seen[key] = value
    return seen


def _check_text(text: str, value: Any, path: Path) -> None:
    """Raise UserError for an escaped lone surrogate, which cannot be encoded as UTF-8."""
    if "\\ud" not in text.lower():
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}: holds half of a surrogate pair, which is no character") from None


def _no_number(word: str, path: Path) -> NoReturn:
    raise UserError(f"{path}: {word} is no JSON number")


def near_file(path: Path) -> str:
    """Return a suffix for an error message that names the nearest existing file."""
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    stems = sorted(found.stem for found in folder.glob("*.json"))
    near = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.4)
    if near:
        return f"; did you mean {folder / near[0]}.json?"
    return f"; {folder} holds {', '.join(f'{stem}.json' for stem in stems)}" if stems else ""
