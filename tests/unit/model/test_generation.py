"""Answers in words: a key-value cache at explicit positions changes nothing."""

import pytest
import torch

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.positions import sparse_positions
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.generation import generate
from tests.support.small_qwen import question

PAIRS = torch.tensor([3, 9, 40, 41, 90])


def sample(backbone: Backbone, pairs: torch.Tensor = PAIRS) -> Sample:
    pixels = torch.randint(
        0, 256, (len(pairs), 2, 56, 56, 3), dtype=torch.uint8, generator=torch.manual_seed(1)
    )
    prompt = build_prompt(question(0), backbone.tokenizer, "option_words")
    return Sample(prompt=prompt, pixels=pixels, pairs=pairs, answer=0)


def asked(backbone: Backbone, *samples: Sample) -> tuple[VideoPrompt, torch.Tensor]:
    batch = collate(samples, backbone.video_token)
    return batch, vision_features(backbone.visual, batch.pixels)


@torch.no_grad()
def recomputed(backbone: Backbone, one: Sample, tokens: tuple[int, ...]) -> torch.Tensor:
    """Logits of each of `tokens`, the whole sequence anew each time, without a cache."""
    batch, features = asked(backbone, one)
    embed = backbone.base.get_input_embeddings()
    before, after = len(one.prompt.before), len(one.prompt.after)
    rows = []
    for said in range(len(tokens)):
        ids = torch.cat((batch.input_ids, torch.tensor([tokens[:said]]).long()), dim=1)
        embedded = embed(ids)
        embedded[:, before : before + one.video_tokens] = features.flatten(0, 1)
        positions = sparse_positions(before, one.pairs, one.grid, after + said)
        output = backbone.base.model.language_model(
            inputs_embeds=embedded, position_ids=positions[:, None], use_cache=False
        )
        rows.append(backbone.base.lm_head(output.last_hidden_state[0, -1]))
    return torch.stack(rows)


def test_the_cache_gives_what_recomputing_everything_gives(backbone: Backbone) -> None:
    one = sample(backbone)
    said = generate(backbone, *asked(backbone, one), max_new_tokens=8)
    logits = recomputed(backbone, one, said.tokens)
    assert said.tokens == tuple(logits.argmax(1).tolist())
    expected = logits.log_softmax(1)[torch.arange(len(said.tokens)), list(said.tokens)]
    assert said.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_sampled_words_have_the_model_s_own_probability(backbone: Backbone) -> None:
    one = sample(backbone)
    said = generate(
        backbone, *asked(backbone, one), max_new_tokens=8, temperature=1.5, top_p=0.9, seed=4
    )
    logits = recomputed(backbone, one, said.tokens).log_softmax(1)
    expected = logits[torch.arange(len(said.tokens)), list(said.tokens)]
    assert said.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_seed_repeats_and_another_differs(backbone: Backbone) -> None:
    batch = asked(backbone, sample(backbone))
    first, again, other = (
        generate(backbone, *batch, max_new_tokens=12, temperature=2.0, seed=s) for s in (1, 1, 2)
    )
    assert first == again and first.tokens != other.tokens


def test_when_a_pair_was_shown_matters(backbone: Backbone) -> None:
    near, far = (
        generate(
            backbone, *asked(backbone, sample(backbone, torch.tensor(pairs))), max_new_tokens=4
        )
        for pairs in ([3, 9, 40, 41, 90], [3, 4, 5, 6, 7])
    )
    assert near.logprobs != pytest.approx(far.logprobs, abs=1e-3)


def test_one_prompt_at_a_time(backbone: Backbone) -> None:
    batch = asked(backbone, sample(backbone), sample(backbone))
    with pytest.raises(ValueError, match="one prompt at a time, got 2"):
        generate(backbone, *batch, max_new_tokens=1)
