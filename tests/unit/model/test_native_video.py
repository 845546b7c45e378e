"""InstructBLIP and VideoLLaMA 3 prepare frames and words as transformers' own processors do."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BatchFeature,
    InstructBlipVideoProcessor,
    Qwen3VLProcessor,
    T5Config,
    VideoLlama3Processor,
)
from transformers.models.video_llama_3.image_processing_pil_video_llama_3 import (
    VideoLlama3ImageProcessorPil,
)
from transformers.video_utils import VideoMetadata

from ntlbg_model.backbone.model import BackboneError
from ntlbg_model.config import Architecture, Config, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import Step, load_of, run_footprint
from ntlbg_model.geometry.pixel_limits import PairPixelLimits, PixelLimits
from ntlbg_model.geometry.published_size import PIXELS, architecture_of, video_size
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.published_models import instructblip_video, qwen3_vl, video_llama3
from ntlbg_model.published_models.dynamic import DynamicModel, pixel_limits
from ntlbg_model.published_models.load import load_native
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.prompt import spoken
from ntlbg_model.published_models.video_llama3 import changed
from tests.support.small_native import BILLIONS, save_native
from tests.support.small_qwen import question
from tests.support.stock_source import stock_function

KINDS: tuple[Architecture, ...] = ("instructblipvideo", "video_llama_3", "qwen3_vl")
DYNAMIC: tuple[Architecture, ...] = tuple(PIXELS)
FILES = {
    "video_llama_3": ("video_llama_3", "video_processing_video_llama_3"),
    "qwen3_vl": ("qwen3_vl", "video_processing_qwen3_vl"),
}
"""Where transformers prepares the videos of each."""
WIDE = {"size": {"shortest_edge": 12544, "longest_edge": 40 * 28**2}}


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> qwen3_vl.Qwen3Vl:
    found = load(save_native("qwen3_vl", tmp_path_factory.mktemp("q")), "qwen3_vl")
    assert isinstance(found, qwen3_vl.Qwen3Vl)
    return found


def load(folder: Path, architecture: Architecture, **options: object) -> NativeModel:
    config = ModelConfig(
        base_model=str(folder),
        architecture=architecture,
        tuning="none",
        billion_parameters=BILLIONS,
    )
    how = {"dtype": torch.float32, "device": "cpu", "attention": "sdpa"} | options
    return load_native(config, **how)


@pytest.fixture(scope="module", params=KINDS)
def native(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NativeModel:
    kind: Architecture = request.param
    return load(save_native(kind, tmp_path_factory.mktemp(kind)), kind)


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> instructblip_video.InstructBlipVideo:
    found = load(save_native("instructblipvideo", tmp_path_factory.mktemp("b")), KINDS[0])
    assert isinstance(found, instructblip_video.InstructBlipVideo)
    return found


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> video_llama3.VideoLlama3:
    found = load(save_native("video_llama_3", tmp_path_factory.mktemp("v")), KINDS[1])
    assert isinstance(found, video_llama3.VideoLlama3)
    return found


@pytest.fixture(scope="module", params=DYNAMIC)
def dynamic(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> DynamicModel:
    kind: Architecture = request.param
    found = load(save_native(kind, tmp_path_factory.mktemp(kind)), kind)
    assert isinstance(found, DynamicModel)
    return found


def video_file(dynamic: DynamicModel) -> tuple[str, str]:
    return FILES[dynamic.architecture]


def clip(number: int, frames: int, height: int = 56, width: int = 56) -> torch.Tensor:
    """Noise, the right third of which stands still from the second frame on."""
    drawn = np.random.default_rng(number).integers(0, 256, (frames, height, width, 3), np.uint8)
    drawn[2:, :, -width // 3 :] = drawn[1:2, :, -width // 3 :]
    return torch.from_numpy(drawn)


def asked(native: NativeModel, number: int, frames: int, text: str = "what colour is it?"):
    times = torch.arange(frames) * 1.37
    return native.ask(question(number, text=text), clip(number, frames), times, "letters")


def test_a_batch_answers_as_single_questions_do(native: NativeModel):
    several = [asked(native, 0, 2), asked(native, 1, 6, "what is it that flashed?")]
    together = native.logits(several)
    alone = torch.cat([native.logits([one]) for one in several])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_frames_in_parts_are_as_frames_at_once(
    native: NativeModel, monkeypatch: pytest.MonkeyPatch
):
    one = asked(native, 3, 10)
    module = sys.modules[type(native).__module__]
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 64)
    whole = native.features(one)
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 4)
    torch.testing.assert_close(native.features(one), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_answers(kind: Architecture, tmp_path: Path):
    folder = save_native(kind, tmp_path)
    narrow, wide = load(folder, kind, dtype=torch.bfloat16), load(folder, kind)
    found, exact = (model.logits([asked(model, 0, 4)]) for model in (narrow, wide))
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, exact).item() > 0.99


def test_the_question_is_read_as_the_stock_processor_reads_it(
    blip: instructblip_video.InstructBlipVideo,
):
    one = asked(blip, 0, 4)
    stock = object.__new__(InstructBlipVideoProcessor)
    stock.tokenizer, stock.qformer_tokenizer = blip.tokenizer, blip.questions
    stock.video_token, stock.num_query_tokens = SimpleNamespace(content="<video>"), 32
    stock.video_processor = lambda frames, return_tensors: BatchFeature(
        {"pixel_values": blip.transform(frames).unsqueeze(0)}
    )
    text = spoken(question(0, text="what colour is it?"), blip.tokenizer, "letters", blip.words)
    found = stock(images=one.frames, text=text, return_tensors="pt")
    assert found["input_ids"].tolist() == [one.token_ids(blip.model.config.video_token_id).tolist()]
    assert found["qformer_input_ids"].tolist() == [list(one.reading)]
    with torch.no_grad():
        logits = blip.model(**found).logits[0, -1]
    torch.testing.assert_close(blip.logits([one])[0], logits, rtol=1e-4, atol=1e-4)


def test_the_q_former_reads_the_question(blip: instructblip_video.InstructBlipVideo):
    one, other = (
        blip.ask(question(0, text=text), clip(0, 2), torch.zeros(2), "letters")
        for text in ("what colour is it?", "which star flashed?")
    )
    assert not torch.allclose(blip.features(one), blip.features(other), atol=1e-3)


def test_a_question_longer_than_the_q_former_is_cut(blip: instructblip_video.InstructBlipVideo):
    one = asked(blip, 0, 2, "what colour is the star? " * 200)
    assert len(one.reading) == blip.model.config.qformer_config.max_position_embeddings
    assert len(one.prompt.after) > len(one.reading)
    assert blip.logits([one]).isfinite().all()


def test_checkpoints_for_images_are_read_as_video(tmp_path: Path):
    folder = save_native("instructblipvideo", tmp_path)
    own = load(folder, "instructblipvideo").logits([asked(load(folder, KINDS[0]), 0, 2)])
    written = json.loads((folder / "config.json").read_text())
    del written["video_token_index"]
    written |= {"model_type": "instructblip", "architectures": ["InstructBlipForConditional"]}
    written["vision_config"]["model_type"] = "instructblip_vision_model"
    written["qformer_config"]["model_type"] = "instructblip_qformer"
    (folder / "config.json").write_text(json.dumps(written))
    image = load(folder, "instructblipvideo")
    torch.testing.assert_close(image.logits([asked(image, 0, 2)]), own)
    plain = ModelConfig(base_model=str(folder), tuning="none")
    with pytest.raises(BackboneError, match=r"model\.architecture 'instructblipvideo' evaluates"):
        load_backbone(plain, dtype=torch.float32, device="cpu", attention="sdpa")
    assert architecture_of("instructblip") == "instructblipvideo"


def test_a_language_model_with_an_encoder_is_refused(tmp_path: Path):
    folder = save_native("instructblipvideo", tmp_path)
    written = json.loads((folder / "config.json").read_text())
    narrow = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 1, "num_heads": 2}
    written["text_config"] = T5Config(**narrow, vocab_size=600).to_dict()
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(BackboneError, match="its language model 't5' has an encoder"):
        load(folder, "instructblipvideo")


def test_a_checkpoint_without_a_q_former_s_tokenizer_is_refused(tmp_path: Path):
    folder = save_native("instructblipvideo", tmp_path)
    for file in (folder / instructblip_video.QUESTIONS).iterdir():
        file.unlink()
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load(folder, "instructblipvideo")


def test_times_are_written_between_frames(llama: video_llama3.VideoLlama3):
    one = asked(llama, 0, 3)
    decode = llama.tokenizer.decode
    assert decode(one.prompt.before).endswith("<|im_start|>user\nTime 0.0s:")
    assert [decode(words) for words in one.between] == [",Time 1.4s:", ",Time 2.7s:"]
    assert decode(one.prompt.after).startswith("\nwhat colour is it?\nA. red")
    assert decode(one.prompt.after).endswith("<|im_end|>\n<|im_start|>assistant\n")


def test_words_are_those_of_the_stock_processor(llama: video_llama3.VideoLlama3):
    one = asked(llama, 4, 6)
    assert one.kept is not None and 0 < one.kept.sum() < one.kept.numel()
    _, _, height, width = one.frames.shape
    inputs = {
        "video_grid_thw": torch.tensor([[6, height // 14, width // 14]]),
        "video_merge_sizes": torch.tensor([2]),
        "video_compression_mask": one.kept,
        "video_metadata": [
            VideoMetadata(total_num_frames=6, fps=1 / 1.37, frames_indices=list(range(6)))
        ],
    }
    shown = VideoLlama3Processor.replace_video_token(
        SimpleNamespace(video_token=llama.VIDEO), inputs, 0
    )
    whole = spoken(question(4, text="what colour is it?"), llama.tokenizer, "letters", llama.words)
    ids = llama.tokenizer.encode(whole.replace(llama.VIDEO, shown))
    assert ids == one.token_ids(llama.model.config.video_token_id).tolist()


def test_tokens_are_those_of_the_stock_processor(dynamic: DynamicModel):
    values = dynamic.resized(clip(5, 6))
    patchify = stock_function(*video_file(dynamic), "patchify")
    limits = dynamic.limits
    patches, *grid = patchify(None, values.unsqueeze(0), limits.PATCH, 2, limits.TOGETHER)
    found, places = dynamic.tower_inputs(values)
    assert torch.equal(found, patches[0])
    assert places.tolist() == [grid]


def test_pruning_is_that_of_the_stock_processor(llama: video_llama3.VideoLlama3):
    one = asked(llama, 5, 7)
    prune = stock_function(*video_file(llama), "_get_compression_mask")
    kept = prune(None, *llama.tower_inputs(one.frames), torch.tensor([2]))
    assert torch.equal(kept, one.kept)


@given(
    height=st.integers(11, 2000),
    width=st.integers(11, 2000),
    pairs=st.integers(1, 256),
    least=st.integers(1, 256),
    most=st.integers(256, 20000),
)
def test_shapes_are_those_of_the_stock_processors(
    height: int, width: int, pairs: int, least: int, most: int
):
    llama = PixelLimits(least=least * 28**2, most=most * 28**2)
    down, across = llama.cells(pairs, height, width)
    resize = stock_function(*FILES["video_llama_3"], "smart_resize")
    wanted = resize(height, width, 28, llama.least, llama.most // pairs)
    assert (down * 28, across * 28) == wanted
    qwen = PairPixelLimits(least=least * 32**2, most=most * 32**2)
    down, across = qwen.cells(2 * pairs, height, width)
    resize = stock_function(*FILES["qwen3_vl"], "smart_resize")
    wanted = resize(2 * pairs, height, width, 2, 32, qwen.least, qwen.most)
    assert (down * 32, across * 32) == wanted


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6), st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_what_stands_still_costs_one_token_a_frame(seed: int, side: int, repeats: list[int]):
    scenes = torch.rand(len(repeats), side**2, 12, generator=torch.manual_seed(seed))
    kept = changed(scenes.repeat_interleave(torch.tensor(repeats), 0))
    firsts = torch.tensor([at == 0 for many in repeats for at in range(many)])
    assert kept[firsts].all()
    assert (kept[~firsts].sum(1) == 1).all() and kept[:, 0].all()


def test_a_frame_is_that_of_the_stock_image_processor(llama: video_llama3.VideoLlama3):
    smooth = clip(0, 1, 16, 20).repeat_interleave(8, 1).repeat_interleave(8, 2)
    stock = VideoLlama3ImageProcessorPil(
        size={"shortest_edge": 12544, "longest_edge": 12845056},
        merge_size=2,
        resample=3,
        image_mean=list(llama.transform.mean),
        image_std=list(llama.transform.deviation),
    )
    found = stock(list(smooth.numpy()), return_tensors="pt")["pixel_values"]
    times = torch.zeros(1)
    ours, _ = llama.tower_inputs(llama.ask(question(0), smooth, times, "letters").frames)
    assert ours.shape == found.shape
    level = 1 / 255 / min(llama.transform.deviation)
    away = (ours - found).abs()
    assert float(away.max()) <= 2.01 * level
    assert float((away > 0.5 * level).float().mean()) < 0.01


def test_frames_of_any_shape_share_the_video_s_pixels(tmp_path: Path):
    narrow = load(save_native("video_llama_3", tmp_path, **WIDE), "video_llama_3")
    one = narrow.ask(question(0), clip(0, 2, 112, 280), torch.zeros(2), "letters")
    assert one.frames.shape[2:] == (2 * 28, 7 * 28)
    assert one.runs[0] == 14 and narrow.features(one).shape[0] == one.video_tokens
    assert narrow.logits([one]).isfinite().all()


def test_without_pruning_every_token_stays(tmp_path: Path):
    whole = load(
        save_native("video_llama_3", tmp_path, use_token_compression=False), "video_llama_3"
    )
    assert asked(whole, 0, 5).runs == (16,) * 5


@pytest.mark.parametrize("name", ["patch_size", "merge_size", "temporal_patch_size"])
@pytest.mark.parametrize("kind", DYNAMIC)
def test_numbers_of_other_tokens_are_refused(kind: Architecture, name: str, tmp_path: Path):
    folder = save_native(kind, tmp_path, **{name: 7})
    with pytest.raises(BackboneError, match=f"{name} 7 of a video's preprocessing is not"):
        load(folder, kind)


def test_pairs_are_told_as_the_stock_processor_tells_them(qwen: qwen3_vl.Qwen3Vl):
    one = asked(qwen, 4, 6)
    stock = object.__new__(Qwen3VLProcessor)
    stock.video_processor = SimpleNamespace(merge_size=2, temporal_patch_size=2)
    stock.video_token, stock.video_token_id = qwen.VIDEO, qwen.model.config.video_token_id
    stock.vision_start_token, stock.vision_end_token = "<|vision_start|>", "<|vision_end|>"
    inputs = {
        "video_grid_thw": torch.tensor([qwen.grid(one.frames)]),
        "video_metadata": [
            VideoMetadata(total_num_frames=6, fps=1 / 1.37, frames_indices=list(range(6)))
        ],
    }
    whole = spoken(question(4, text="what colour is it?"), qwen.tokenizer, "letters", qwen.words)
    whole = whole.replace(qwen.VIDEO, stock.replace_video_token(inputs, 0))
    assert qwen.tokenizer.encode(whole) == one.token_ids(stock.video_token_id).tolist()
    assert qwen.tokenizer.decode(one.between[0]) == "<|vision_end|><3.4 seconds><|vision_start|>"


def test_the_language_model_sees_what_the_tower_passes_on(
    qwen: qwen3_vl.Qwen3Vl, monkeypatch: pytest.MonkeyPatch
):
    one = asked(qwen, 0, 4)
    whole = qwen.logits([one])
    width = qwen.model.config.text_config.hidden_size
    features = qwen.features(one)
    assert features.shape[-1] == 3 * width
    features[:, width:] = 0
    monkeypatch.setattr(qwen3_vl.Qwen3Vl, "features", lambda self, sample: features)
    assert not torch.allclose(qwen.logits([one]), whole, atol=1e-2)


def test_limits_are_read_under_both_names():
    old = pixel_limits({"min_pixels": 784, "max_pixels": 78400}, PixelLimits)
    new = pixel_limits({"size": {"shortest_edge": 784, "longest_edge": 78400}}, PixelLimits)
    assert old == new == PixelLimits(least=784, most=78400)
    assert pixel_limits({}, PairPixelLimits) == PairPixelLimits()


@pytest.mark.parametrize(
    ("architecture", "resolution", "tokens"),
    [
        ("instructblipvideo", (224, 224), 32 * 32),
        ("video_llama_3", (224, 224), 32 * 64),
        ("video_llama_3", (392, 560), 32 * 14 * 20),
        ("video_llama_3", (1120, 1120), 32 * 22 * 22),
        ("qwen3_vl", (224, 224), 16 * 49),
        ("qwen3_vl", (392, 616), 16 * 12 * 19),
        ("qwen3_vl", (1120, 1120), 16 * 27 * 27),
    ],
)
def test_memory_goes_with_what_a_frame_costs(
    architecture: Architecture, resolution: tuple[int, int], tokens: int
):
    config = Config(
        video=VideoConfig(num_representatives=32, frame_resolution=resolution),
        model=ModelConfig(
            base_model="some/name",
            architecture=architecture,
            tuning="none",
            billion_parameters=7.9,
        ),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
    )
    load = load_of(config)
    size = video_size(architecture, 32, resolution)
    assert load.visual_tokens == tokens == size.tokens
    assert load.tokens - load.visual_tokens >= size.words
    step = Step(precision="bf16", attention="sdpa", checkpointing=False)
    found = run_footprint(config, step)
    assert found.parameters == pytest.approx(15.8e9 / 1024**3)
    assert found.activations > 0 and found.optimizer == 0
