"""A base model and what NTLBG adds to it, as one module to train, save and resume."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.gate import KEY_GATE, use_gated_attention
from ntlbg_model.backbone.video_prompt import VideoPrompt, next_token_logits
from ntlbg_model.backbone.vision import merge_grid
from ntlbg_model.backbone.vision_cache import VisionCache
from ntlbg_model.config import ModelConfig, RichPointsConfig, SelectionConfig, TemporalConfig
from ntlbg_model.learning.joint import Questions, draw_batch, gated_prompt, selection_terms
from ntlbg_model.modeling.connector import Connector, build_connector
from ntlbg_model.selection.selector import NTLBGSelector

WEIGHTS = "ntlbg.safetensors"
OPTIONS = "ntlbg_config.json"
PARTS = ("connector", "selector")


class NTLBGModel(nn.Module):
    """Prompt in, answer logits out: selector, vision tower, connector, language model.

    All trained parts run inside this one `forward`, so that a data-parallel wrapper sees them.
    `options` says how the added parts were built, for who loads them: one JSON-ready section a
    part, 'connector' and 'selector'.
    """

    def __init__(
        self,
        base: nn.Module,
        connector: Connector | None,
        selector: nn.Module | None = None,
        options: dict[str, Any] | None = None,
        vision_cache: VisionCache | None = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.connector = connector
        self.selector = selector
        self.options = options or {}
        self.vision_cache = vision_cache or VisionCache()
        if isinstance(selector, NTLBGSelector):
            use_gated_attention(self.qwen.model.language_model)

    @property
    def config(self) -> Any:
        """The base model's own configuration."""
        return self.qwen.config

    @property
    def qwen(self) -> Qwen2VLForConditionalGeneration:
        """The Qwen2-VL below any adapters."""
        return self.base.get_base_model() if isinstance(self.base, PeftModel) else self.base

    def forward(
        self, asked: VideoPrompt | Questions, features: Tensor | None = None
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Logits [B, vocabulary] in float32 of the token after each prompt; `features` as in
        `answer_logits`. For questions over all pairs of their videos, the logits and the loss
        terms of the selection."""
        if isinstance(asked, VideoPrompt):
            return self._logits(asked, features)
        if not isinstance(self.selector, NTLBGSelector):
            raise ValueError("there is no selector to choose the pairs")
        words = self.qwen.get_input_embeddings()
        drawn = draw_batch(self.selector, words, asked)
        prompt = gated_prompt(drawn, asked.rows, int(self.qwen.config.video_token_id))
        return self._logits(prompt, None), selection_terms(self.selector, words, asked, drawn)

    def _logits(self, prompt: VideoPrompt, features: Tensor | None) -> Tensor:
        if features is None:
            features = self.vision_cache.features(self.qwen.model.visual, prompt)
        gate = self._key_gate(prompt) if self.connector is None else {}
        return next_token_logits(self.base, prompt, self.visual_tokens(prompt, features), **gate)

    def visual_tokens(self, prompt: VideoPrompt, features: Tensor) -> Tensor:
        """What the language model sees of the videos' `features` [pairs of all rows, h w, d]:
        [video tokens of all rows, d]."""
        if self.connector is None:
            return features.flatten(0, 1)
        if prompt.gate is not None:
            # The connector's tokens need not belong to one pair each.
            features = features * (1 + prompt.gate).to(features.dtype)[:, None, None]
        height, width = merge_grid(prompt.pixels.shape[2], prompt.pixels.shape[3])
        grid = features.view(len(features), height, width, -1)
        rows = torch.split(grid, [points.pairs.numel() for points in prompt.videos])
        return torch.cat([self.connector(*row) for row in zip(rows, prompt.videos, strict=True)])

    def _key_gate(self, prompt: VideoPrompt) -> dict[str, Tensor]:
        """The gate of each pair as a bias of the attention to its tokens."""
        if prompt.gate is None:
            return {}
        places = prompt.input_ids == self.qwen.config.video_token_id
        each = int(places.sum()) // prompt.gate.numel()
        bias = torch.zeros_like(prompt.input_ids, dtype=prompt.gate.dtype)
        return {KEY_GATE: bias.masked_scatter(places, prompt.gate.repeat_interleave(each))}

    def activation_checkpointing_enable(self, **kwargs: Any) -> None:
        """What the Trainer asks for: recompute the language model's activations."""
        self.base.activation_checkpointing_enable(**kwargs)  # type: ignore[operator]

    def gradient_checkpointing_enable(self, **kwargs: Any) -> None:
        """The same by its name in older releases."""
        self.base.gradient_checkpointing_enable(**kwargs)  # type: ignore[operator]

    def save_pretrained(self, folder: Path, state: dict[str, Tensor] | None = None) -> None:
        """Write what was added, `ntlbg.safetensors` and `ntlbg_config.json`, to a folder, and
        beside it the base's adapters or, where all of it is tuned, its weights.

        `state` is a gathered state dict of this module where the weights are sharded.
        """
        folder.mkdir(parents=True, exist_ok=True)
        found = self.state_dict() if state is None else state
        self._save_base(folder, None if state is None else _below("base.", state))
        added = {
            name: value.contiguous() for name, value in found.items() if name.startswith(PARTS)
        }
        save_file(added, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / OPTIONS).write_text(json.dumps(self.options, indent=2) + "\n", encoding="utf-8")

    def _save_base(self, folder: Path, state: dict[str, Tensor] | None) -> None:
        if isinstance(self.base, PeftModel):
            self.base.save_pretrained(str(folder), state_dict=state)
        elif any(parameter.requires_grad for parameter in self.base.parameters()):
            save_plain(self.qwen, folder, state)

    def load_added(self, folder: Path) -> None:
        """Take the weights of `ntlbg.safetensors`. Raises RuntimeError where they are of a model
        with other parts, and FileNotFoundError."""
        found = load_file(folder / WEIGHTS)
        wanted = {name for name in self.state_dict() if name.startswith(PARTS)}
        if wanted != set(found):
            raise RuntimeError(
                f"the checkpoint is not of this model: {len(wanted - set(found))} added weights "
                f"are missing, {len(set(found) - wanted)} are unknown"
            )
        self.load_state_dict(found, strict=False)

    @classmethod
    def from_pretrained(
        cls, base: nn.Module, folder: Path, selector: nn.Module | None = None
    ) -> "NTLBGModel":
        """A base model, perhaps with adapters, and what `save_pretrained` wrote beside it.

        Connector and selector are built from their options; a `selector` of another kind is given
        and receives its weights. Raises as `load_added`.
        """
        options = saved_options(folder)
        section = options.get("connector")
        connector = None if section is None else connector_of(section)
        chooses = options.get("selector")
        if selector is None and chooses is not None:
            selector = selector_of(chooses)
        model = cls(base, connector, selector, options)
        model.to(next(base.parameters()).device)
        model.load_added(folder)
        return model


def saved_options(folder: Path) -> dict[str, Any]:
    """The options, a section for each added part, that `save_pretrained` wrote to a folder."""
    options: dict[str, Any] = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
    return options


def save_plain(
    model: PreTrainedModel, folder: Path, state: dict[str, Tensor] | None = None
) -> None:
    """A base model's weights under the names that it has in memory.

    By default the parameter names of old checkpoints are written, which resuming does not
    translate back: it would go on from the base model's weights with a mere warning.
    """
    model.save_pretrained(folder, state_dict=state, save_original_format=False)


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def connector_options(model: ModelConfig, hidden: int, context_width: int) -> dict[str, Any]:
    """All that a connector is built from, JSON-ready."""
    return {
        "hidden_size": hidden,
        "context_width": context_width,
        "reducer": model.reducer,
        "valley_pooling": model.valley_pooling,
        "rich_points": asdict(model.rich_points),
        "temporal": asdict(model.temporal),
    }


def connector_of(options: dict[str, Any], seed: int = 0) -> Connector | None:
    """The inverse of `connector_options`, with fresh weights."""
    model = model_of(options)
    return build_connector(model, options["hidden_size"], options["context_width"], seed)


def model_of(options: dict[str, Any]) -> ModelConfig:
    """The part of a model's config that a connector's options say."""
    return replace(
        ModelConfig(),
        reducer=options["reducer"],
        valley_pooling=options["valley_pooling"],
        rich_points=RichPointsConfig(**options["rich_points"]),
        temporal=TemporalConfig(**options["temporal"]),
    )


def selector_of(options: dict[str, Any], seed: int = 0) -> NTLBGSelector:
    """The selector that `options` tell of, with fresh weights from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NTLBGSelector(
            SelectionConfig(**options["selection"]),
            options["feature_width"],
            options["question_width"],
            options["hidden"],
            aligned=options["aligned"],
        )
