"""A selector beside a base model: built from the options, or from what a checkpoint says."""

from dataclasses import asdict, replace
from typing import Any

import torch

from ntlbg_model.backbone.gate import use_gated_attention
from ntlbg_model.backbone.model import Backbone, BackboneError
from ntlbg_model.config import PAIR, Config
from ntlbg_model.modeling.model import NTLBGModel, selector_of
from ntlbg_model.selection.scoring import FrameScorer


def with_selector(backbone: Backbone, config: Config, seed: int = 0) -> Backbone:
    """The backbone with a fresh learned selector where the config asks for one, else as it is.

    The selector is float32, initialised from `seed` and always trained. Raises EncoderError where
    its features come from an encoder that cannot be loaded, and BackboneError where its teacher
    would place pairs otherwise than the backbone does.
    """
    if config.selection.query != "learned":
        return backbone
    if config.training.loss.distillation > 0 and backbone.tokens_per_second is not None:
        raise BackboneError(
            f"model.base_model {config.model.base_model!r} counts time in seconds: "
            "training.loss.distillation is built for Qwen2-VL alone"
        )
    model = backbone.model
    options = selector_options(backbone, config)
    if not isinstance(model, NTLBGModel):
        model = NTLBGModel(model, None, vision_cache=backbone.vision_cache)
    model.options = model.options | {"selector": options}
    model.selector = selector_of(options, seed).to(backbone.device)
    use_gated_attention(backbone.base.model.language_model)
    return replace(backbone, model=model)


def selector_options(backbone: Backbone, config: Config) -> dict[str, Any]:
    """All that a selector is built from, JSON-ready."""
    scorer = FrameScorer(config.selection, backbone)
    blank = torch.zeros(PAIR, 28, 28, 3, dtype=torch.uint8)
    return {
        "feature_width": scorer.features("", blank).shape[1],
        "question_width": backbone.base.config.text_config.hidden_size,
        "hidden": config.model.ntlbg_hidden_size,
        "aligned": config.training.loss.feature_alignment > 0,
        "selection": asdict(config.selection),
    }
