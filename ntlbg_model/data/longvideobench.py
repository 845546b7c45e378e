"""Reader of LongVideoBench's layout: `lvb_val.json` beside a folder `videos`.

github.com/longvideobench/LongVideoBench; the fields are those of its validation file.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ntlbg_model.records import MOST, Question

ANNOTATIONS = "lvb_val.json"
VIDEOS = "videos"


class DatasetError(ValueError):
    """A data set on disk that is missing or malformed: one line with file, row and field."""


def read_longvideobench(folder: Path, max_questions: int | None = None) -> list[Question]:
    """The questions of the data set in `folder`, in file order; the first ones if limited.

    Missing or broken videos are no error here. Raises DatasetError for anything wrong with the
    folder or its annotations.
    """
    file = folder / ANNOTATIONS
    rows = _rows(file)
    questions = [
        _question(_Row(file, number, row), folder / VIDEOS)
        for number, row in enumerate(rows[:max_questions])
    ]
    seen: dict[str, int] = {}
    for number, question in enumerate(questions):
        first = seen.setdefault(question.question_id, number)
        if first != number:
            raise DatasetError(
                f"{file}: row {number}: id {question.question_id!r} repeats row {first}"
            )
    return questions


def data_identity(folder: Path) -> str:
    """SHA-256 in hex of what the data set is: its annotations, and its videos by name and size.

    A missing video counts as such, so that adding it is a change. Raises DatasetError.
    """
    digest = hashlib.sha256(_bytes(folder / ANNOTATIONS))
    for path in sorted({question.video_path for question in read_longvideobench(folder)}):
        size = path.stat().st_size if path.is_file() else "missing"
        digest.update(f"\n{path.relative_to(folder).as_posix()} {size}".encode())
    return digest.hexdigest()


def _bytes(file: Path) -> bytes:
    if not file.parent.is_dir():
        raise DatasetError(f"{file.parent}: no such folder")
    try:
        return file.read_bytes()
    except OSError as error:
        raise DatasetError(f"{file}: {error.strerror}") from error


def _rows(file: Path) -> list[Any]:
    try:
        rows = json.loads(_bytes(file))
    except ValueError as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{file}: not JSON: {str(error).partition(';')[0]}") from error
    except RecursionError:
        raise DatasetError(f"{file}: is nested too deeply") from None
    if not isinstance(rows, list) or not rows:
        raise DatasetError(f"{file}: must be a list with at least one question")
    return rows


class _Row:
    """One question as it stands in the file; every complaint names file, row and field."""

    def __init__(self, file: Path, number: int, values: object) -> None:
        self._where = f"{file}: row {number}"
        if not isinstance(values, Mapping):
            raise DatasetError(f"{self._where}: must be an object")
        self._values = values

    def error(self, field: str, complaint: str) -> DatasetError:
        return DatasetError(f"{self._where}: {field} {complaint}")

    def _get(self, field: str, *, optional: bool) -> Any:
        value = self._values.get(field)
        if value is None and not optional:
            raise self.error(field, "is missing")
        return value

    def text(self, field: str) -> str:
        value = self._get(field, optional=False)
        if not isinstance(value, str) or not value.strip():
            raise self.error(field, f"must be a text, got {value!r}")
        return value

    def number(self, field: str) -> float | None:
        value = self._get(field, optional=True)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.error(field, f"must be a number, got {value!r}")
        return value

    def integer(self, field: str) -> int | None:
        value = self.number(field)
        if value is not None and not isinstance(value, int):
            raise self.error(field, f"must be a whole number, got {value!r}")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        values = self._get(field, optional=False)
        if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
            raise self.error(field, f"must be a list of texts, got {values!r}")
        return tuple(values)

    def frames(self, field: str) -> tuple[int, ...]:
        values = self._get(field, optional=True) or []
        if not isinstance(values, list) or not all(
            type(v) is int and 0 <= v < MOST for v in values
        ):
            raise self.error(field, f"must be a list of frame numbers, got {values!r}")
        return tuple(values)


def _question(row: _Row, videos: Path) -> Question:
    candidates = row.texts("candidates")
    if not 2 <= len(candidates) <= 5:
        raise row.error("candidates", f"must be 2 to 5 options, got {len(candidates)}")
    answer = row.integer("correct_choice")
    if answer is not None and not 0 <= answer < len(candidates):
        raise row.error("correct_choice", f"must be 0 to {len(candidates) - 1}, got {answer}")
    name = Path(row.text("video_path"))
    if name.is_absolute() or ".." in name.parts:
        raise row.error("video_path", f"must stay below {VIDEOS}/, got {str(name)!r}")
    return Question(
        question_id=row.text("id"),
        video_id=row.text("video_id"),
        video_path=videos / name,
        question=row.text("question"),
        candidates=candidates,
        answer=answer,
        category=row.text("question_category"),
        positions=row.frames("position"),
        duration=row.number("duration"),
        duration_group=row.integer("duration_group"),
    )
