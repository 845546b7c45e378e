"""How the tiny base is made, and that the one in the package can do what its card says."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.model import TINY, Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.data.needles.plan import NeedlesSpec, VideoPlan
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.vocabulary import HELD_OUT, VOCABULARY
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.tiny_base import architecture, vision_stage
from ntlbg_model.tiny_base.build import BuildRecipe, build
from ntlbg_model.tiny_base.examples import (
    SELECTIONS,
    Asker,
    TrainingVideo,
    excerpt,
    selected,
    training_video,
)
from ntlbg_model.tiny_base.footage import degrade, frame_pairs, training_plan, with_glitches
from ntlbg_model.tiny_base.measure import measure
from ntlbg_model.tiny_base.packing import PackedVideo, packed_logits
from ntlbg_model.tiny_base.reader_stage import ReaderStage


@pytest.fixture(scope="module")
def plan() -> VideoPlan:
    return training_plan(1, 3, 10)


@pytest.fixture(scope="module")
def pairs(plan: VideoPlan) -> torch.Tensor:
    return frame_pairs(plan)


@pytest.fixture
def video(plan: VideoPlan, pairs: torch.Tensor, backbone: Backbone) -> TrainingVideo:
    return training_video(plan, pairs, backbone.visual, backbone.tokenizer, 32)


def test_every_word_is_a_token():
    tokenizer = architecture.tokenizer()
    assert len(tokenizer) <= architecture.WORDS
    for word in VOCABULARY:
        ids = tokenizer.encode(word, add_special_tokens=False)
        assert tokenizer.convert_ids_to_tokens(ids) == [word]


def test_packed_questions_answer_as_separate_prompts(
    plan: VideoPlan, pairs: torch.Tensor, video: TrainingVideo, backbone: Backbone
):
    kept = torch.tensor([3, 40, 41, 200])
    samples = [
        Sample(
            prompt=build_prompt(q, backbone.tokenizer, "option_words"),
            pixels=pairs[kept],
            pairs=kept,
            answer=q.answer,
        )
        for q in questions(plan)
    ]
    packed = PackedVideo(features=video.features[kept].float(), pairs=kept, asks=video.asks)
    with torch.no_grad():
        apart = answer_logits(backbone, collate(samples, backbone.video_token))
        together, right = packed_logits(backbone.base, [packed])
    assert torch.allclose(together, apart, atol=2e-2)  # features are stored in half precision
    assert right.tolist() == [s.prompt.options[s.answer] for s in samples]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_selections_of_the_mixture_keep_the_budget(video: TrainingVideo, selection: str):
    kept = selected(video, selection, 32, seed=1).tolist()
    assert kept == sorted(set(kept)) and len(kept) == 32
    if selection == "oracle":
        assert {p for flash in video.flashes for p in flash.pairs} <= set(kept)


def test_excerpts_ask_what_is_true_of_them(video: TrainingVideo):
    tokenizer = architecture.tokenizer()
    rng = random.Random(0)
    for _ in range(20):
        part = excerpt(video, 16, Asker(tokenizer), rng)
        kept = set(part.pairs.tolist())
        shown = [flash for flash in video.flashes if set(flash.pairs) <= kept]
        names = [flash.shape for flash in shown]
        for ask in part.asks:
            text = tokenizer.decode(ask.after)
            answer = tokenizer.convert_ids_to_tokens(ask.answer)
            if ask.category == "attribute":
                assert any(f.shape in text and f.colour == answer for f in shown)
            if ask.category == "order":
                following = [b for a, b in pairwise(names) if a in text]
                assert following == [answer]
            if ask.category == "count" and "in all" in text:
                number = VOCABULARY.index(answer) - VOCABULARY.index("zero")
                assert number == len(shown)


def test_held_out_looks_are_never_shown_and_never_compete():
    plans = [training_plan(1, i, 10) for i in range(3)]
    pool = vision_stage.labelled_pairs(plans, 0)
    shapes, colours, _ = vision_stage.GROUPS
    flashing = pool.words[pool.words[:, 0] != vision_stage.NO_FLASH]
    looks = {(shapes[s], colours[c]) for s, c, _ in flashing.tolist()}
    assert looks and not looks & HELD_OUT
    zeros = [torch.zeros(len(pool.words), 1, len(group)) for group in vision_stage.GROUPS]
    scores = vision_stage.without_held_out(zeros, pool.words)
    for row, (shape, colour, _) in enumerate(pool.words.tolist()):
        for other, name in enumerate(shapes):
            barred = bool(scores[0][row, 0, other].isneginf())
            assert barred == ((name, colours[colour]) in HELD_OUT and shape != 8)


def test_the_nearest_token_answers_for_a_flash():
    pool = vision_stage.labelled_pairs([training_plan(1, 0, 10)], 0)
    labels = vision_stage.token_labels(pool)[0]
    for row, (word, centre) in enumerate(zip(pool.words[:, 0], pool.centres, strict=True)):
        corner = int(centre[0] > 28) * 2 + int(centre[1] > 28)
        assert int(labels[row, corner]) == int(word)
        assert set(labels[row].tolist()) <= {int(word), vision_stage.NO_FLASH, vision_stage.IGNORE}


def test_degraded_pairs_look_alike(pairs: torch.Tensor):
    worn = degrade(pairs[:8], torch.Generator().manual_seed(0))
    assert worn.dtype == torch.uint8 and worn.shape == pairs[:8].shape
    assert 0 < float((worn.float() - pairs[:8].float()).abs().mean()) < 12


@pytest.mark.long
def test_the_same_seed_builds_the_same_weights(tmp_path: Path):
    recipe = BuildRecipe(
        pool_videos=3,
        vision_steps=(2, 2),
        reader_videos=3,
        stages=(ReaderStage(steps=2, videos=2, pairs=(8, 32), excerpts=0.5),),
        held_out_videos=1,
    )
    for name in ("a", "b"):
        build(7, recipe, tmp_path / name, lambda line: None)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]
    card = (tmp_path / "a" / "README.md").read_text()
    assert "--seed 7" in card and "| oracle |" in card and "{" not in card


def test_the_tokenizer_in_the_package_is_the_one_in_the_code():
    stored = AutoTokenizer.from_pretrained(TINY)
    assert stored.get_vocab() == architecture.tokenizer().get_vocab()


def test_the_plan_must_be_rendered_at_twice_the_resolution():
    small = sample_video(NeedlesSpec(split="train", videos=1, resolution=56), 0)
    with pytest.raises(ValueError, match="rendered at 112 pixels"):
        frame_pairs(small)


def test_glitches_of_training_touch_no_flash() -> None:
    plan = with_glitches(training_plan(1, 3, 10))
    bursts = {f for burst in plan.glitches for f in range(burst.start, burst.start + burst.length)}
    assert len(plan.glitches) > 8
    assert bursts.isdisjoint(frame for needle in plan.needles for frame in needle.frames)
    assert plan.needles == training_plan(1, 3, 10).needles


def test_the_base_in_the_package_reads_held_out_looks_when_it_is_shown_them():
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    model = Qwen2VLForConditionalGeneration.from_pretrained(TINY, dtype=torch.float32)
    use_batched_attention(model.model.visual)
    spec = NeedlesSpec(split="clean", videos=15, seed=11)
    found = measure(model, tokenizer, spec, 32)
    assert found["oracle"]["recall"] == 1
    assert found["oracle"]["attribute"] >= 0.8
    assert found["oracle"]["attribute"] >= found["uniform"]["attribute"] + 0.2
    assert found["ntlbg"]["recall"] > 0.9 > 0.5 > found["uniform"]["recall"]
    assert found["median_contour"]["recall"] < found["uniform"]["recall"]
