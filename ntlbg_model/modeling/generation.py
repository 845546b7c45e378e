"""Free answers over sparse frame pairs: text at explicit positions, word after word."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.positions import generation_positions
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.modeling.model import NTLBGModel


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What the model said."""

    tokens: tuple[int, ...]
    """Without the prompt; the token that ends the answer is among them where it was reached."""
    logprobs: tuple[float, ...]
    """Log-probability of each token under the model, before temperature and nucleus."""


@torch.no_grad()
def generate(
    backbone: Backbone,
    prompt: VideoPrompt,
    features: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Generated:
    """Answer one prompt over vision features [k, h w, hidden] with a key-value cache.

    Greedy at temperature 0, else sampled from the nucleus `top_p` with `seed`. Positions are
    explicit: text resumes after the video's last temporal id, and transformers (5.17 and later)
    counts on from there. Raises ValueError for more than one row, since padding would be on the
    right, between prompt and answer.
    """
    if prompt.input_ids.shape[0] != 1:
        raise ValueError(f"one prompt at a time, got {prompt.input_ids.shape[0]}")
    added = backbone.model if isinstance(backbone.model, NTLBGModel) else None
    visual = features.flatten(0, 1) if added is None else added.visual_tokens(prompt, features)
    sampled = temperature > 0
    devices = [backbone.device] if backbone.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        output = backbone.base.generate(
            input_ids=prompt.input_ids,
            attention_mask=torch.ones_like(prompt.input_ids),
            position_ids=generation_positions(prompt.position_ids),
            mm_encoder_outputs={"video": BaseModelOutputWithPooling(pooler_output=(visual,))},
            max_new_tokens=max_new_tokens,
            do_sample=sampled,
            temperature=temperature if sampled else None,
            top_p=top_p if sampled else None,
            top_k=None,
            use_cache=True,
            return_dict_in_generate=True,
            output_logits=True,
        )
    tokens = output.sequences[0, prompt.input_ids.shape[1] :].tolist()
    logprobs = [
        row[0].float().log_softmax(0)[token].item()
        for row, token in zip(output.logits, tokens, strict=True)
    ]
    return Generated(tokens=tuple(tokens), logprobs=tuple(logprobs))
