"""Checks of the files that configs read: missing data sets and refused checkpoints."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from ntlbg_model.config import Config, DatasetConfig
from ntlbg_model.data.longvideobench import ANNOTATIONS, DatasetError, read_longvideobench
from ntlbg_model.safe_loading import check_checkpoint
from ntlbg_service.domain.errors import UserError


def dataset_folder(dataset: DatasetConfig, data_root: Path) -> Path:
    """Return the folder of a data set."""
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


def check_checkpoints(config: Config, source: str) -> None:
    """Raise UserError for a local checkpoint of a config that would be refused on loading."""
    base, encoder = config.model.base_model, config.selection.encoder
    for place, name in (("model.base_model", base), ("selection.encoder", encoder)):
        try:
            if name:
                check_checkpoint(name)
        except (ValueError, OSError) as error:
            raise UserError(f"{source}: {place}: {name}: {error}") from None


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


def missing_data(configs: Iterable[Config], data_root: Path) -> tuple[str, ...]:
    """Return a line for each missing part of data sets: folders, annotations, videos."""
    datasets = {
        dataset_folder(dataset, data_root): dataset
        for config in configs
        for dataset in (*config.data.train, *config.data.evaluation)
    }
    gone = [folder for folder in datasets if not folder.is_dir()]
    lines = (
        _incomplete(folder, dataset) for folder, dataset in datasets.items() if folder not in gone
    )
    absent = f"not below {data_root}: {', '.join(_short(folder, data_root) for folder in gone)}"
    return (*([absent] if gone else []), *(line for line in lines if line is not None))


def _short(folder: Path, data_root: Path) -> str:
    return str(folder.relative_to(data_root) if folder.is_relative_to(data_root) else folder)


def _incomplete(folder: Path, dataset: DatasetConfig) -> str | None:
    if dataset.format != "longvideobench":
        # Planning a suite refuses other formats by name.
        return None
    if not (folder / ANNOTATIONS).is_file():
        return f"no {folder / ANNOTATIONS}"
    return _missing_videos(folder)


def _missing_videos(folder: Path) -> str | None:
    try:
        videos = {question.video_path for question in read_longvideobench(folder)}
    except DatasetError as error:
        return str(error)
    gone = sorted(path for path in videos if not path.is_file())
    if not gone:
        return None
    first = ", ".join(path.relative_to(folder).as_posix() for path in gone[:2])
    more = f" and {len(gone) - 2} more" if len(gone) > 2 else ""
    return f"{folder}: {len(gone)} of {len(videos)} videos missing: {first}{more}"
