"""Load the model that a config describes: our backbone with its added parts, or a published one."""

from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.attention import Attention
from ntlbg_model.backbone.model import TINY, Backbone, pretrained, tuned
from ntlbg_model.backbone.vision import CHUNK
from ntlbg_model.backbone.vision_cache import MIB, VisionCache
from ntlbg_model.config import Config, ModelConfig
from ntlbg_model.geometry.connector_size import CONTEXT_WIDTH
from ntlbg_model.modeling.connector import build_connector
from ntlbg_model.modeling.model import NTLBGModel, connector_options
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


def load_backbone(
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    attention: kernels.Attention,
    seed: int = 0,
    vision_chunk: int = CHUNK,
    to_spread: bool = False,
    copy: str | None = None,
) -> Backbone:
    """Load the base model of `config.base_model` with what `config.tuning` trains made trainable.

    'tiny' is the checkpoint in this package; anything else is a local folder or a hub name.
    Adapters and connectors are float32 and initialised from `seed`. What is tuned itself is float32
    whatever `dtype`: bf16 weights lose small updates, and a GradScaler takes no fp16 gradients.
    `vision_chunk` frame pairs go through a frozen tower together. What is `to_spread` over devices
    stays on the host until then, but for the tower. `copy` is a folder that is read in the place of
    `base_model`, whose name stays what is written down.
    Raises BackboneError where there is no such model or it is none of `CLASSES`.
    """
    source = copy or (str(TINY) if config.base_model == "tiny" else config.base_model)
    kernels.register()
    model, tokenizer = pretrained(source, config.base_model, dtype, kernels.available(attention))
    if copy is not None:
        # Adapters name their base by this.
        model.name_or_path = model.config._name_or_path = config.base_model
    return assembled(model, tokenizer, config, device, seed, vision_chunk, to_spread)


def assembled(
    model: PreTrainedModel,
    tokenizer: Any,
    config: ModelConfig,
    device: torch.device | str,
    seed: int = 0,
    vision_chunk: int = CHUNK,
    to_spread: bool = False,
) -> Backbone:
    """Make a base model ready as `load_backbone` says; without a tokenizer it cannot be asked."""
    cache = VisionCache(config.vision_cache_mib * MIB, vision_chunk)
    trained = tuned(model, config, device, seed, to_spread)
    whole = _with_connector(trained, model, config, seed, cache)
    return Backbone(model=whole, base=model, tokenizer=tokenizer, vision_cache=cache)


def backbone_of(model: nn.Module, tokenizer: Any, cache: VisionCache | None = None) -> Backbone:
    """Return a module with its tokenizer as a backbone: a base model, the peft model around one, or
    an NTLBGModel."""
    inner = model.qwen if isinstance(model, NTLBGModel) else model
    base = inner.get_base_model() if isinstance(inner, PeftModel) else inner
    return Backbone(
        model=model, base=base, tokenizer=tokenizer, vision_cache=cache or VisionCache()
    )


def _with_connector(
    trained: nn.Module,
    base: PreTrainedModel,
    config: ModelConfig,
    seed: int,
    cache: VisionCache,
) -> nn.Module:
    """Add the connector that the options ask for. Without one `trained` stays as it is, and so do
    its checkpoints."""
    hidden = base.config.text_config.hidden_size
    connector = build_connector(config, hidden, CONTEXT_WIDTH, seed)
    if connector is None:
        return trained
    connector.requires_grad_(config.tuning != "none").to(base.device)
    options = {"connector": connector_options(config, hidden, CONTEXT_WIDTH)}
    return NTLBGModel(trained, connector, options=options, vision_cache=cache)
