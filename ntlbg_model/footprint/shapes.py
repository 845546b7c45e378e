"""Sizes of the base models that memory and time are predicted for. Standard library only.

The numbers are those of the published configurations (`config.json` of each checkpoint).
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a base model that its memory and its work depend on."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """The output matrix is the embedding."""
    vision_width: int
    vision_inner: int
    """Width inside a vision block's MLP."""
    vision_layers: int
    vision_heads: int
    vision_gated: bool = False
    """Three matrices in a vision block's MLP instead of two (Qwen2.5-VL)."""
    text_tokens: int = 128
    """Tokens of question, options and markers assumed beside the video's."""
    traced: bool = True
    """The closed form was fitted to traces of this very model."""

    @property
    def kv_width(self) -> int:
        """Width of keys, and of values."""
        return self.hidden // self.heads * self.kv_heads

    @property
    def block_parameters(self) -> int:
        """One block of the language model: attention with biases, gated MLP, two norms."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.kv_width
        biases = self.hidden + 2 * self.kv_width
        return attention + biases + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def linear_parameters(self) -> int:
        """The seven matrices of a block, which adapters sit beside and quantisation shrinks."""
        attention = 2 * self.hidden**2 + 2 * self.hidden * self.kv_width
        return attention + 3 * self.hidden * self.intermediate

    @property
    def vocabulary_parameters(self) -> int:
        """One vocabulary matrix."""
        return self.vocabulary * self.hidden

    @property
    def language_parameters(self) -> int:
        """Blocks, embedding, output matrix and last norm."""
        matrices = 1 if self.tied else 2
        blocks = self.layers * self.block_parameters
        return blocks + matrices * self.vocabulary_parameters + self.hidden

    @property
    def vision_parameters(self) -> int:
        """The tower with its merger."""
        width, inner, merged = self.vision_width, self.vision_inner, 4 * self.vision_width
        attention = 4 * width**2 + 4 * width
        if self.vision_gated:
            mlp, norms = 3 * width * inner + 2 * inner + width, 2 * width
        else:
            mlp, norms = 2 * width * inner + inner + width, 4 * width
        merger = merged * merged + merged + merged * self.hidden + self.hidden
        merger += width if self.vision_gated else 2 * width
        return 1176 * width + self.vision_layers * (attention + mlp + norms) + merger

    @property
    def lora_width(self) -> int:
        """Sum over the adapted matrices of a block of (inputs + outputs): its adapters have rank
        times as many parameters."""
        query = 4 * self.hidden
        key_value = 2 * (self.hidden + self.kv_width)
        return query + key_value + 3 * (self.hidden + self.intermediate)

    @property
    def vision_flops_per_patch(self) -> float:
        """Forward, without the attention's scores (small at 256 patches)."""
        return 2.0 * self.vision_parameters


QWEN2_VL_7B = Shape(
    name="Qwen2-VL-7B",
    hidden=3584,
    intermediate=18944,
    layers=28,
    heads=28,
    kv_heads=4,
    vocabulary=152064,
    tied=False,
    vision_width=1280,
    vision_inner=5120,
    vision_layers=32,
    vision_heads=16,
)
QWEN2_VL_2B = Shape(
    name="Qwen2-VL-2B",
    hidden=1536,
    intermediate=8960,
    layers=28,
    heads=12,
    kv_heads=2,
    vocabulary=151936,
    tied=True,
    vision_width=1280,
    vision_inner=5120,
    vision_layers=32,
    vision_heads=16,
)
QWEN2_5_VL_7B = replace(QWEN2_VL_7B, name="Qwen2.5-VL-7B", vision_inner=3420, vision_gated=True)
QWEN2_5_VL_3B = replace(
    QWEN2_5_VL_7B,
    name="Qwen2.5-VL-3B",
    hidden=2048,
    intermediate=11008,
    layers=36,
    heads=16,
    kv_heads=2,
    vocabulary=151936,
    tied=True,
)
TINY = Shape(
    name="tiny",
    hidden=192,
    intermediate=512,
    layers=3,
    heads=6,
    kv_heads=2,
    vocabulary=64,
    tied=False,
    vision_width=128,
    vision_inner=512,
    vision_layers=2,
    vision_heads=4,
    text_tokens=24,
)
SHAPES = (TINY, QWEN2_VL_2B, QWEN2_VL_7B, QWEN2_5_VL_3B, QWEN2_5_VL_7B)


def shape_of(base_model: str) -> Shape:
    """Sizes of a base model by name; an unknown name is taken for the 7B, the larger one, and is
    not `traced`."""
    name = base_model.lower()
    if name == "tiny":
        return TINY
    if "qwen2.5-vl-3b" in name or "qwen2_5_vl-3b" in name:
        return QWEN2_5_VL_3B
    if "qwen2.5" in name:
        return replace(QWEN2_5_VL_7B, traced="7b" in name)
    if "2b" in name:
        return QWEN2_VL_2B
    return replace(QWEN2_VL_7B, traced="7b" in name)
