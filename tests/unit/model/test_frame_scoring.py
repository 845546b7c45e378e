"""What selections look at: the backbone's blocks and words, CLIP and SigLIP, and the cache."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

from ntlbg_model.backbone.attention import available
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import Config, EvaluationConfig, ModelConfig, SelectionConfig, VideoConfig
from ntlbg_model.data.longvideobench import read_longvideobench
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.vocabulary import VOCABULARY
from ntlbg_model.data.needles.write import write_needles
from ntlbg_model.data.video import Frames, read_frames
from ntlbg_model.evaluation import evaluate, moment_recall
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.modeling.video_selection import VideoSelector
from ntlbg_model.records import Prediction, Question
from ntlbg_model.selection.image_text import EncoderError, load_encoder
from ntlbg_model.selection.scoring import FrameScorer, VideoCache
from ntlbg_model.selection.vision_blocks import (
    block_features,
    first_blocks,
    merged_tokens,
    small_pairs,
)
from ntlbg_model.selection.word_match import best_word, content_words, word_vectors
from ntlbg_model.training import QuestionSamples
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.runner.failures import classify
from tests.support.small_qwen import question

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@pytest.fixture
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (20, 56, 56, 3), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    config = ModelConfig(base_model="tiny", tuning="none")
    attention = available("sdpa")
    return load_backbone(config, dtype=torch.float32, device="cpu", attention=attention)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Question, Frames]]:
    """Questions about flashes in real MP4s, with the frames that were decoded."""
    folder = tmp_path_factory.mktemp("needles") / "clean"
    write_needles(NeedlesSpec(split="clean", videos=3, seed=5, resolution=112), folder)
    asked = [q for q in read_longvideobench(folder) if q.category == "attribute"]
    frames = {q.video_path: read_frames(q.video_path, None, (56, 56)) for q in asked}
    return [(q, frames[q.video_path]) for q in asked]


@pytest.fixture(params=["clip", "siglip"])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """Kind and folder of a small encoder with random weights and a word-level tokenizer."""
    words = {word: i for i, word in enumerate(("<pad>", "<end>", "<unk>", *VOCABULARY))}
    split = Tokenizer(WordLevel(words, unk_token="<unk>"))
    split.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=split, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    text = {**SMALL, "vocab_size": len(words), "max_position_embeddings": 8}
    text |= {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 0}
    vision = {**SMALL, "image_size": 28, "patch_size": 14}
    torch.manual_seed(0)
    if request.param == "clip":
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    else:
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    model.save_pretrained(tmp_path)
    return request.param, tmp_path


def test_similarity_to_the_question_finds_its_needle_in_a_real_video(
    tiny: Backbone, rendered: list[tuple[Question, Frames]]
):
    recalls = {}
    for method in ("clip_topk", "random"):
        config = SelectionConfig(method=method, similarity="backbone")
        selector = VideoSelector(VideoConfig(), config, 0, tiny)
        found = []
        for asked, frames in rendered:
            pixels = torch.from_numpy(frames.pixels)
            kept = selector.pairs(asked.video_id, pixels, asked.question).tolist()
            found.append(
                moment_recall(asked.positions, [2 * k + half for k in kept for half in (0, 1)])
            )
        recalls[method] = sum(found) / len(found)
    assert recalls["clip_topk"] >= recalls["random"] + 0.3


def test_pairs_with_the_named_shape_score_higher(
    tiny: Backbone, rendered: list[tuple[Question, Frames]]
):
    config = SelectionConfig(method="aks", similarity="backbone")
    scorer = FrameScorer(config, tiny)
    shares = []
    for asked, frames in rendered:
        pixels = torch.from_numpy(frames.pixels)
        scores = scorer.similarity(asked.video_id, pixels, asked.question)
        shown = torch.zeros(256, dtype=torch.bool)
        shown[[p // 2 for p in asked.positions]] = True
        shares.append(float((scores[shown][:, None] > scores[~shown]).float().mean()))
    assert sum(shares) / len(shares) > 0.8


def test_content_words():
    assert content_words("What colour is the star that flashed?") == ["colour", "star", "flashed"]
    assert content_words("Which is the star right after the star?") == ["star"]
    assert content_words("What is it?") == ["what", "is", "it"]


def test_word_vectors_are_the_embeddings_of_known_words(backbone: Backbone):
    rows = word_vectors(backbone, "is the star unheard?")
    table = backbone.base.get_input_embeddings().weight
    star = table[backbone.tokenizer.convert_tokens_to_ids("star")]
    assert rows.shape == (1, table.shape[1])
    assert torch.allclose(rows[0], star / star.norm(), atol=1e-6)


def test_the_best_word_of_the_best_token_counts():
    first, second = torch.eye(3)[:2]
    tokens = torch.zeros(4, 2, 3) + torch.tensor([0.0, 0.0, 1.0])
    tokens[1, 0] = 5 * first
    tokens[3, 1] = second
    scores = best_word(tokens, torch.stack((first, second)))
    assert scores.argsort(descending=True, stable=True)[:2].tolist() == [1, 3]
    assert float(scores[1]) == pytest.approx(float(scores[3]))
    assert best_word(tokens, torch.zeros(0, 3)).tolist() == [0.0] * 4


def test_all_blocks_are_the_tower_itself(backbone: Backbone, pixels: torch.Tensor):
    tokens = merged_tokens(backbone.visual, pixels)
    assert tokens.shape == (10, 4, 192) and tokens.dtype == torch.float16
    assert torch.equal(block_features(backbone.visual, pixels, 2), tokens.float().mean(dim=1))


def test_the_first_blocks_are_what_later_blocks_are_given(backbone: Backbone, pixels: torch.Tensor):
    given: list[torch.Tensor] = []
    hook = backbone.visual.blocks[1].register_forward_pre_hook(lambda _, x: given.append(x[0]))
    merged_tokens(backbone.visual, pixels)
    hook.remove()
    features = block_features(backbone.visual, pixels, 1)
    patches = given[0].view(10, 16, 128)
    means = patches.mean(dim=1)
    expected = means / (means - means.mean(0)).square().sum(1).mean().sqrt()
    assert features.shape == (10, 256)
    assert torch.allclose(features[:, :128], expected, atol=1e-4)


def test_first_blocks_leave_the_tower_as_it_was(backbone: Backbone, pixels: torch.Tensor):
    before = merged_tokens(backbone.visual, pixels)
    tower = first_blocks(backbone.visual, 1)
    assert len(tower.blocks) == 1 and len(backbone.visual.blocks) == 2
    assert tower.blocks[0] is backbone.visual.blocks[0]
    assert torch.equal(merged_tokens(backbone.visual, pixels), before)


def test_candidates_are_looked_at_in_low_resolution():
    frames = torch.zeros(4, 224, 100, 3, dtype=torch.uint8)
    frames[2:, :, 50:] = 200
    small = small_pairs(frames)
    assert small.shape == (2, 2, 112, 84, 3)
    assert int(small[0].max()) == 0
    assert (int(small[1, 0, 60, 10, 0]), int(small[1, 0, 60, 70, 0])) == (0, 200)


def test_an_image_and_text_encoder_compares_pairs_with_questions(
    encoder: tuple[str, Path], pixels: torch.Tensor
):
    kind, folder = encoder
    loaded = load_encoder(kind, str(folder), "cpu")
    text = loaded.text("what colour is the star that flashed and flashed and flashed again?")
    assert float(text.norm()) == pytest.approx(1)
    pairs = loaded.pairs(torch.cat((pixels, pixels[:1])))
    assert pairs.shape == (10, text.numel())
    alone = [loaded.pairs(torch.stack((pixels[i], pixels[i])))[0] for i in (6, 7)]
    assert float(pairs[3] @ text) == pytest.approx(
        float(alone[0] @ text + alone[1] @ text) / 2, abs=1e-5
    )


def test_frames_are_prepared_as_the_encoder_was_trained(
    encoder: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
):
    kind, folder = encoder
    loaded = load_encoder(kind, str(folder), "cpu")
    seen: list[torch.Tensor] = []
    stock = loaded.model.get_image_features
    monkeypatch.setattr(
        loaded.model,
        "get_image_features",
        lambda pixel_values: (seen.append(pixel_values), stock(pixel_values=pixel_values))[1],
    )
    loaded.pairs(torch.full((2, 56, 40, 3), 255, dtype=torch.uint8))
    assert seen[0].shape == (2, 3, 28, 28)
    expected = (1 - 0.48145466) / 0.26862954 if kind == "clip" else 1.0
    assert float(seen[0][0, 0].mean()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["clip_topk", "dpp", "kmeans"])
def test_selections_look_through_the_encoder(
    encoder: tuple[str, Path], pixels: torch.Tensor, method: str
):
    kind, folder = encoder
    config = SelectionConfig(method=method, features=kind, similarity=kind, encoder=str(folder))
    selector = VideoSelector(VideoConfig(num_representatives=8), config, 0)
    kept = selector.pairs("a", pixels, "what colour is the star?")
    assert kept.numel() == 4 and bool((kept.diff() > 0).all())


def test_an_encoder_that_cannot_be_loaded_is_the_user_s_to_mend(
    encoder: tuple[str, Path], tmp_path: Path
):
    kind, folder = encoder
    config = SelectionConfig(method="aks", encoder=str(tmp_path / "nowhere"))
    with pytest.raises(EncoderError, match=r"encoder '.*nowhere' cannot be loaded") as missing:
        VideoSelector(VideoConfig(), config, 0)
    other = "siglip" if kind == "clip" else "clip"
    with pytest.raises(EncoderError, match=f"is a '{kind}', not a '{other}'") as unlike:
        load_encoder(other, str(folder), "cpu")
    for caught in (missing, unlike):
        failure, line = classify(caught.value)
        assert failure == FailureClass.USER and line == str(caught.value) and "\n" not in line


def test_an_encoder_is_loaded_only_where_the_method_looks_through_it():
    config = SelectionConfig(method="uniform", features="clip", encoder="/nowhere")
    selector = VideoSelector(VideoConfig(), config, 0)
    assert selector.pairs("a", torch.zeros(64, 8, 8, 3, dtype=torch.uint8)).numel() == 8


def test_one_encoder_cannot_be_two():
    with pytest.raises(ValueError, match="encoder names one model"):
        SelectionConfig(features="siglip", similarity="clip", encoder="x")


def test_a_backbone_that_is_not_there_is_missed_at_once():
    with pytest.raises(ValueError, match="looks through the backbone"):
        FrameScorer(SelectionConfig(method="bolt", similarity="backbone"), None)


def test_a_second_question_looks_at_the_video_no_more(backbone: Backbone, pixels: torch.Tensor):
    config = SelectionConfig(method="dpp", features="pixels", similarity="backbone")
    selector = VideoSelector(VideoConfig(num_representatives=8), config, 0, backbone)
    calls: list[int] = []
    hook = backbone.visual.register_forward_hook(lambda *_: calls.append(1))
    star = selector.pairs("a", pixels, "what colour is the star that flashed?")
    moon = selector.pairs("a", pixels, "what colour is the moon that flashed?")
    assert len(calls) == 1 and not torch.equal(star, moon)
    assert selector.pairs("a", pixels, "what colour is the star that flashed?") is star
    selector.pairs("b", pixels, "what colour is the star that flashed?")
    hook.remove()
    assert len(calls) == 2


def test_one_choice_serves_all_questions_where_none_is_looked_at(pixels: torch.Tensor):
    selector = VideoSelector(
        VideoConfig(num_representatives=8), SelectionConfig(method="kmeans"), 0
    )
    assert selector.pairs("a", pixels, "one?") is selector.pairs("a", pixels, "another?")


def test_the_cache_forgets_the_video_not_seen_for_longest():
    made: list[str] = []

    def compute(name: str) -> Callable[[], torch.Tensor]:
        return lambda: (made.append(name), torch.zeros(10))[1]

    cache = VideoCache(most_bytes=80)
    for name in "abacab":
        cache.get((name, "tokens"), compute(name))
    assert made == ["a", "b", "c", "b"]
    small = VideoCache(most_bytes=0)
    assert small.get(("a", "tokens"), compute("big")) is small.get(("a", "tokens"), compute("big"))


def test_training_sees_the_frames_chosen_for_each_question(
    backbone: Backbone, frames: Callable[[Question], Frames]
):
    config = Config(
        video=VideoConfig(num_representatives=8, frame_resolution=(28, 28)),
        selection=SelectionConfig(method="aks", similarity="backbone"),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
    asked = [question(0, "v"), question(1, "v", text="what colour is the moon that flashed?")]
    samples = QuestionSamples(config, backbone, asked, frames, seed=0)
    star, moon = samples[0], samples[1]
    assert not torch.equal(star.pairs, moon.pairs)
    shown = torch.from_numpy(frames(asked[0]).pixels)
    assert torch.equal(star.pixels[:, 1], shown[2 * star.pairs + 1])


@pytest.mark.parametrize("method", ["clip_topk", "aks", "bolt", "q_frame", "dpp"])
def test_questions_about_one_video_see_different_frames(
    method: str, backbone: Backbone, frames: Callable[[Question], Frames]
):
    config = Config(
        video=VideoConfig(num_representatives=8, frame_resolution=(28, 28)),
        selection=SelectionConfig(method=method, features="backbone", similarity="backbone"),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
    asked = [
        question(i, "v", text=f"what colour is the {shape} that flashed?")
        for i, shape in enumerate(("star", "moon", "ring"))
    ]
    found: list[Prediction] = []
    evaluate(
        config,
        backbone=backbone,
        dataset="set",
        questions=asked,
        frames=frames,
        seed=1,
        on_prediction=found.append,
    )
    assert [row.failure for row in found] == [None] * 3
    assert [len(row.frames) for row in found] == [8] * 3
    assert len({row.frames for row in found}) > 1
