"""Questions about real videos: as the evaluation answers them, decoded once, in constant memory."""

import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.backbone.prompt import TURN
from ntlbg_model.config import (
    Config,
    ModelConfig,
    RichPointsConfig,
    SelectionConfig,
    TemporalConfig,
    VideoConfig,
)
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.write import encode
from ntlbg_model.data.stream import BLOCK, FrameBlock, blocks
from ntlbg_model.data.timeline import scan
from ntlbg_model.data.video import FrameCache, VideoError
from ntlbg_model.evaluation import evaluate
from ntlbg_model.modeling.checkpoint import AnswerDevice, load_for_answers
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.modeling.model import NTLBGModel
from ntlbg_model.modeling.selector_attached import with_selector
from ntlbg_model.records import Prediction
from ntlbg_model.streaming_qa.frame_choice import MOST_KEPT, kept_frames
from ntlbg_model.streaming_qa.stages import STAGES, Stages
from ntlbg_model.streaming_qa.streamed_video import summarise, watch
from ntlbg_model.streaming_qa.videoqa import NTLBGVideoQA, QuestionError, default_config
from ntlbg_model.tiny_base import architecture
from tests.support.long_video import FLASH_AT, FPS, FRAMES, SIDE, write_long_video

PLAN = sample_video(NeedlesSpec(split="clean", videos=1, seed=8, resolution=56), 0)
ASKED = questions(PLAN)
CPU = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clean") / f"{PLAN.video_id}.mp4"
    encode(render(PLAN), path)
    return path


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return path, *write_long_video(path)


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return load_backbone(
        ModelConfig(base_model="tiny", tuning="none"),
        dtype=torch.float32,
        device="cpu",
        attention="sdpa",
    )


@pytest.fixture
def make(tiny: Backbone) -> Callable[..., NTLBGVideoQA]:
    def made(**options: Any) -> NTLBGVideoQA:
        return NTLBGVideoQA(tiny, default_config(tiny), **options)

    return made


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that PyAV opens from here on."""
    seen: list[str] = []
    real = av.open

    def counted(file: str, *args: Any, **kwargs: Any) -> Any:
        seen.append(file)
        return real(file, *args, **kwargs)

    monkeypatch.setattr(av, "open", counted)
    return seen


def test_answers_are_those_of_the_evaluation(
    make: Callable[..., NTLBGVideoQA], tiny: Backbone, video: Path, tmp_path: Path
) -> None:
    qa, found = make(), list[Prediction]()
    cache = FrameCache(tmp_path)
    evaluate(
        default_config(tiny),
        backbone=tiny,
        dataset="clean",
        questions=ASKED,
        frames=lambda q: cache.frames(video, 4096, (56, 56)),
        seed=0,
        on_prediction=found.append,
    )
    for question, expected in zip(ASKED, found, strict=True):
        answer = qa.answer(video, question.question, question.candidates)
        assert answer.frames == expected.frames and len(answer.frames) == 64
        assert answer.option == expected.answer
        assert answer.text == question.candidates[answer.option or 0]
        shares = torch.tensor(expected.scores).softmax(0).tolist()
        assert answer.options == pytest.approx(shares, abs=1e-3)
        assert answer.confidence == max(answer.options)


@pytest.mark.parametrize("features", ["pixels", "backbone"])
def test_a_learned_selection_picks_what_the_evaluation_does(
    video: Path, tmp_path: Path, features: str
) -> None:
    plain = load_for_answers("tiny", CPU)
    config = default_config(plain)
    config = replace(
        config,
        selection=SelectionConfig(query="learned", features=features),  # type: ignore[arg-type]
        model=replace(config.model, ntlbg_hidden_size=32),
    )
    backbone, found = with_selector(plain, config, seed=3), list[Prediction]()
    qa, cache = NTLBGVideoQA(backbone, config), FrameCache(tmp_path)
    evaluate(
        config,
        backbone=backbone,
        dataset="clean",
        questions=ASKED,
        frames=lambda q: cache.frames(video, 4096, (56, 56)),
        seed=0,
        on_prediction=found.append,
    )
    answers = [qa.answer(video, asked.question, asked.candidates) for asked in ASKED]
    assert [answer.frames for answer in answers] == [row.frames for row in found]
    assert len({answer.frames for answer in answers}) > 1
    with pytest.raises(ValueError, match="has no selector"):
        NTLBGVideoQA(load_for_answers("tiny", CPU), config)


def test_an_answer_says_when_and_why(make: Callable[..., NTLBGVideoQA], video: Path) -> None:
    answer = make().answer(video, ASKED[0].question, ASKED[0].candidates, frames=16)
    assert len(answer.frames) == len(answer.times) == len(answer.scores) == 16
    assert answer.times == pytest.approx([frame / 8 for frame in answer.frames])
    assert len(set(answer.scores)) > 1
    assert (answer.total_frames, answer.candidates) == (512, 512)
    assert tuple(answer.seconds) == STAGES and min(answer.seconds.values()) > 0


def test_without_options_the_model_says_its_word(
    make: Callable[..., NTLBGVideoQA], video: Path
) -> None:
    needle = PLAN.needles[0]
    answer = make().answer(video, f"What colour is the {needle.shape} that flashed?")
    assert answer.text == needle.colour
    assert answer.option is None and answer.options == () and 0.5 < answer.confidence <= 1


def test_a_selection_that_reads_the_question_chooses_for_each(
    tiny: Backbone, video: Path, opens: list[str], tmp_path: Path
) -> None:
    config = default_config(tiny)
    config = replace(config, selection=SelectionConfig(method="aks", similarity="backbone"))
    qa, found = NTLBGVideoQA(tiny, config, kept_bytes=0), list[Prediction]()
    answers = [qa.answer(video, q.question, q.candidates) for q in ASKED]
    assert len(opens) == 2 and answers[0].frames != answers[1].frames
    cache = FrameCache(tmp_path)
    evaluate(
        config,
        backbone=tiny,
        dataset="clean",
        questions=ASKED,
        frames=lambda q: cache.frames(video, 4096, (56, 56)),
        seed=0,
        on_prediction=found.append,
    )
    assert [a.frames for a in answers] == [row.frames for row in found]
    assert [a.option for a in answers] == [row.answer for row in found]


@pytest.mark.parametrize("kept_bytes", [0, 64 * 1024**2])
def test_a_second_question_decodes_nothing(
    make: Callable[..., NTLBGVideoQA], video: Path, opens: list[str], kept_bytes: int
) -> None:
    qa = make(kept_bytes=kept_bytes)
    qa.answer(video, ASKED[0].question, ASKED[0].candidates)
    assert opens == [str(video)] * (2 if kept_bytes else 3)
    opens.clear()
    again = qa.answer(video, ASKED[1].question, ASKED[1].candidates)
    assert opens == [] and again.seconds["decoding"] == again.seconds["vision_tower"] == 0


def test_other_frames_of_a_small_video_need_no_decoding_either(
    make: Callable[..., NTLBGVideoQA], video: Path, opens: list[str]
) -> None:
    qa = make()
    qa.answer(video, ASKED[0].question, ASKED[0].candidates)
    opens.clear()
    qa.answer(video, ASKED[0].question, ASKED[0].candidates, frames=128)
    assert opens == []


def test_another_process_finds_what_the_first_one_saw(
    make: Callable[..., NTLBGVideoQA], video: Path, opens: list[str], tmp_path: Path
) -> None:
    first = make(cache=tmp_path).answer(video, ASKED[0].question, ASKED[0].candidates)
    opens.clear()
    second = make(cache=tmp_path).answer(video, ASKED[0].question, ASKED[0].candidates)
    assert opens == [] and second.frames == first.frames and second.times == first.times
    assert second.options == pytest.approx(first.options, abs=1e-6)


def test_a_changed_file_is_another_video(
    make: Callable[..., NTLBGVideoQA], video: Path, tmp_path: Path
) -> None:
    qa, path = make(cache=tmp_path / "cache"), tmp_path / "video.mp4"
    path.write_bytes(video.read_bytes())
    assert qa.answer(path, ASKED[0].question).total_frames == 512
    encode(render(PLAN)[:100], path)
    assert qa.answer(path, ASKED[0].question).total_frames == 100


def test_frames_that_were_not_kept_are_decoded_where_they_are(
    make: Callable[..., NTLBGVideoQA], video: Path
) -> None:
    kept, sought = (
        make(kept_bytes=held).answer(video, ASKED[0].question, ASKED[0].candidates)
        for held in (64 * 1024**2, 0)
    )
    assert kept.frames == sought.frames
    assert kept.options == pytest.approx(sought.options, abs=1e-6)


def test_half_an_hour_and_more_frames_than_8192(
    make: Callable[..., NTLBGVideoQA], long_video: tuple[Path, str, str]
) -> None:
    path, shape, colour = long_video
    told: list[int] = []
    answer = make().answer(
        path,
        f"what colour is the {shape} that flashed?",
        progress=lambda done, total: told.append(done),
    )
    assert answer.total_frames == answer.candidates == FRAMES > 8192
    assert FLASH_AT in answer.frames and len(answer.frames) == MOST_KEPT
    assert answer.times[answer.frames.index(FLASH_AT)] == pytest.approx(FLASH_AT / FPS)
    assert answer.times[-1] > 30 * 60
    assert answer.text == colour
    assert told[-1] == FRAMES and len(told) == -(-FRAMES // BLOCK)


def test_one_block_of_frames_is_held_at_a_time(long_video: tuple[Path, str, str]) -> None:
    alive = held = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def counted() -> Iterator[FrameBlock]:
        nonlocal alive, held
        for block in blocks(long_video[0], scan(long_video[0]), np.arange(FRAMES), (28, 28)):
            alive += 1
            held = max(held, alive)
            weakref.finalize(block.pixels, gone)
            yield block
            del block

    assert summarise(counted(), Stages()).shape == (FRAMES // 2, 196)
    assert held == 1


def test_memory_does_not_grow_with_the_video(long_video: tuple[Path, str, str]) -> None:
    size = (SIDE, SIDE)
    watch(long_video[0], 64, size, Stages(), kept_bytes=0)
    tracemalloc.start()
    watched = watch(long_video[0], FRAMES, size, Stages(), kept_bytes=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert watched.frames is None
    frames_held = peak / (SIDE * SIDE * 3)
    assert frames_held < FRAMES / 5


@pytest.mark.parametrize(
    ("text", "options", "frames", "said"),
    [
        ("what color is the star that flashed?", (), None, "'color'; did you mean 'colour'?"),
        (" ", (), None, "the question is empty"),
        ("which background colour lasts longest?", ("teal",), None, "one option is no choice"),
        ("which background colour lasts longest?", ("teal", "mauve"), None, "word 'mauve'"),
        ("which background colour lasts longest?", ("teal", "teal"), None, "do not differ"),
        ("which background colour lasts longest?", (), 1, "at least 2, got 1"),
        ("which background colour lasts longest?", (), 100_000, "must not exceed max_frames"),
    ],
)
def test_what_cannot_be_asked(
    make: Callable[..., NTLBGVideoQA],
    video: Path,
    text: str,
    options: tuple[str, ...],
    frames: int | None,
    said: str,
) -> None:
    with pytest.raises(QuestionError, match=said.replace("?", r"\?")):
        make().answer(video, text, options, frames=frames)


def test_videos_that_cannot_be_read(make: Callable[..., NTLBGVideoQA], tmp_path: Path) -> None:
    broken, single = tmp_path / "broken.mp4", tmp_path / "single.mp4"
    broken.write_bytes(b"no video")
    encode(render(PLAN)[:1], single)
    for path, said in (
        (tmp_path / "missing.mp4", "No such file"),
        (broken, "Invalid data"),
        (single, "at least 2 frames, this has one"),
    ):
        with pytest.raises(VideoError, match=said):
            make().answer(path, ASKED[0].question)


@pytest.mark.parametrize(
    ("candidates", "wanted", "kept"),
    [(512, None, 64), (9300, None, MOST_KEPT), (10, None, 10), (512, 100, 96), (20, 100, 16)],
)
def test_how_many_frames_are_kept(candidates: int, wanted: int | None, kept: int) -> None:
    assert kept_frames(VideoConfig(max_frames=65536), candidates, wanted) == kept


def test_a_model_that_chats_is_asked_by_letters_at_full_size(tiny: Backbone) -> None:
    words = architecture.tokenizer()
    words.add_special_tokens({"additional_special_tokens": [TURN]})
    config = default_config(replace(tiny, tokenizer=words))
    assert config.video.frame_resolution == (224, 224) and config.video.max_frames == 8192
    assert config.evaluation.scoring == "letters"
    assert default_config(tiny).evaluation.scoring == "option_words"


def test_adapters_of_a_run_load_by_their_folder(video: Path, tmp_path: Path) -> None:
    trained = load_backbone(
        ModelConfig(base_model="tiny", tuning="lora"),
        dtype=torch.float32,
        device="cpu",
        attention="sdpa",
    )
    with torch.no_grad():
        for name, weight in trained.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.manual_seed(len(name)))
    trained.model.save_pretrained(tmp_path)
    same(trained, NTLBGVideoQA.from_pretrained(tmp_path, device=CPU), video)


@pytest.mark.parametrize(
    "options",
    [
        {"reducer": "pllava"},
        {"rich_points": RichPointsConfig(enabled=True)},
        {"temporal": TemporalConfig(layers=2)},
    ],
)
def test_the_connector_of_a_run_loads_with_its_adapters(
    video: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    model = ModelConfig(base_model="tiny", tuning="lora", **options)
    trained = load_backbone(model, dtype=torch.float32, device="cpu", attention="sdpa")
    added = trained.model
    assert isinstance(added, NTLBGModel) and added.connector is not None
    with torch.no_grad():
        for weight in added.connector.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.manual_seed(weight.ndim)))
    added.save_pretrained(tmp_path)
    loaded = NTLBGVideoQA.from_pretrained(tmp_path, device=CPU)
    config, found = replace(default_config(trained), model=model), list[Prediction]()
    cache = FrameCache(tmp_path / "cache")
    evaluate(
        config,
        backbone=trained,
        dataset="clean",
        questions=ASKED[:1],
        frames=lambda q: cache.frames(video, 4096, (56, 56)),
        seed=0,
        on_prediction=found.append,
    )
    answer = loaded.answer(video, ASKED[0].question, ASKED[0].candidates)
    shares = torch.tensor(found[0].scores).softmax(0).tolist()
    assert answer.options == pytest.approx(shares, abs=1e-3)
    words = loaded.answer(video, ASKED[0].question)
    assert words.text in trained.tokenizer.get_vocab()


def test_all_weights_of_a_run_load_by_their_folder(video: Path, tmp_path: Path) -> None:
    trained = load_backbone(
        ModelConfig(base_model="tiny", tuning="full"),
        dtype=torch.float32,
        device="cpu",
        attention="sdpa",
    )
    with torch.no_grad():
        trained.base.lm_head.weight.mul_(0.5)
    trained.model.save_pretrained(tmp_path, save_original_format=False)
    same(trained, NTLBGVideoQA.from_pretrained(tmp_path, base="tiny", device=CPU), video)
    with pytest.raises(BackboneError, match="say which base model"):
        NTLBGVideoQA.from_pretrained(tmp_path, device=CPU)


def same(trained: Backbone, loaded: NTLBGVideoQA, video: Path) -> None:
    """`loaded` answers as `trained` does, and not as the base."""
    ask = (video, ASKED[0].question, ASKED[0].candidates)
    expected = NTLBGVideoQA(trained, default_config(trained)).answer(*ask).options
    base = NTLBGVideoQA.from_pretrained("tiny", device=CPU).answer(*ask).options
    assert loaded.answer(*ask).options == pytest.approx(expected, abs=1e-4)
    assert base != pytest.approx(expected, abs=1e-3)


def test_models_that_do_not_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "adapter_config.json").write_text("{}")
    for source, said in ((tmp_path, "do not say what their base model is"), ("a/b", "a/b")):
        with pytest.raises(BackboneError, match=said):
            NTLBGVideoQA.from_pretrained(source, device=CPU)


def test_a_learned_selection_without_a_selector_is_refused(tiny: Backbone) -> None:
    options: Config = default_config(tiny)
    options = replace(options, selection=replace(options.selection, query="learned"))
    with pytest.raises(ValueError, match="and the backbone has no selector"):
        NTLBGVideoQA.from_pretrained("tiny", config=options, device=CPU)
