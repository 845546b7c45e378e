"""The reader takes the published layout and says what is wrong with anything else."""

import json
from pathlib import Path
from typing import Any

import pytest

from ntlbg_model.data.longvideobench import DatasetError, data_identity, read_longvideobench
from ntlbg_model.records import Question

ROW: dict[str, Any] = {
    "video_id": "aB3_dEfGh1k",
    "question": "In a kitchen, a man in a grey apron lifts a pan. What does he do next?",
    "question_wo_referring_query": "What does he do next?",
    "candidates": ["Turns off the stove", "Adds herbs", "Pours water", "Leaves"],
    "correct_choice": 1,
    "position": [1412, 1460],
    "topic_category": "LC-Lifestyle-Cooking-Recipes",
    "question_category": "T3E",
    "level": "L2-Relation",
    "id": "aB3_dEfGh1k_0",
    "video_path": "aB3_dEfGh1k.mp4",
    "subtitle_path": "aB3_dEfGh1k_en.json",
    "duration_group": 600,
    "starting_timestamp_for_subtitles": 0,
    "duration": 214.48,
    "view_count": 10342,
}


def _write(folder: Path, *rows: object) -> Path:
    (folder / "lvb_val.json").write_text(json.dumps(list(rows)))
    return folder


def test_a_row_as_published(tmp_path: Path) -> None:
    assert read_longvideobench(_write(tmp_path, ROW)) == [
        Question(
            question_id="aB3_dEfGh1k_0",
            video_id="aB3_dEfGh1k",
            video_path=tmp_path / "videos" / "aB3_dEfGh1k.mp4",
            question=ROW["question"],
            candidates=tuple(ROW["candidates"]),
            answer=1,
            category="T3E",
            positions=(1412, 1460),
            duration=214.48,
            duration_group=600,
        )
    ]


def test_secret_answers_and_optional_fields(tmp_path: Path) -> None:
    optional = ("correct_choice", "position", "duration", "duration_group", "view_count")
    row = {key: value for key, value in ROW.items() if key not in optional}
    (question,) = read_longvideobench(_write(tmp_path, row))
    assert (question.answer, question.positions, question.duration) == (None, (), None)


def test_only_the_first_questions(tmp_path: Path) -> None:
    rows = [{**ROW, "id": f"q{number}"} for number in range(5)]
    folder = _write(tmp_path, *rows)
    assert [q.question_id for q in read_longvideobench(folder, 2)] == ["q0", "q1"]
    assert len(read_longvideobench(folder)) == 5


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("id", None, "id is missing"),
        ("question", 3, "question must be a text, got 3"),
        ("question", " ", "question must be a text"),
        ("candidates", "A", "candidates must be a list of texts"),
        ("candidates", ["a"], "candidates must be 2 to 5 options, got 1"),
        ("correct_choice", 4, "correct_choice must be 0 to 3, got 4"),
        ("correct_choice", "1", "correct_choice must be a number"),
        ("correct_choice", 1.5, "correct_choice must be a whole number"),
        ("correct_choice", True, "correct_choice must be a number"),
        ("position", [1, -2], "position must be a list of frame numbers"),
        ("position", 7, "position must be a list of frame numbers"),
        ("duration", "long", "duration must be a number"),
        ("video_path", "../other.mp4", "video_path must stay below videos/"),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, field: str, value: object, complaint: str) -> None:
    folder = _write(tmp_path, ROW, {**ROW, "id": "second", field: value})
    with pytest.raises(DatasetError) as caught:
        read_longvideobench(folder)
    assert str(caught.value).startswith(f"{folder / 'lvb_val.json'}: row 1: {complaint}")
    assert "\n" not in str(caught.value)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        read_longvideobench(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"lvb_val\.json: No such file"):
        read_longvideobench(tmp_path)
    file = tmp_path / "lvb_val.json"
    for content, complaint in (
        ("[{", "not JSON"),
        ("{}", "must be a list"),
        ("[]", "at least one"),
        ("[3]", "row 0: must be an object"),
    ):
        file.write_text(content)
        with pytest.raises(DatasetError, match=complaint):
            read_longvideobench(tmp_path)


def test_an_id_twice(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"row 1: id 'aB3_dEfGh1k_0' repeats row 0"):
        read_longvideobench(_write(tmp_path, ROW, ROW))


def test_identity_follows_annotations_and_videos(tmp_path: Path) -> None:
    folder = _write(tmp_path, ROW)
    seen = {data_identity(folder)}
    assert data_identity(folder) in seen
    (folder / "videos").mkdir()
    video = folder / "videos" / "aB3_dEfGh1k.mp4"
    for content in (b"", b"1", b"22"):
        video.write_bytes(content)
        seen.add(data_identity(folder))
    (folder / "videos" / "unrelated.mp4").write_bytes(b"x")
    assert data_identity(folder) in seen
    seen.add(data_identity(_write(folder, {**ROW, "correct_choice": 2})))
    assert len(seen) == 5
