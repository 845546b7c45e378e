"""The model that a config describes, whole: our backbone with what is added, or a published one."""

import torch

from ntlbg_model.backbone.attention import Attention
from ntlbg_model.backbone.model import Backbone, load_backbone
from ntlbg_model.backbone.vision import CHUNK
from ntlbg_model.config import Config
from ntlbg_model.modeling.selector_attached import with_selector
from ntlbg_model.published_models.load import load_native
from ntlbg_model.published_models.model import NativeModel


def load_variant(
    config: Config,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    attention: Attention,
    seed: int,
    vision_chunk: int = CHUNK,
    to_spread: bool = False,
    copy: str | None = None,
) -> Backbone | NativeModel:
    """What `config` trains or evaluates, by `model.architecture`; added parts start from `seed`.

    `vision_chunk` frame pairs go through our backbone's frozen tower together; `to_spread` as in
    `load_backbone`. `copy` is a folder with what `model.base_model` names, read in its place.
    Raises BackboneError and EncoderError where something cannot be loaded.
    """
    if config.model.architecture != "qwen2_vl":
        return load_native(config.model, dtype=dtype, device=device, attention=attention, copy=copy)
    backbone = load_backbone(
        config.model,
        dtype=dtype,
        device=device,
        attention=attention,
        vision_chunk=vision_chunk,
        to_spread=to_spread,
        copy=copy,
    )
    return with_selector(backbone, config, seed)
