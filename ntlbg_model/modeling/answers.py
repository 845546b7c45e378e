"""Logits of the answer to a prompt, from a backbone with or without added parts."""

from torch import Tensor, nn

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.video_prompt import VideoPrompt, next_token_logits
from ntlbg_model.modeling.model import NTLBGModel


def answer_logits(
    backbone: Backbone,
    prompt: VideoPrompt,
    wrapped: nn.Module | None = None,
    features: Tensor | None = None,
) -> Tensor:
    """Return logits [B, vocabulary] in float32 of the token after each prompt.

    `wrapped` is the model inside a data-parallel wrapper, whose forward must be the one that runs.
    `features` are the vision features [pairs of all rows, h w, hidden] where they are known.
    """
    model = wrapped or backbone.model
    if isinstance(backbone.model, NTLBGModel):
        logits: Tensor = model(prompt, features)
        return logits
    if features is None:
        features = backbone.vision_cache.features(backbone.visual, prompt)
    return next_token_logits(model, prompt, features.flatten(0, 1))
