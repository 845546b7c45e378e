"""Which kernels a model runs with: what is installed and what the device has decides."""

import logging

import pytest
import torch
from transformers import Qwen2VLForConditionalGeneration

from ntlbg_model.backbone import attention, liger
from ntlbg_model.backbone.gate import use_gated_attention
from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.config import ModelConfig
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import load_backbone
from tests.support.small_qwen import question, random_model

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("installed", "wanted", "chosen"),
    [
        (True, "flash_attention_2", "flash_attention_2"),
        (False, "flash_attention_2", "sdpa"),
        (True, "sdpa_repeated", "sdpa_repeated"),
    ],
)
def test_flash_attention_is_asked_for_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: bool, wanted: str, chosen: str
):
    monkeypatch.setattr(attention, "is_flash_attn_2_available", lambda: installed)
    asked: list[str] = []

    def load(source: str, **options: str) -> None:
        asked.append(options["attn_implementation"])
        raise OSError("no GPU here")

    monkeypatch.setattr(Qwen2VLForConditionalGeneration, "from_pretrained", load)
    config = ModelConfig(base_model="tiny")
    with pytest.raises(BackboneError, match="no GPU here"):
        load_backbone(config, dtype=torch.bfloat16, device="cpu", attention=wanted)
    assert asked == [chosen]


@torch.no_grad()
def test_a_gate_beside_flash_attention_runs_torch_s_own_kernel(backbone: Backbone):
    sample = Sample(
        prompt=build_prompt(question(1), backbone.tokenizer, "option_words"),
        pixels=torch.zeros(2, 2, 28, 28, 3, dtype=torch.uint8),
        pairs=torch.arange(2),
        answer=1,
    )
    batch = collate([sample], backbone.video_token)
    expected = answer_logits(backbone, batch)
    language_model = backbone.base.model.language_model
    language_model.config._attn_implementation = "flash_attention_2"
    use_gated_attention(language_model)
    assert torch.equal(answer_logits(backbone, batch), expected)


@pytest.mark.parametrize(
    ("device", "installed", "lacking"),
    [
        (CPU, True, "Liger's kernels need a GPU, and the model is on 'cpu'"),
        (GPU, False, "the liger-kernel package (0.3 or newer) is not installed"),
        (GPU, True, None),
    ],
)
def test_liger_runs_on_a_gpu_with_the_package(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: torch.device,
    installed: bool,
    lacking: str | None,
):
    given: list[object] = []
    monkeypatch.setattr(liger, "is_liger_kernel_available", lambda: installed)
    monkeypatch.setattr(liger, "apply_liger_kernel", lambda *args: given.extend(args))
    model = random_model()
    with caplog.at_level(logging.WARNING):
        used = liger.use_liger(model, device)
    assert used == (lacking is None)
    assert given == ([model, liger.KERNELS] if used else [])
    assert caplog.messages == (
        [] if used else [f"model.liger: {lacking}; the model's own layers instead"]
    )


def test_a_model_without_a_gpu_loads_and_says_so(caplog: pytest.LogCaptureFixture):
    config = ModelConfig(base_model="tiny", liger=True)
    load_backbone(config, dtype=torch.float32, device="cpu", attention="sdpa")
    assert any("model.liger: Liger's kernels need a GPU" in line for line in caplog.messages)
