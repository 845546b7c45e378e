"""Files to domain: JSON with strict reading, and the identities of data and code."""

import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import ntlbg_model
from ntlbg_model.config import Config, DatasetConfig
from ntlbg_model.data.longvideobench import ANNOTATIONS, data_identity
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.hardware.profiles import Profile, including, profile_named
from ntlbg_service.domain.published.conversion import is_published, published_mark
from ntlbg_service.domain.resolve import Layer, parse, resolve
from ntlbg_service.domain.run_identity import digest
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.suite import CategorySpec, ScaleSpec, SuiteFiles, SuiteSpec
from ntlbg_service.domain.sweep import SweepSpec
from ntlbg_service.redaction import known

T = TypeVar("T")

NOT_SECTIONS = ("name", "description", "categories")
"""Keys of a main config that are no section of Config."""

KINDS = "NTLBG_PROFILES"
"""Environment variable that names files of further GPU kinds."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in this project's layout. Raises UserError in one line, as `read_any` does,
    and for a file in the published layout, which has to be imported first.
    """
    value = read_any(path)
    if is_published(value):
        raise UserError(
            f"{path}: has the published layout ('{published_mark(value)}'): convert it with "
            f"'ntlbg config import {path}'"
        )
    return value


def read_any(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UserError for a missing file, bad syntax, a repeated key or a secret:
    what stands in a config is copied to ledger, storage, MLflow and reports."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file{_near_file(path)}") from None
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
    except ValueError as error:  # A whole number of thousands of digits.
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
    """Whether there is a file; no, for a name that no file system takes."""
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
    """JSON can escape half of a surrogate pair, which no file or terminal can show."""
    if "\\ud" not in text.lower():
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UserError(f"{path}: holds half of a surrogate pair, which is no character") from None


def _no_number(word: str, path: Path) -> NoReturn:
    raise UserError(f"{path}: {word} is no JSON number")


def _near_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    stems = sorted(found.stem for found in folder.glob("*.json"))
    near = difflib.get_close_matches(path.stem, stems, n=1, cutoff=0.4)
    if near:
        return f"; did you mean {folder / near[0]}.json?"
    return f"; {folder} holds {', '.join(f'{stem}.json' for stem in stems)}" if stems else ""


def load_main(
    path: Path, kinds: Sequence[Profile] = ()
) -> tuple[dict[str, Any], dict[str, CategorySpec]]:
    """Sections and categories of a main config; every category is validated. `kinds` are GPU kinds
    beside those built in."""
    values = read_json(path)
    sections = {key: value for key, value in values.items() if key not in NOT_SECTIONS}
    raw = values.get("categories", {})
    if not isinstance(raw, dict):
        raise UserError(f"{path}: categories: must be an object")
    categories = {
        name: _parse(CategorySpec, spec, f"{path}: categories.{name}") for name, spec in raw.items()
    }
    resolve([Layer(str(path), sections)], kinds)
    for name, category in categories.items():
        layer = Layer(f"{path} categories.{name}", category.overrides)
        resolve([Layer(str(path), sections), layer], kinds)
    return sections, categories


def _parse(kind: type[T], values: Any, source: str) -> T:
    if not isinstance(values, dict):
        raise UserError(f"{source}: must be an object, got {type(values).__name__}")
    return parse(kind, values, source)


def load_suite(path: Path, scale: str | None = None, kinds: Sequence[Profile] = ()) -> SuiteFiles:
    """A suite with its base config and its scale: the one asked for, else the suite's own."""
    suite = _parse(SuiteSpec, read_json(path), str(path))
    base_path = path.parent / suite.config
    if not is_file(base_path):
        raise UserError(f"{path}: config: no such file {base_path}{_near_file(base_path)}")
    base, categories = load_main(base_path, kinds)
    files = SuiteFiles(
        source=str(path),
        suite=suite,
        base_source=str(base_path),
        base=base,
        categories=categories,
        kinds=tuple(kinds),
    )
    scale = scale or suite.scale
    if scale is None:
        return files
    if scale not in suite.scales:
        known = ", ".join(suite.scales) or "none"
        raise UserError(f"{path}: scales: unknown scale '{scale}'; valid: {known}")
    scale_path = path.parent / suite.scales[scale]
    spec = _parse(ScaleSpec, read_json(scale_path), str(scale_path))
    return replace(files, scale=scale, scale_source=str(scale_path), scale_spec=spec)


def is_sweep(path: Path) -> bool:
    """Whether a file describes a sweep: it has a space to search."""
    return "space" in read_json(path)


def load_sweep(path: Path) -> SweepSpec:
    """A sweep file."""
    return _parse(SweepSpec, read_json(path), str(path))


def load_inventory(path: Path, kinds: Sequence[Profile] = ()) -> Inventory:
    """An inventory file; it may use `kinds`, those of its `profiles` files and its own."""
    inventory = _parse(Inventory, read_json(path), str(path))
    known = tuple(kinds)
    for index, kind in enumerate(inventory.kinds):
        known = including(known, kind, f"{path}: kinds.{index}")
    for index, name in enumerate(inventory.profiles):
        known = _with_kind(known, path.parent / name, f"{path}: profiles.{index}")
    inventory = replace(inventory, name=str(path), kinds=known)
    for index, group in enumerate(inventory.groups):
        profile_named(group.profile, f"{path}: groups.{index}.profile", known)
    return inventory


def load_caps(path: Path) -> Caps:
    """A caps file."""
    return _parse(Caps, read_json(path), str(path))


def load_kinds(values: Mapping[str, str]) -> tuple[Profile, ...]:
    """The GPU kinds of the files in NTLBG_PROFILES, which are separated as those of PATH are."""
    kinds: tuple[Profile, ...] = ()
    for name in filter(None, values.get(KINDS, "").split(os.pathsep)):
        kinds = _with_kind(kinds, Path(name), KINDS)
    return kinds


def _with_kind(kinds: tuple[Profile, ...], path: Path, source: str) -> tuple[Profile, ...]:
    if not is_file(path):
        raise UserError(f"{source}: no such file {path}{_near_file(path)}")
    return including(kinds, load_kind(path), str(path))


def load_kind(path: Path) -> Profile:
    """A GPU kind of its own file."""
    return _parse(Profile, read_json(path), str(path))


def dataset_folder(dataset: DatasetConfig, data_root: Path) -> Path:
    """Where a data set lies."""
    return data_root / dataset.path


def check_data(config: Config, data_root: Path, source: str) -> None:
    """Raise UserError for the first data set of a config that is not on disk."""
    for part in ("train", "evaluation"):
        for index, dataset in enumerate(getattr(config.data, part)):
            folder = dataset_folder(dataset, data_root)
            if not folder.is_dir() or not (folder / ANNOTATIONS).is_file():
                raise UserError(
                    f"{source}: data.{part}.{index}.path: no data set at {folder}"
                    f"{_near_folder(folder)}"
                )


def _near_folder(folder: Path) -> str:
    siblings = (
        sorted(
            found.parent.relative_to(folder.parent).as_posix()
            for found in folder.parent.glob(f"*/{ANNOTATIONS}")
        )
        if folder.parent.is_dir()
        else []
    )
    near = difflib.get_close_matches(folder.name, siblings, n=1, cutoff=0.0)
    if near:
        return f"; did you mean '{near[0]}'?"
    return "; 'ntlbg data needles' renders the demo's, --data-root says where data sets lie"


class DataIdentities:
    """Digests of data sets, each computed once."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root
        self._known: dict[Path, str] = {}

    def of(self, config: Config) -> str:
        """Digest over every data set a config trains or is evaluated on."""
        folders = [
            dataset_folder(dataset, self._root)
            for dataset in (*config.data.train, *config.data.evaluation)
        ]
        for folder in folders:
            if folder not in self._known:
                self._known[folder] = data_identity(folder)
        return digest([self._known[folder] for folder in folders])


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of the code that produces results: the model package and the runner, 12 digits."""
    model = Path(ntlbg_model.__file__).parent
    runner = Path(__file__).parent / "runner"
    sha = hashlib.sha256()
    for root in (model, runner):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".safetensors", ".json"):
                sha.update(path.relative_to(root).as_posix().encode())
                sha.update(path.read_bytes())
    return sha.hexdigest()[:12]


def environment(values: Mapping[str, str], name: str, fallback: Path) -> Path:
    """A folder named by an environment variable, else the fallback."""
    return Path(values[name]) if values.get(name) else fallback
