"""The teacher of a selection: where the language model looks when it sees every pair.

The attention of the answer position to each candidate pair, without gradient, averaged over heads
and over the middle third of the layers. On the tiny base the middle layer puts about a fifth of its
mass on the pairs of the flash that is asked about, which are a hundredth of the video; the first
layer half as much, the last, which already writes the answer, a quarter of it (docs/findings.md).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, Qwen2VLForConditionalGeneration
from transformers.masking_utils import sdpa_mask

from ntlbg_model.backbone.attention import sdpa_repeated
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.positions import sparse_positions
from ntlbg_model.backbone.prompt import Prompt
from ntlbg_model.backbone.vision import merge_grid
from ntlbg_model.config import PAIR
from ntlbg_model.modeling.model import NTLBGModel
from ntlbg_model.records import Question
from ntlbg_model.selection.scoring import VideoCache
from ntlbg_model.selection.vision_blocks import merged_tokens, small_pairs

MOST_TOKENS = 4096
"""Video tokens that a teacher reads; where all candidates have more, one pooled token a pair."""

TEACHER_BYTES = 256 * 1024**2
"""Most that is kept of the vision tokens of earlier videos."""

RECORDED = "ntlbg_recorded"


def teacher_layers(layers: int) -> range:
    """The middle third of a language model's layers, at least one."""
    first = layers // 3
    return range(first, max(first + 1, layers - layers // 3))


@torch.no_grad()
def attention_over_pairs(
    base: Qwen2VLForConditionalGeneration,
    prompt: Prompt,
    tokens: Tensor,
    grid: tuple[int, int],
    layers: Sequence[int] | None = None,
) -> Tensor:
    """Share [P] of the attention to the video that each candidate pair gets; sums to one.

    `tokens` [P, n, hidden] are the merged vision tokens of all candidates, n = h w of `grid`.
    Only the last position's weights are computed, whatever the model's attention kernel.
    """
    chosen = teacher_layers(base.config.text_config.num_hidden_layers) if layers is None else layers
    if tokens.shape[0] * tokens.shape[1] > MOST_TOKENS:
        tokens = tokens.mean(1, keepdim=True)
    pairs, each, _ = tokens.shape
    first = len(prompt.before)
    last = first + pairs * each
    embedded, positions = _inputs(base, prompt, tokens, grid)
    with _recording(base.model.language_model, chosen) as rows:
        base.model.language_model(inputs_embeds=embedded, position_ids=positions, use_cache=False)
    mass = torch.stack([row[0, :, first:last].mean(0) for row in rows]).mean(0)
    mass = mass.view(pairs, each).sum(-1)
    share: Tensor = mass / mass.sum().clamp(min=torch.finfo(torch.float32).tiny)
    return share


class Teacher:
    """The base model's attention to all pairs, computed once a question.

    Adapters are left out: the teacher is the model as it came, the same at every step and after a
    restart. Where all weights are tuned the model of the step teaches, and nothing is remembered.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._frozen = not any(
            weight.requires_grad for weight in backbone.base.lm_head.parameters()
        )
        self._seen = VideoCache(TEACHER_BYTES)
        self._known: dict[str, Tensor] = {}

    def mass(self, question: Question, prompt: Prompt, pixels: Tensor) -> Tensor:
        """Share [P] of the attention for a question about frames `pixels` uint8 [n, h, w, 3]."""
        if question.question_id in self._known:
            return self._known[question.question_id]
        visual = self._backbone.visual
        tokens = self._seen.get(
            (question.video_id, "tokens"), lambda: merged_tokens(visual, pixels)
        )
        grid = merge_grid(*small_pairs(pixels[:PAIR]).shape[2:4])
        with self._without_adapters():
            mass = attention_over_pairs(self._backbone.base, prompt, tokens, grid)
        if self._frozen:
            self._known[question.question_id] = mass
        return mass

    def _without_adapters(self) -> AbstractContextManager[None]:
        model = self._backbone.model
        tuned = model.base if isinstance(model, NTLBGModel) else model
        return tuned.disable_adapter() if isinstance(tuned, PeftModel) else nullcontext()


def _inputs(
    base: Qwen2VLForConditionalGeneration, prompt: Prompt, tokens: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Embeddings [1, S, hidden] and positions [3, 1, S] of one prompt over all candidates."""
    words = base.get_input_embeddings()
    device = words.weight.device
    before, after = (torch.tensor(part, device=device) for part in (prompt.before, prompt.after))
    video = tokens.to(device=device, dtype=words.weight.dtype).flatten(0, 1)
    embedded = torch.cat((words(before), video, words(after)))
    pooled = tokens.shape[1] == 1
    places = torch.arange(tokens.shape[0])
    positions = sparse_positions(
        len(prompt.before), places, (1, 1) if pooled else grid, len(prompt.after)
    )
    if pooled:
        # A pooled token stands in the middle of its frames.
        span = slice(len(prompt.before), len(prompt.before) + tokens.shape[0])
        positions[1, span] += (grid[0] - 1) // 2
        positions[2, span] += (grid[1] - 1) // 2
    return embedded.unsqueeze(0), positions.unsqueeze(1).to(device)


@contextmanager
def _recording(language_model: nn.Module, layers: Sequence[int]) -> Iterator[list[Tensor]]:
    """Collects the last position's attention [B, heads, S] of `layers`, in float32."""
    rows: list[Tensor] = []

    def recorded(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if module.layer_idx in layers:
            keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1).float()
            logits = query[:, :, -1:].float() @ keys.transpose(2, 3) * kwargs["scaling"]
            rows.append(logits.softmax(-1).squeeze(2))
        return sdpa_repeated(module, query, key, value, attention_mask, **kwargs)

    config: Any = language_model.config
    usual = config._attn_implementation
    AttentionInterface.register(RECORDED, recorded)
    AttentionMaskInterface.register(RECORDED, sdpa_mask)
    config._attn_implementation = RECORDED
    try:
        yield rows
    finally:
        config._attn_implementation = usual
