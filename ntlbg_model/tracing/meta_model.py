"""A config's model without its checkpoint, as deep as asked: the very modules that are trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import ModelConfig
from ntlbg_model.footprint.shapes import Shape, shape_of
from ntlbg_model.geometry.step_shape import Attention, Step
from ntlbg_model.modeling.load import assembled
from ntlbg_model.tracing.quantised import quantise

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Depth:
    """Blocks of the language model and of the vision tower."""

    language: int
    vision: int


def base_model(
    shape: Shape, depth: Depth, dtype: torch.dtype, attention: Attention, device: str
) -> PreTrainedModel:
    """The base model of a shape with random weights."""
    text = {
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": depth.language,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": shape.tied,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": _sections(shape.hidden // shape.heads // 2),
        },
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    vision = {"depth": depth.vision, "num_heads": shape.vision_heads}
    if shape.vision_gated:
        vision |= {
            "hidden_size": shape.vision_width,
            "intermediate_size": shape.vision_inner,
            "out_hidden_size": shape.hidden,
        }
        kind, options = Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig
    else:
        vision |= {
            "embed_dim": shape.vision_width,
            "hidden_size": shape.hidden,
            "mlp_ratio": shape.vision_inner // shape.vision_width,
        }
        kind, options = Qwen2VLForConditionalGeneration, Qwen2VLConfig
    config = options(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=shape.tied,
        image_token_id=1,
        video_token_id=2,
    )
    implementation = "sdpa" if attention == "flash_attention_2" else attention
    with _default(dtype), torch.device(device):
        return kind._from_config(config, attn_implementation=implementation)


def _sections(half: int) -> list[int]:
    """Of half a head for time, rows and columns: 16, 24, 24 of 64, as published."""
    return [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def random_backbone(model: ModelConfig, step: Step, depth: Depth, device: str) -> Backbone:
    """What `load_backbone` would load, in the types that the step keeps its weights in: with no
    weights on 'meta', with random ones elsewhere."""
    kernels.register()
    shape = shape_of(model.base_model)
    dtype = DTYPES[step.precision]
    base = base_model(shape, depth, dtype, step.attention, device)
    if model.quantisation != "none":
        quantise(base.model.language_model.layers, model.quantisation)
    backbone = assembled(base, None, model, device, vision_chunk=step.vision_chunk)
    _set_types(backbone, step, dtype)
    return backbone


def _set_types(backbone: Backbone, step: Step, dtype: torch.dtype) -> None:
    """Trained weights in fp32, where DeepSpeed or the lack of masters does not want them half."""
    own = {id(weight) for weight in backbone.base.parameters()}
    adapters = {id(w) for n, w in backbone.model.named_parameters() if "lora_" in n}
    for weight in backbone.model.parameters():
        if weight.requires_grad:
            of_base = id(weight) in own and id(weight) not in adapters
            half = step.deepspeed or (of_base and not step.master_weights)
            weight.data = weight.data.to(dtype if half else torch.float32)
