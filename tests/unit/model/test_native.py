"""Published video models answer through their own class over the frames that we choose."""

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from ntlbg_model.backbone.model import BackboneError
from ntlbg_model.config import (
    Architecture,
    Config,
    EvaluationConfig,
    ModelConfig,
    RichPointsConfig,
    SelectionConfig,
    TemporalConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.data.longvideobench import read_longvideobench
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.write import write_needles
from ntlbg_model.data.video import FrameCache
from ntlbg_model.evaluation import evaluate
from ntlbg_model.footprint import Step, load_of, run_footprint
from ntlbg_model.geometry.published_size import video_size
from ntlbg_model.modeling.load import load_backbone, load_variant
from ntlbg_model.published_models.dynamic import DynamicModel
from ntlbg_model.published_models.frames import transform_of
from ntlbg_model.published_models.instructblip_video import InstructBlipVideo
from ntlbg_model.published_models.llava import Llava
from ntlbg_model.published_models.load import CLASSES
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Prediction
from tests.support.small_native import BILLIONS, DEVIATION, MEAN, SIDES, save_native
from tests.support.small_qwen import question

NATIVE: tuple[Architecture, ...] = tuple(CLASSES)
PUBLISHED = {
    "llava_onevision": (196, 1),
    "llava_next_video": (144, 0),
    "video_llava": (257, 0),
    "instructblipvideo": (32, 0),
    "video_llama_3": (16, 0),
    "qwen3_vl": (2, 0),
}
"""Tokens of a frame, and tokens after the last (facts of the papers and of the released code);
those of the last two are of a frame as small as these."""


def options(source: Path | str, architecture: Architecture, **model: object) -> Config:
    return Config(
        video=VideoConfig(num_representatives=8, frame_resolution=(56, 56)),
        selection=SelectionConfig(method="uniform"),
        model=ModelConfig(
            **{
                "base_model": str(source),
                "architecture": architecture,
                "tuning": "none",
                "billion_parameters": BILLIONS,
            }
            | model
        ),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
        evaluation=EvaluationConfig(batch_size=3),
    )


def load(config: Config, copy: str | None = None) -> NativeModel:
    found = load_variant(
        config, dtype=torch.float32, device="cpu", attention="sdpa", seed=0, copy=copy
    )
    assert isinstance(found, NativeModel)
    return found


@pytest.fixture(scope="module", params=NATIVE)
def native(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NativeModel:
    architecture: Architecture = request.param
    folder = save_native(architecture, tmp_path_factory.mktemp(architecture))
    return load(options(folder, architecture))


def sample(native: NativeModel, number: int, pairs: int, text: str = "what colour is the star?"):
    drawn = np.random.default_rng(number).integers(0, 256, (24, 56, 56, 3), np.uint8)
    drawn[3:9, :, 28:] = drawn[2, :, 28:]
    shown = question(number, text=text), torch.from_numpy(drawn), torch.arange(24) / 2
    return native.sample(*shown, torch.arange(pairs), "letters")


def stock_inputs(native: NativeModel, asked: NativeSample) -> dict[str, torch.Tensor]:
    """What the class's own forward is given for the same question."""
    ids = asked.token_ids(native.model.config.video_token_id).unsqueeze(0)
    if isinstance(native, Llava):
        values = native.transform(asked.frames)
        return {"input_ids": ids, "pixel_values_videos": values.unsqueeze(0)}
    if isinstance(native, InstructBlipVideo):
        values = native.transform(asked.frames)
        reading = torch.tensor([asked.reading])
        return {
            "input_ids": ids,
            "pixel_values": values.unsqueeze(0),
            "qformer_input_ids": reading,
        }
    assert isinstance(native, DynamicModel)
    patches, grid = native.tower_inputs(asked.frames)
    found = {"input_ids": ids, "pixel_values_videos": patches, "video_grid_thw": grid}
    if asked.kept is None:
        return found | {"mm_token_type_ids": (ids == native.model.config.video_token_id).int() * 2}
    merged = torch.tensor([2])
    return found | {"video_merge_sizes": merged, "video_compression_mask": asked.kept}


def test_a_frame_costs_what_was_published(native: NativeModel):
    each, closing = PUBLISHED[native.architecture]
    asked = sample(native, 0, 1)
    assert asked.video_tokens == 2 * each + closing == native.features(asked).shape[0]
    assert video_size(native.architecture, 2, (56, 56)).tokens == asked.video_tokens


def test_logits_are_those_of_the_stock_forward(native: NativeModel):
    asked = [sample(native, 0, 1), sample(native, 1, 9, "what colour is the small round star?")]
    found = native.logits(asked)
    for one, row in zip(asked, found, strict=True):
        with torch.no_grad():
            stock = native.model(**stock_inputs(native, one)).logits[0, -1]
        torch.testing.assert_close(row, stock, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_cards_without_flash_attention_answer_the_same(native: NativeModel, tmp_path: Path):
    folder = save_native(native.architecture, tmp_path)
    config = options(folder, native.architecture)
    old = load_variant(config, dtype=torch.float32, device="cpu", attention="sdpa_repeated", seed=0)
    assert isinstance(old, NativeModel)
    asked = [sample(native, 0, 2)]
    torch.testing.assert_close(old.logits(asked), native.logits(asked), rtol=1e-4, atol=1e-4)


def test_a_copy_of_a_checkpoint_is_the_checkpoint(native: NativeModel, tmp_path: Path):
    folder = save_native(native.architecture, tmp_path)
    copied = load(options(Path("kept/elsewhere"), native.architecture), copy=str(folder))
    asked = [sample(native, 0, 1)]
    torch.testing.assert_close(copied.logits(asked), native.logits(asked))


def test_a_rendered_video_is_answered(native: NativeModel, tmp_path: Path):
    write_needles(NeedlesSpec(split="clean", videos=1, seed=5, resolution=56), tmp_path / "set")
    asked = read_longvideobench(tmp_path / "set", None)
    config = options("", native.architecture, base_model="kept elsewhere")
    cache = FrameCache(tmp_path / "cache")
    found: list[Prediction] = []
    evaluate(
        config,
        backbone=native,
        dataset="set",
        questions=asked,
        frames=lambda one: cache.frames(one.video_path, 4096, config.video.frame_resolution),
        seed=1,
        on_prediction=found.append,
    )
    each, closing = PUBLISHED[native.architecture]
    assert [row.question_id for row in found] == [one.question_id for one in asked]
    for row, one in zip(found, asked, strict=True):
        assert row.failure is None and len(row.frames) == 8
        assert row.visual_tokens <= 8 * each + closing
        assert row.visual_tokens == 8 * each + closing or native.architecture == "video_llama_3"
        assert row.answer == max(range(len(one.candidates)), key=row.scores.__getitem__)


def test_the_prompt_is_the_checkpoint_s_own(tmp_path: Path):
    folder = save_native("llava_next_video", tmp_path)
    plain = load(options(folder, "llava_next_video"))
    template = (
        "{{ bos_token }}Q {% for part in messages[0]['content'] %}"
        "{% if part['type'] == 'video' %}<video>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %} Reply{% endif %}"
    )
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    own = load(options(folder, "llava_next_video"))
    words = plain.tokenizer
    prompts = [sample(model, 0, 1, "which?").prompt for model in (plain, own)]
    assert words.decode(prompts[0].before) == "<s>USER: "
    assert words.decode(prompts[0].after).startswith("\nwhich?\nA. red")
    assert words.decode(prompts[0].after).endswith(" ASSISTANT:")
    assert words.decode(prompts[1].before) == "<s>Q "
    assert words.decode(prompts[1].after).endswith(" Reply")
    assert words.batch_decode([[token] for token in prompts[0].options]) == [
        " A",
        " B",
        " C",
        " D",
        " E",
    ]


def test_what_cannot_be_asked_is_named(native: NativeModel):
    if native.VIDEO is None:  # The video has no word, so that any may be asked about.
        assert sample(native, 0, 1, "is <video> a word?").prompt.before == ()
        return
    with pytest.raises(ValueError, match=f"holds {re.escape(native.VIDEO)}, which is the video's"):
        sample(native, 0, 1, f"is {native.VIDEO} a word?")


def test_a_template_without_a_place_for_a_video_is_named(tmp_path: Path):
    folder = save_native("video_llava", tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'][1]['text'] }}")
    with pytest.raises(ValueError, match="chat template has no <video> for a video"):
        sample(load(options(folder, "video_llava")), 0, 1)


def test_frames_are_those_of_the_stock_processor():
    side = SIDES["video_llava"]
    numbers = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "image_mean": MEAN,
        "image_std": DEVIATION,
    }
    frames = np.random.default_rng(0).integers(0, 256, (2, 112, 168, 3), np.uint8)
    smooth = np.repeat(np.repeat(frames[:, ::8, ::8], 8, axis=1), 8, axis=2)
    stock = CLIPImageProcessorPil(**numbers, resample=3)
    wanted = stock(list(smooth), return_tensors="pt")["pixel_values"]
    transform = transform_of(numbers)
    found = transform(torch.from_numpy(smooth))
    assert transform.output(112, 168) == (side, side) == tuple(found.shape[2:])
    level = 1 / 255 / min(DEVIATION)
    assert float((found - wanted).abs().max()) <= 1.01 * level


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 224}, "neither a shape nor a side"),
        ({"resample": 1}, "not one of 2 and 3"),
    ],
)
def test_unknown_preprocessing_is_refused(tmp_path: Path, changed: dict, message: str):
    folder = save_native("video_llava", tmp_path, **changed)
    with pytest.raises(BackboneError, match=message):
        load(options(folder, "video_llava"))


def test_frames_that_do_not_become_square_fail_their_question(tmp_path: Path):
    folder = save_native("video_llava", tmp_path, size={"shortest_edge": 224})
    native = load(options(folder, "video_llava"))
    wide = torch.zeros(4, 28, 56, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="become 224 x 448, and the vision tower takes 224 x 224"):
        native.sample(question(0), wide, torch.arange(4), torch.arange(2), "letters")


def test_other_types_are_refused_by_name(tmp_path: Path):
    folder = save_native("video_llava", tmp_path)
    with pytest.raises(BackboneError, match="is a 'video_llava', not the 'llava_onevision'"):
        load(options(folder, "llava_onevision"))
    plain = ModelConfig(base_model=str(folder), tuning="none")
    with pytest.raises(BackboneError, match=r"model\.architecture 'video_llava' evaluates it"):
        load_backbone(plain, dtype=torch.float32, device="cpu", attention="sdpa")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BackboneError, match="no adapter; supported types: qwen2_vl, llava_onevi"):
        load_backbone(plain, dtype=torch.float32, device="cpu", attention="sdpa")
    assert set(get_args(Architecture)) == {"qwen2_vl", *CLASSES}


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path):
    folder = save_native("video_llava", tmp_path)
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(written | {"video_token_index": 3}))
    with pytest.raises(BackboneError, match="<video> is not the video's token"):
        load(options(folder, "video_llava"))


def test_a_checkpoint_larger_than_declared_is_refused(tmp_path: Path):
    folder = save_native("video_llava", tmp_path)
    with pytest.raises(BackboneError, match=r"with model\.billion_parameters 1e-06"):
        load(options(folder, "video_llava", billion_parameters=1e-6))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tuning": "lora"}, "tuning must be 'none'"),
        ({"reducer": "pllava"}, "reducer must be 'qwen2_vl'"),
        ({"rich_points": RichPointsConfig(enabled=True)}, "rich_points.enabled must be false"),
        ({"temporal": TemporalConfig(layers=2)}, "temporal.layers must be 0"),
        ({"billion_parameters": None}, "billion_parameters must say how large"),
    ],
)
def test_a_published_model_is_evaluated_as_it_is(changed: dict, message: str):
    with pytest.raises(ValueError, match=message):
        options("some/name", "video_llava", **changed)


@pytest.mark.parametrize("option", ["features", "similarity"])
def test_nothing_looks_through_a_published_model(option: str):
    config = options("some/name", "video_llava")
    with pytest.raises(ValueError, match=rf"selection\.{option} 'backbone' needs"):
        Config(
            model=config.model,
            training=config.training,
            selection=SelectionConfig(**{option: "backbone"}),
        )


def test_memory_is_predicted_from_the_declared_size():
    config = options("some/name", "llava_onevision", billion_parameters=8.0)
    assert load_of(config).visual_tokens == 8 * 196 + 1
    found, wider = (
        run_footprint(one, Step(precision="bf16", attention="sdpa", checkpointing=False))
        for one in (config, options("n", "llava_onevision", billion_parameters=64.0))
    )
    assert found.parameters == pytest.approx(16e9 / 1024**3)
    assert found.optimizer == found.gradients == 0 and not found.traced
    assert wider.parameters == pytest.approx(8 * found.parameters)
    assert found.activations < wider.activations < 2 * found.activations
