"""Whether the data sets of configs lie on disk: what is missing, by name."""

from collections.abc import Iterable
from pathlib import Path

from ntlbg_model.config import Config, DatasetConfig
from ntlbg_model.data.longvideobench import ANNOTATIONS, DatasetError, read_longvideobench
from ntlbg_service.loading import dataset_folder


def missing_data(configs: Iterable[Config], data_root: Path) -> tuple[str, ...]:
    """What is not there of the data sets of configs, in lines: folders, annotations, videos."""
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
        # Other layouts are refused by name where a suite is planned.
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
