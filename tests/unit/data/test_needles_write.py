"""A set on disk: real MP4s in LongVideoBench's layout, the same bytes every time."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntlbg_model.data.longvideobench import DatasetError, data_identity, read_longvideobench
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.render import needle_window
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.vocabulary import COLOURS
from ntlbg_model.data.needles.write import write_needles
from ntlbg_model.data.video import probe, read_frames

WRITE_AGAIN = (
    "import sys; from pathlib import Path;"
    "from ntlbg_model.data.needles.plan import NeedlesSpec;"
    "from ntlbg_model.data.needles.write import write_needles;"
    "write_needles(NeedlesSpec(split='glitch', videos=2, seed=7), Path(sys.argv[1]))"
)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_reader_gets_the_questions_back(glitch_set: Path, glitch_spec: NeedlesSpec) -> None:
    read = read_longvideobench(glitch_set)
    made = [q for index in range(2) for q in questions(sample_video(glitch_spec, index))]
    assert [q.video_path for q in read] == [glitch_set / q.video_path for q in made]
    assert [q.question_id for q in read] == [q.question_id for q in made]
    for one, other in zip(read, made, strict=True):
        assert (one.question, one.candidates, one.answer) == (
            other.question,
            other.candidates,
            other.answer,
        )
        assert (one.positions, one.category) == (other.positions, other.category)


def test_the_layout_is_whole(glitch_set: Path) -> None:
    rows = json.loads((glitch_set / "lvb_val.json").read_text())
    assert len(rows) == 8
    for row in rows:
        assert (glitch_set / "videos" / row["video_path"]).is_file()
        assert json.loads((glitch_set / "subtitles" / row["subtitle_path"]).read_text()) == []
    info = probe(glitch_set / "videos" / rows[0]["video_path"])
    assert (info.frames, info.width, info.height) == (512, 112, 112)
    assert info.fps == pytest.approx(8)


def test_gold_positions_show_the_needle(glitch_set: Path, glitch_spec: NeedlesSpec) -> None:
    """In the decoded file, at 56 x 56: a dark box, and the glyph's colour nearest in it."""
    plan = sample_video(glitch_spec, 0)
    names, palette = list(COLOURS), np.array(list(COLOURS.values()), float)
    frames = read_frames(glitch_set / "videos" / f"{plan.video_id}.mp4", None, (56, 56)).pixels
    for needle in plan.needles:
        rows, columns = needle_window(needle, 56)
        for frame in needle.frames:
            box = frames[frame, rows, columns].astype(float).reshape(-1, 3)
            assert 0.2 < (box.max(axis=1) < 70).mean() < 0.9
            vivid = box[box.max(axis=1) > 0.85 * box[:].max()]
            votes = np.linalg.norm(vivid[:, None] - palette[None], axis=2).argmin(axis=1)
            assert names[np.bincount(votes, minlength=8).argmax()] == needle.colour
        before = frames[needle.start - 1, rows, columns]
        assert (before.max(axis=2) < 45).mean() < 0.2


def test_another_process_writes_the_same_bytes(glitch_set: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE_AGAIN, str(tmp_path / "again")], check=True)
    assert _hashes(tmp_path / "again") == _hashes(glitch_set)
    assert data_identity(tmp_path / "again") == data_identity(glitch_set)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_complete_set_is_left_alone(glitch_set: Path, glitch_spec: NeedlesSpec) -> None:
    files = [path for path in glitch_set.rglob("*") if path.is_file()]
    before = [path.stat().st_mtime_ns for path in files]
    write_needles(glitch_spec, glitch_set, lambda *_: pytest.fail("rendered again"))
    assert [path.stat().st_mtime_ns for path in files] == before


def test_an_incomplete_set_is_written_anew(tmp_path: Path) -> None:
    spec = NeedlesSpec(split="train", videos=1, resolution=56)
    folder, seen = tmp_path / "deep" / "set", []
    write_needles(spec, folder, lambda done, total: seen.append((done, total)))
    whole = _hashes(folder)
    (folder / "videos" / "train-0-00000.mp4").unlink()
    write_needles(spec, folder)
    assert _hashes(folder) == whole
    assert seen == [(1, 1)]


def test_other_content_is_never_overwritten(glitch_set: Path, tmp_path: Path) -> None:
    other = NeedlesSpec(split="glitch", videos=2, seed=8)
    with pytest.raises(DatasetError, match="another set"):
        write_needles(other, glitch_set)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="no set of needles"):
        write_needles(other, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"
