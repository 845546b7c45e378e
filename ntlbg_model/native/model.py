"""A published video model: its own class, its own words, our frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlavaNextVideoForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    VideoLlavaForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.model import BackboneError
from ntlbg_model.backbone.prompt import Prompt, Scoring
from ntlbg_model.config import Architecture, ModelConfig
from ntlbg_model.data.collate import gather_pairs
from ntlbg_model.data.records import Question
from ntlbg_model.native.frames import FrameTransform, frame_transform
from ntlbg_model.native.prompt import VIDEO, chat_template, native_prompt
from ntlbg_model.native.size import FRAME_TOKENS, FRAMES_AT_ONCE

CLASSES: dict[Architecture, type[PreTrainedModel]] = {
    "llava_onevision": LlavaOnevisionForConditionalGeneration,
    "llava_next_video": LlavaNextVideoForConditionalGeneration,
    "video_llava": VideoLlavaForConditionalGeneration,
}
TOLERANCE = 1.1
"""A checkpoint may be this much larger than its memory was predicted with."""


@dataclass(frozen=True, kw_only=True)
class NativeSample:
    """One question and the frames it is asked over."""

    prompt: Prompt
    frames: Tensor
    """uint8 [n, H, W, 3]"""
    video_tokens: int
    """Video tokens in the language model's input."""


@dataclass(frozen=True, kw_only=True)
class NativeModel:
    """A checkpoint of one of `CLASSES` that is asked, never trained."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    architecture: Architecture
    transform: FrameTransform
    template: str | None

    @property
    def side(self) -> int:
        """Patches along a side of a frame."""
        vision = self.model.config.vision_config
        return int(vision.image_size // vision.patch_size)

    def sample(
        self, question: Question, pixels: Tensor, pairs: Tensor, scoring: Scoring
    ) -> NativeSample:
        """The question over the kept `pairs` [k] of the candidates `pixels` uint8 [n, H, W, 3].

        Raises ValueError where it cannot be asked, or its frames do not become the vision
        tower's.
        """
        frames = gather_pairs(pixels, pairs).flatten(0, 1)
        wanted = self.model.config.vision_config.image_size
        found = self.transform.output(frames.shape[1], frames.shape[2])
        if found != (wanted, wanted):
            raise ValueError(
                f"frames become {found[0]} x {found[1]}, and the vision tower takes "
                f"{wanted} x {wanted}: a square video.frame_resolution fits"
            )
        return NativeSample(
            prompt=native_prompt(
                question, self.tokenizer, scoring, self.architecture, self.template
            ),
            frames=frames,
            video_tokens=FRAME_TOKENS[self.architecture].tokens(len(frames), self.side),
        )

    @torch.no_grad()
    def logits(self, samples: Sequence[NativeSample]) -> Tensor:
        """Logits [B, vocabulary] in float32 of the token after each prompt.

        Padding is on the right, so causal attention needs no mask.
        """
        rows = [self.input_ids(sample) for sample in samples]
        answer_at = torch.tensor([row.numel() - 1 for row in rows])
        positions, column = torch.unique(answer_at, return_inverse=True)
        features = torch.cat([self.features(sample.frames) for sample in samples])
        device = self.model.device
        output = self.model(
            input_ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device),
            mm_encoder_outputs={
                "video": BaseModelOutputWithPooling(pooler_output=features.unsqueeze(0))
            },
            logits_to_keep=positions.to(device),
            use_cache=False,
        )
        logits: Tensor = output.logits[torch.arange(len(rows)), column].float()
        return logits

    def input_ids(self, sample: NativeSample) -> Tensor:
        """The whole prompt [S], a token for each of the video's."""
        video = (self.model.config.video_token_id,) * sample.video_tokens
        return torch.tensor((*sample.prompt.before, *video, *sample.prompt.after))

    @torch.no_grad()
    def features(self, frames: Tensor) -> Tensor:
        """The class's own video features [video tokens, d], some frames at a time."""
        closing = FRAME_TOKENS[self.architecture].closing
        parts: list[Tensor] = []
        for chunk in torch.split(frames, FRAMES_AT_ONCE):
            values = self.transform(chunk).to(self.model.device, self.model.dtype)
            found = self.model.model.get_video_features(values.unsqueeze(0)).pooler_output
            if closing and parts:
                parts[-1] = parts[-1][:-closing]
            parts.append(found.flatten(0, -2))
        return torch.cat(parts)


def load_native(
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    attention: kernels.Attention,
) -> NativeModel:
    """The checkpoint `config.base_model` of `config.architecture`, a hub name or a local folder.

    Raises BackboneError where there is none, it is of another type, or it is larger than
    `config.billion_parameters` says.
    """
    name, architecture = config.base_model, config.architecture
    kernels.register()
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind != architecture:
            raise BackboneError(
                f"model.base_model {name!r} is a {kind!r}, not the {architecture!r} of "
                f"model.architecture; supported types: {', '.join(get_args(Architecture))}"
            )
        loaded = NativeModel(
            model=CLASSES[architecture]
            .from_pretrained(name, dtype=dtype, attn_implementation=kernels.available(attention))
            .requires_grad_(False)
            .eval()
            .to(device),
            tokenizer=AutoTokenizer.from_pretrained(name),
            architecture=architecture,
            transform=frame_transform(name),
            template=chat_template(name),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise BackboneError(f"model.base_model {name!r} cannot be loaded: {reason}") from error
    if loaded.tokenizer.convert_tokens_to_ids(VIDEO) != loaded.model.config.video_token_id:
        raise BackboneError(f"model.base_model {name!r}: {VIDEO} is not the video's token")
    _check_size(loaded.model, config)
    return loaded


def _check_size(model: PreTrainedModel, config: ModelConfig) -> None:
    found = sum(weight.numel() for weight in model.parameters()) / 1e9
    declared = config.billion_parameters or 0.0
    if found > TOLERANCE * declared:
        raise BackboneError(
            f"model.base_model {config.base_model!r} has {found:.3g} billion parameters, and its "
            f"memory was predicted with model.billion_parameters {declared:g}"
        )
