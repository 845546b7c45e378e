"""The teacher: the language model's attention over all pairs of a video."""

import pytest
import torch

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.positions import sparse_positions
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.config import ModelConfig
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.tiny_base.footage import frame_pairs
from ntlbg_model.training.distillation import attention_over_pairs, teacher_layers
from tests.support.small_qwen import question


def loaded(attention: str = "sdpa") -> Backbone:
    return load_backbone(
        ModelConfig(base_model="tiny", tuning="none"),
        dtype=torch.float32,
        device="cpu",
        attention=attention,
    )


def test_the_mass_is_what_eager_attention_returns():
    tokens = torch.randn(6, 4, 192, generator=torch.Generator().manual_seed(0))
    eager = loaded("eager")
    prompt = build_prompt(question(0), eager.tokenizer, "option_words")
    words = eager.base.get_input_embeddings()
    before, after = torch.tensor(prompt.before), torch.tensor(prompt.after)
    with torch.no_grad():
        found = eager.base.model.language_model(
            inputs_embeds=torch.cat((words(before), tokens.flatten(0, 1), words(after)))[None],
            position_ids=sparse_positions(len(before), torch.arange(6), (2, 2), len(after))[
                :, None
            ],
            output_attentions=True,
            use_cache=False,
        ).attentions
    for layers in ([1], [0, 2]):
        whole = torch.stack([found[layer][0, :, -1] for layer in layers]).mean((0, 1))
        video = whole[len(before) : len(before) + 24].view(6, 4).sum(1)
        mass = attention_over_pairs(loaded().base, prompt, tokens, (2, 2), layers)
        assert torch.allclose(mass, video / video.sum(), atol=1e-5)


def test_the_kernel_is_put_back():
    backbone = loaded()
    prompt = build_prompt(question(0), backbone.tokenizer, "option_words")
    attention_over_pairs(backbone.base, prompt, torch.randn(3, 4, 192), (2, 2))
    assert backbone.base.model.language_model.config._attn_implementation == "sdpa"


def test_long_videos_are_read_as_one_token_a_pair():
    backbone = loaded()
    prompt = build_prompt(question(0), backbone.tokenizer, "option_words")
    tokens = torch.randn(1100, 4, 192)
    mass = attention_over_pairs(backbone.base, prompt, tokens, (2, 2))
    pooled = attention_over_pairs(backbone.base, prompt, tokens.mean(1, keepdim=True), (2, 2))
    assert mass.shape == (1100,) and torch.allclose(mass, pooled)


@pytest.mark.parametrize(
    ("layers", "wanted"), [(1, [0]), (2, [0, 1]), (3, [1]), (28, [*range(9, 19)])]
)
def test_the_middle_layers_teach(layers: int, wanted: list[int]):
    assert list(teacher_layers(layers)) == wanted


def test_the_tiny_base_looks_at_the_flash_that_is_asked_about():
    backbone = loaded()
    share, chance = [], []
    for index in range(4):
        plan = sample_video(NeedlesSpec(split="glitch", videos=4, seed=12), index)
        tokens = vision_features(backbone.visual, frame_pairs(plan))
        for asked in questions(plan):
            if asked.category == "attribute":
                prompt = build_prompt(asked, backbone.tokenizer, "option_words")
                mass = attention_over_pairs(backbone.base, prompt, tokens, (2, 2))
                gold = sorted({frame // 2 for frame in asked.positions})
                share.append(float(mass[gold].sum()))
                chance.append(len(gold) / len(mass))
    found, expected = sum(share) / len(share), sum(chance) / len(chance)
    print(f"teacher's mass on the asked flash: {found:.3f}, chance {expected:.3f}")
    assert found > 10 * expected
