"""A published checkpoint by name: which architectures there are, and what is refused."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import get_args

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    InstructBlipVideoForConditionalGeneration,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3VLForConditionalGeneration,
    VideoLlama3ForConditionalGeneration,
    VideoLlavaForConditionalGeneration,
)

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.model import BackboneError
from ntlbg_model.config import Architecture, ModelConfig
from ntlbg_model.geometry.published_size import architecture_of
from ntlbg_model.published_models.instructblip_video import InstructBlipVideo
from ntlbg_model.published_models.llava import Llava
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.qwen3_vl import Qwen3Vl
from ntlbg_model.published_models.video_llama3 import VideoLlama3
from ntlbg_model.safe_loading import (
    DATA_ALONE,
    UNREADABLE,
    WITHOUT_CODE,
    check_checkpoint,
    refuse_quantised,
)

CLASSES: Mapping[Architecture, tuple[type[NativeModel], type[PreTrainedModel]]] = MappingProxyType(
    {
        "llava_onevision": (Llava, LlavaOnevisionForConditionalGeneration),
        "llava_next_video": (Llava, LlavaNextVideoForConditionalGeneration),
        "video_llava": (Llava, VideoLlavaForConditionalGeneration),
        "instructblipvideo": (InstructBlipVideo, InstructBlipVideoForConditionalGeneration),
        "video_llama_3": (VideoLlama3, VideoLlama3ForConditionalGeneration),
        "qwen3_vl": (Qwen3Vl, Qwen3VLForConditionalGeneration),
    }
)
"""How each architecture is asked, and its class in transformers."""
TOLERANCE = 1.1
"""A checkpoint may be this much larger than its memory was predicted with."""


def load_native(
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    attention: kernels.Attention,
    copy: str | None = None,
) -> NativeModel:
    """The checkpoint `config.base_model` of `config.architecture`, a hub name or a local folder.

    `copy` is a folder that is read in its place. Raises BackboneError where there is none, it is of
    another type, or it is larger than `config.billion_parameters` says.
    """
    name, architecture = config.base_model, config.architecture
    source = copy or name
    kernels.register()
    with _refusing(name):
        ours, theirs = CLASSES[architecture]
        check_checkpoint(source)
        found = AutoConfig.from_pretrained(source, **WITHOUT_CODE)
        refuse_quantised(getattr(found, "quantization_config", None))
        _check_kind(found, config, ours)
        model = (
            theirs.from_pretrained(
                source,
                dtype=dtype,
                attn_implementation=kernels.available(attention),
                **DATA_ALONE,
            )
            .requires_grad_(False)
            .eval()
            .to(device)
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **WITHOUT_CODE)
        loaded = ours.build(source, model, tokenizer, architecture)
    _check_video_token(loaded, name)
    _check_size(loaded.model, config)
    return loaded


def weightless_native(
    config: ModelConfig, *, dtype: torch.dtype, attention: kernels.Attention
) -> NativeModel:
    """The same on the meta device, from the checkpoint's config and tokenizer, which must be on
    this machine. Raises BackboneError as `load_native` does."""
    name, architecture = config.base_model, config.architecture
    kernels.register()
    with _refusing(name):
        ours, theirs = CLASSES[architecture]
        found = AutoConfig.from_pretrained(name, local_files_only=True, **WITHOUT_CODE)
        _check_kind(found, config, ours)
        if found.model_type != theirs.config_class.model_type:
            found = theirs.config_class.from_pretrained(name, local_files_only=True, **WITHOUT_CODE)
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True, **WITHOUT_CODE)
        found.dtype = dtype
        with torch.device("meta"):
            kernel = "sdpa" if attention == "flash_attention_2" else attention
            model = theirs._from_config(found, dtype=dtype, attn_implementation=kernel)
        loaded = ours.build(name, model.requires_grad_(False).eval(), tokenizer, architecture)
    _check_size(loaded.model, config)
    return loaded


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """What a checkpoint that is not there or not understood raises, as one line."""
    try:
        yield
    except UNREADABLE as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise BackboneError(f"model.base_model {name!r} cannot be loaded: {reason}") from error


def _check_kind(found: PreTrainedConfig, config: ModelConfig, ours: type[NativeModel]) -> None:
    kind = found.model_type
    if architecture_of(kind) != config.architecture:
        raise BackboneError(
            f"model.base_model {config.base_model!r} is a {kind!r}, not the "
            f"{config.architecture!r} of model.architecture; supported types: "
            f"{', '.join(get_args(Architecture))}"
        )
    refusal = ours.refusal(found)
    if refusal is not None:
        raise BackboneError(f"model.base_model {config.base_model!r}: {refusal}")


def _check_video_token(loaded: NativeModel, name: str) -> None:
    if loaded.VIDEO is None:
        return
    if loaded.tokenizer.convert_tokens_to_ids(loaded.VIDEO) != loaded.model.config.video_token_id:
        raise BackboneError(f"model.base_model {name!r}: {loaded.VIDEO} is not the video's token")


def _check_size(model: PreTrainedModel, config: ModelConfig) -> None:
    found = sum(weight.numel() for weight in model.parameters()) / 1e9
    declared = config.billion_parameters or 0.0
    if found > TOLERANCE * declared:
        raise BackboneError(
            f"model.base_model {config.base_model!r} has {found:.3g} billion parameters, and its "
            f"memory was predicted with model.billion_parameters {declared:g}"
        )
