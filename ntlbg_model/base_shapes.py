"""Sizes of the base models that memory is predicted for. Standard library only."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a base model that its memory depends on."""

    language_parameters: float
    vision_parameters: float
    hidden: int
    layers: int
    lora_targets_width: int
    """Sum over the adapted matrices of one layer of (inputs + outputs)."""
    vision_flops_per_patch: float
    vision_width: int
    vision_layers: int
    text_tokens: int
    """Tokens of question, options and markers assumed beside the video's."""
    traced: bool
    """The coefficients below were fitted to this very model."""


QWEN2_VL_7B = Shape(
    language_parameters=7.615e9,
    vision_parameters=0.676e9,
    hidden=3584,
    layers=28,
    lora_targets_width=90112,
    vision_flops_per_patch=338.6e9 / 256,
    vision_width=1280,
    vision_layers=32,
    text_tokens=128,
    traced=True,
)
QWEN2_VL_2B = Shape(
    language_parameters=1.544e9,
    vision_parameters=0.665e9,
    hidden=1536,
    layers=28,
    lora_targets_width=42752,
    vision_flops_per_patch=338.6e9 / 256,
    vision_width=1280,
    vision_layers=32,
    text_tokens=128,
    traced=False,
)
TINY = Shape(
    language_parameters=1.2e6,
    vision_parameters=0.9e6,
    hidden=192,
    layers=3,
    lora_targets_width=3200,
    vision_flops_per_patch=2 * 0.9e6,
    vision_width=128,
    vision_layers=2,
    text_tokens=24,
    traced=False,
)


def shape_of(base_model: str) -> Shape:
    """Sizes of a base model by name; an unknown name is taken for the 7B, the larger one."""
    if base_model == "tiny":
        return TINY
    if "qwen2.5" in base_model.lower():
        # Its tower has another inner width: alike in size, not what was traced.
        return replace(QWEN2_VL_7B, traced=False)
    return QWEN2_VL_2B if "2b" in base_model.lower() else QWEN2_VL_7B
