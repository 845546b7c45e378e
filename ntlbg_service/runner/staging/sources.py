"""Sources of a run: its base model's folder, and the files of its data sets that it needs."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ntlbg_model.config import Config, DatasetConfig
from ntlbg_service.domain.errors import InfrastructureError, UserError

HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py")
"""Files of a repository that loading reads; weights in older formats are not fetched."""
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Source:
    """A folder, with the names of the files to stage."""

    name: str
    """Name for people."""
    folder: Path
    names: tuple[str, ...]
    """Names of files, relative to the folder."""

    def files(self) -> list[tuple[str, os.stat_result]]:
        """Return the files in their present state.

        A missing one is left out: its reader reports it together with the question.
        """
        found = []
        for name in self.names:
            try:
                found.append((name, (self.folder / name).stat()))
            except FileNotFoundError:
                continue
        return found


Fetch = Callable[[str], Path]
"""Function that returns the folder of a hub repository in this node's cache."""


def weights_of(config: Config, fetch: Fetch) -> Source | None:
    """Return the base model's files; None for the model that is part of the code.

    Raises UserError where the model does not exist, InfrastructureError where the hub does not
    answer.
    """
    name = config.model.base_model
    if name == "tiny":
        return None
    folder = Path(name)
    if not folder.is_dir():
        if folder.is_absolute() or name.startswith((".", "~")):
            raise UserError(f"model.base_model: {name} is not there on {socket.gethostname()}")
        folder = fetch(name)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not any(path.match(pattern) for path in files for pattern in WEIGHTS):
        return None
    names = tuple(path.relative_to(folder).as_posix() for path in files)
    return Source(f"weights of {folder.name if folder == Path(name) else name}", folder, names)


def data_of(dataset: DatasetConfig, data_root: Path) -> Source:
    """Return a data set's annotations and the videos of the questions in use.

    Raises DatasetError.
    """
    from ntlbg_model.data.longvideobench import ANNOTATIONS, read_longvideobench

    folder = data_root / dataset.path
    questions = read_longvideobench(folder, dataset.max_questions)
    videos = {question.video_path.relative_to(folder).as_posix() for question in questions}
    return Source(f"data {dataset.name}", folder.resolve(), (ANNOTATIONS, *sorted(videos)))


def from_hub(name: str) -> Path:
    """Return a repository's folder in this node's HF_HOME cache; download it where it is missing.

    The hub's own locks let one process download. Raises UserError and InfrastructureError.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"model.base_model: {name!r}: {_line(error)}") from None
    except LocalEntryNotFoundError as error:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            where = f"the cache of {socket.gethostname()}, and HF_HUB_OFFLINE is set"
            raise UserError(f"model.base_model: {name!r} is not in {where}") from None
        raise InfrastructureError(f"{name}: {_line(error)}") from None
    # Any other error of a download is the network's or the disk's, raised by many libraries.
    except Exception as error:
        raise InfrastructureError(f"{name}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
