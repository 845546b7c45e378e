"""The vision tower on frame pairs: patches, one batched attention, features in chunks."""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen2_vl
from transformers.vision_utils import get_vision_position_ids

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Channel statistics of Qwen2-VL's video processor (CLIP's)."""

PATCH = 14
MERGE = 2
CHUNK = 8
"""Frame pairs that go through a tower together where nobody says how many."""


def merge_grid(height: int, width: int) -> tuple[int, int]:
    """Language-model tokens (h, w) of a frame pair of `height` x `width` pixels.

    Raises ValueError where a side is no multiple of 28.
    """
    side = PATCH * MERGE
    if height % side or width % side:
        raise ValueError(f"frames must be multiples of {side} pixels, got {height} x {width}")
    return height // side, width // side


def patchify(pixels: Tensor) -> Tensor:
    """Patches [k, n, 1176] of uint8 frame pairs [k, 2, h, w, 3]: channel, time, row, column.

    Equal to `Qwen2VLVideoProcessor` on frames that need no resize: n runs over 2 x 2 blocks of
    patches, so that the merger's four patches are neighbours.
    """
    pairs, _, height, width, _ = pixels.shape
    rows, columns = merge_grid(height, width)
    mean = torch.tensor(MEAN, device=pixels.device)
    deviation = torch.tensor(DEVIATION, device=pixels.device)
    x = (pixels.float() / 255 - mean) / deviation
    x = x.view(pairs, 2, rows, MERGE, PATCH, columns, MERGE, PATCH, 3)
    x = x.permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return x.reshape(pairs, rows * columns * MERGE * MERGE, 3 * 2 * PATCH * PATCH)


class BatchedVisionAttention(qwen2_vl.VisionAttention):  # type: ignore[misc]
    """Attention of equally large frame pairs in one call, where the stock module loops over them.

    Needs equal segments, which `vision_features` and windows of Qwen2.5-VL that fill the frame are.
    Anything else (images of several sizes, a last window that is cut) falls back to the loop.
    """

    def forward(
        self,
        hidden_states: Tensor,
        cu_seqlens: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        **kwargs: object,
    ) -> Tensor:
        """[pairs * n, dim] to the same shape; `cu_seqlens` is best on the CPU (no sync)."""
        lengths = cu_seqlens.diff()
        if position_embeddings is None or bool((lengths != lengths[0]).any()):
            result: Tensor = super().forward(
                hidden_states, cu_seqlens, position_embeddings=position_embeddings, **kwargs
            )
            return result
        tokens, segments = hidden_states.shape[0], lengths.numel()
        qkv = self.qkv(hidden_states).view(tokens, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.unbind(1)
        query, key = qwen2_vl.apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        split = (segments, tokens // segments, self.num_heads, self.head_dim)
        query, key, value = (x.reshape(split).transpose(1, 2) for x in (query, key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, scale=self.scaling)
        output: Tensor = self.proj(attended.transpose(1, 2).reshape(tokens, self.dim))
        return output


class LinearPatchEmbed(qwen2_vl.PatchEmbed):  # type: ignore[misc]
    """The patch embedding as the matrix product it is: no Conv3d workspace, faster on a CPU."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[N, 1176] to [N, dim]."""
        weight = self.proj.weight.view(self.embed_dim, -1)
        return functional.linear(hidden_states.to(weight.dtype), weight)


def use_batched_attention(visual: nn.Module) -> None:
    """Make a vision tower run frame pairs in one batch; parameters and names stay.

    Qwen2.5-VL's modules, of other names, are the same but for their constructors.
    """
    visual.patch_embed.__class__ = LinearPatchEmbed
    for block in visual.blocks:  # type: ignore[union-attr]
        block.attn.__class__ = BatchedVisionAttention


def is_trained(visual: nn.Module) -> bool:
    """Whether any weight of a tower is trained."""
    return any(parameter.requires_grad for parameter in visual.parameters())


def vision_features(visual: nn.Module, pixels: Tensor, chunk: int = CHUNK) -> Tensor:
    """Features [k, h w, hidden] of uint8 frame pairs [k, 2, H, W, 3], `chunk` pairs at a time.

    Without gradient where the tower is frozen: left in the graph, even with checkpointing, a
    frozen tower keeps the inputs of all its blocks. The last chunk of a frozen tower is filled up,
    since the bits of a matrix product depend on its shape: a pair's features are the same whatever
    it is computed with, and may be remembered. For the same reason autocast never reaches it; a
    tower that is trained computes as the caller's autocast says.
    """
    if not is_trained(visual):
        with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
            return _in_chunks(visual, pixels, chunk)
    return torch.cat([tower_features(visual, part) for part in torch.split(pixels, chunk)])


def _in_chunks(visual: nn.Module, pixels: Tensor, chunk: int) -> Tensor:
    missing = -len(pixels) % chunk
    filled = torch.cat((pixels, pixels[-1:].expand(missing, -1, -1, -1, -1)))
    parts = [tower_features(visual, part) for part in torch.split(filled, chunk)]
    return torch.cat(parts)[: len(pixels)]


def tower_features(visual: nn.Module, pixels: Tensor) -> Tensor:
    """Features [k, h w, hidden] of frame pairs [k, 2, H, W, 3], all at once.

    Grid, segments and places are made on the CPU: read from a GPU, they would stall it.
    """
    patches = patchify(pixels)
    pairs, count, width = patches.shape
    rows, columns = merge_grid(pixels.shape[2], pixels.shape[3])
    grid = torch.tensor([[pairs, rows * MERGE, columns * MERGE]])
    places = get_vision_position_ids(grid, MERGE).to(pixels.device)
    boundaries = torch.arange(0, (pairs + 1) * count, count, dtype=torch.int32)
    patches = patches.view(pairs * count, width)
    output: Tensor = visual(
        patches, grid_thw=grid, cu_seqlens=boundaries, position_ids=places
    ).pooler_output
    return output.view(pairs, rows * columns, -1)
