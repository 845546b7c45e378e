"""A set of rendered videos on disk, in LongVideoBench's layout.

    lvb_val.json   videos/<id>.mp4   subtitles/<id>_en.json   needles.json (what the set is)

The same spec gives the same bytes in every run and process.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntlbg_model.data.longvideobench import ANNOTATIONS, VIDEOS, DatasetError
from ntlbg_model.data.needles.plan import FPS, NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.render import Frames, render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.records import Question

CARD = "needles.json"
SUBTITLES = "subtitles"
FORMAT = 1
"""Raised when the same spec would give other videos or questions."""
KEYFRAME_EVERY = 64
"""Frames between two places where decoding can start: 8 s."""

Progress = Callable[[int, int], None]
"""Called with videos done and videos in all."""


def write_needles(spec: NeedlesSpec, folder: Path, progress: Progress | None = None) -> None:
    """Write the set of `spec` to `folder`, whose parent is made where needed.

    A complete set of the same spec is left alone and an incomplete one is written anew; `folder`
    appears complete or not at all. Raises DatasetError where it holds anything else, VideoError
    where the haystack cannot be read.
    """
    card = _card(spec)
    if _holds(folder, card):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    scratch.mkdir()
    try:
        _fill(spec, scratch, card, progress)
        if not _holds(folder, card):
            if folder.exists():
                shutil.rmtree(folder)
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _card(spec: NeedlesSpec) -> dict[str, Any]:
    """What the set is. Footage counts by content: its place on this machine does not matter."""
    haystack = [
        {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in spec.haystack
    ]
    return {
        "format": FORMAT,
        "split": spec.split,
        "videos": spec.videos,
        "frames": spec.frames,
        "questions_per_video": spec.questions_per_video,
        "seed": spec.seed,
        "resolution": spec.resolution,
        "haystack": haystack,
    }


def _holds(folder: Path, card: dict[str, Any]) -> bool:
    """Whether `folder` is the complete set. Raises DatasetError where it is something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder}: exists and is no set of needles") from error
    if found != card:
        raise DatasetError(f"{folder}: holds another set of needles")
    try:
        rows = json.loads((folder / ANNOTATIONS).read_bytes())
    except (OSError, ValueError):
        return False
    videos = {row["video_path"] for row in rows}
    return len(videos) == card["videos"] and all(
        (folder / VIDEOS / name).is_file() for name in videos
    )


def _fill(spec: NeedlesSpec, folder: Path, card: dict[str, Any], progress: Progress | None) -> None:
    (folder / VIDEOS).mkdir()
    (folder / SUBTITLES).mkdir()
    rows: list[dict[str, Any]] = []
    for index in range(spec.videos):
        plan = sample_video(spec, index)
        encode(render(plan), folder / VIDEOS / f"{plan.video_id}.mp4")
        _write_json(folder / SUBTITLES / f"{plan.video_id}_en.json", [])
        rows.extend(_row(question) for question in questions(plan))
        if progress is not None:
            progress(index + 1, spec.videos)
    _write_json(folder / ANNOTATIONS, rows)
    _write_json(folder / CARD, card)


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _row(question: Question) -> dict[str, Any]:
    """A question as LongVideoBench's file has it."""
    return {
        "video_id": question.video_id,
        "question": question.question,
        "question_wo_referring_query": question.question,
        "candidates": list(question.candidates),
        "correct_choice": question.answer,
        "position": list(question.positions),
        "topic_category": "needles",
        "question_category": question.category,
        "level": "L1-Perception" if question.category == "attribute" else "L2-Relation",
        "id": question.question_id,
        "video_path": question.video_path.name,
        "subtitle_path": f"{question.video_id}_en.json",
        "duration_group": question.duration_group,
        "starting_timestamp_for_subtitles": 0,
        "duration": question.duration,
        "view_count": 0,
    }


def encode(frames: Frames, path: Path) -> None:
    """Write frames [n, height, width, 3] as H.264, 8 frames a second, byte for byte repeatable."""
    import av
    from av.codec.context import Flags

    count, height, width, _ = frames.shape
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # The macroblock tree of x264's assembly reads beyond small pictures and so gives other
        # bytes from run to run; plain C also gives the same bytes on every kind of processor.
        stream.options = {"crf": "23", "preset": "ultrafast", "x264-params": "asm=0"}
        context = stream.codec_context
        context.flags |= Flags.bitexact
        context.thread_count, context.gop_size = 1, KEYFRAME_EVERY
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(frames[number], format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
