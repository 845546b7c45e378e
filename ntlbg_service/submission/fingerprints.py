"""Digests of the inputs of a result: its data sets and the code that produces it."""

import hashlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import ntlbg_model
from ntlbg_model.config import Config
from ntlbg_model.data.longvideobench import DatasetError, data_identity
from ntlbg_service.config_files.missing_data import dataset_folder
from ntlbg_service.domain.run_identity import digest


class DataIdentities:
    """Digests of data sets, each computed once."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root
        self._known: dict[Path, str] = {}

    def of(self, config: Config) -> str:
        """Return one digest over all training and evaluation data sets of a config."""
        folders = [
            dataset_folder(dataset, self._root)
            for dataset in (*config.data.train, *config.data.evaluation)
        ]
        for folder in folders:
            if folder not in self._known:
                self._known[folder] = data_identity(folder)
        return digest([self._known[folder] for folder in folders])


def data_root_of(kept: str, data: str, config: Config, home: Path, now: Path) -> Path:
    """Return the data root of a submission from its recorded path.

    `kept` is absolute or relative to the home. If that folder is gone, return `now` instead,
    provided that the digest of its data sets is `data`.
    """
    root = home / kept
    if not _is_folder(root):
        with suppress(DatasetError):
            if DataIdentities(now).of(config) == data:
                return now
    return root


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # An invalid file name, for example one that is too long.
        return False


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the digest (12 digits) of the code that produces results: model and runner."""
    model = Path(ntlbg_model.__file__).parent
    runner = Path(__file__).parents[1] / "runner"
    sha = hashlib.sha256()
    for root in (model, runner):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".safetensors", ".json"):
                sha.update(path.relative_to(root).as_posix().encode())
                sha.update(path.read_bytes())
    return sha.hexdigest()[:12]
