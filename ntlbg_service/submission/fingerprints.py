"""Digests of what a result depends on: data sets, and the code that produces it."""

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
        """Digest over every data set a config trains or is evaluated on."""
        folders = [
            dataset_folder(dataset, self._root)
            for dataset in (*config.data.train, *config.data.evaluation)
        ]
        for folder in folders:
            if folder not in self._known:
                self._known[folder] = data_identity(folder)
        return digest([self._known[folder] for folder in folders])


def data_root_of(kept: str, data: str, config: Config, home: Path, now: Path) -> Path:
    """Where the data root of a submission is, of which `kept` is known: absolute, or relative to
    the home.

    Where that is gone it is the data root of `now`, if the digest of its data sets is `data`.
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
    except OSError:  # A name that no file system takes.
        return False


@lru_cache(maxsize=1)
def code_version() -> str:
    """Digest of the code that produces results: the model package and the runner, 12 digits."""
    model = Path(ntlbg_model.__file__).parent
    runner = Path(__file__).parents[1] / "runner"
    sha = hashlib.sha256()
    for root in (model, runner):
        for path in sorted(root.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".safetensors", ".json"):
                sha.update(path.relative_to(root).as_posix().encode())
                sha.update(path.read_bytes())
    return sha.hexdigest()[:12]
