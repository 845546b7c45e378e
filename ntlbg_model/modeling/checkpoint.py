"""Models to answer with: the tiny base, a hub name, a Qwen2-VL folder, a run's checkpoint."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import CONFIG_NAME

from ntlbg_model.backbone.attention import Attention, available, register
from ntlbg_model.backbone.exported import base_of
from ntlbg_model.backbone.model import CLASSES, TINY, Backbone, BackboneError
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.config import ModelConfig
from ntlbg_model.modeling.load import backbone_of, load_backbone
from ntlbg_model.modeling.model import OPTIONS, NTLBGModel
from ntlbg_model.safe_loading import (
    DATA_ALONE,
    UNREADABLE,
    WITHOUT_CODE,
    check_checkpoint,
    refuse_quantised,
)

ADAPTER = "adapter_config.json"
"""What peft writes beside adapters."""
ADAPTERS = "adapter_model"
"""What peft calls their weights. It would take a pickle where these are not there."""

TOKENIZER = "tokenizer_config.json"
"""What a base model's folder has and a checkpoint of a training has not."""


@dataclass(frozen=True, kw_only=True)
class AnswerDevice:
    """Where and how a model runs."""

    name: str
    dtype: torch.dtype
    attention: Attention


def best_device() -> AnswerDevice:
    """The first GPU in the widest 16-bit type it has, else the CPU in float32."""
    if not torch.cuda.is_available():
        return AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")
    if torch.cuda.get_device_capability() >= (8, 0):
        return AnswerDevice(name="cuda", dtype=torch.bfloat16, attention="flash_attention_2")
    return AnswerDevice(name="cuda", dtype=torch.float16, attention="sdpa_repeated")


def load_for_answers(source: str, device: AnswerDevice, base: str | None = None) -> Backbone:
    """A model that is not trained any further.

    `source` is 'tiny', a hub name, a Qwen2-VL folder, or a checkpoint folder of a run: adapters,
    whose base is named beside them, or all weights, whose tokenizer is that of `base` ('tiny' or a
    name), or only what NTLBG adds to `base`; connector and selector come with each. An exported
    run says its base itself. Raises BackboneError.
    """
    folder = Path(source)
    with _named(folder):
        base = base or base_of(folder)
    if not (folder / OPTIONS).is_file():
        return _without_parts(source, folder, device, base)
    with _named(folder):
        bare = not (folder / ADAPTER).is_file() and not (folder / CONFIG_NAME).is_file()
        if bare and base is None:
            raise ValueError("only what was added to a base model; say which base it is")
        found = _loaded(str(base), device) if bare else _without_parts(source, folder, device, base)
        model = NTLBGModel.from_pretrained(found.model, folder).eval()
    return backbone_of(model, found.tokenizer)


def _without_parts(source: str, folder: Path, device: AnswerDevice, base: str | None) -> Backbone:
    if (folder / ADAPTER).is_file():
        return _adapted(folder, device, base)
    if (folder / CONFIG_NAME).is_file() and not (folder / TOKENIZER).is_file():
        return _tuned(folder, device, base)
    return _loaded(source, device)


def _loaded(source: str, device: AnswerDevice) -> Backbone:
    return load_backbone(
        ModelConfig(base_model=source, tuning="none"),
        dtype=device.dtype,
        device=device.name,
        attention=device.attention,
    )


def _adapted(folder: Path, device: AnswerDevice, base: str | None) -> Backbone:
    """A base model with the adapters in `folder`."""
    with _named(folder):
        check_checkpoint(folder, ADAPTERS)
        said = json.loads((folder / ADAPTER).read_text())
        named = said.get("base_model_name_or_path") if isinstance(said, dict) else None
        backbone = _loaded(base or _base_name(named), device)
        with warnings.catch_warnings():
            # peft 0.21 asks for a property that transformers 5.23 has renamed.
            warnings.filterwarnings(
                "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
            )
            model = PeftModel.from_pretrained(backbone.model, str(folder))
    return backbone_of(model.eval(), backbone.tokenizer)


def _tuned(folder: Path, device: AnswerDevice, base: str | None) -> Backbone:
    """All weights in `folder`, the words of `base`."""
    with _named(folder):
        if base is None:
            raise ValueError("no tokenizer beside the weights; say which base model they are of")
        check_checkpoint(folder)
        words = AutoTokenizer.from_pretrained(str(TINY) if base == "tiny" else base, **WITHOUT_CODE)
        register()
        config = AutoConfig.from_pretrained(folder, **WITHOUT_CODE)
        refuse_quantised(getattr(config, "quantization_config", None))
        kind = config.model_type
        if kind not in CLASSES:
            raise ValueError(f"the weights are of a {kind!r}")
        model = CLASSES[kind].from_pretrained(
            folder,
            dtype=device.dtype,
            attn_implementation=available(device.attention),
            **DATA_ALONE,
        )
    use_batched_attention(model.model.visual)
    model.requires_grad_(False).to(device.name)
    return backbone_of(model, words)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Errors of loading as one line that names the folder."""
    try:
        yield
    except UNREADABLE as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise BackboneError(f"{folder} cannot be loaded: {reason}") from error


def _base_name(named: object) -> str:
    """The base as the adapters name it; the tiny one lies elsewhere in each installation."""
    if not isinstance(named, str) or not named:
        raise ValueError("they do not say what their base model is")
    return "tiny" if Path(named).parts[-2:] == TINY.parts[-2:] else named


def add_words(folder: Path, base: str) -> None:
    """Put the tokenizer of `base` beside weights that are all of a model, so that they load by
    themselves; adapters and added parts name their base instead."""
    if (folder / CONFIG_NAME).is_file() and not (folder / TOKENIZER).is_file():
        with _named(folder):
            words = AutoTokenizer.from_pretrained(
                str(TINY) if base == "tiny" else base, **WITHOUT_CODE
            )
            words.save_pretrained(folder)
