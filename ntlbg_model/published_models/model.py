"""A published video model: its own class, its own words, our frames."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.inputs.collate import gather_pairs
from ntlbg_model.published_models.frames import FrameTransform, preprocessing, transform_of
from ntlbg_model.published_models.prompt import Words, chat_template
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question

NOT_A_WORD = -1
"""Where the video goes in a row of token ids."""


@dataclass(frozen=True, kw_only=True)
class NativeModel(ABC):
    """A checkpoint that is asked, never trained. A subclass, in a file of its own, is what differs
    by architecture: how frames and words are prepared, and what the model makes of the frames."""

    VIDEO: ClassVar[str | None] = "<video>"
    """The token that stands for the video in a prompt; None where the video comes before it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    architecture: Architecture
    transform: FrameTransform
    template: str | None
    """The checkpoint's own chat template."""

    @classmethod
    def refusal(cls, config: PreTrainedConfig) -> str | None:
        """Why a checkpoint of this type cannot be asked, before its weights are loaded."""
        return None

    @classmethod
    def build(
        cls,
        source: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        architecture: Architecture,
    ) -> Self:
        """`model` with what else the hub name or local folder `source` holds.

        Raises OSError where something is missing, ValueError where it is not understood.
        """
        return cls(
            model=model,
            tokenizer=tokenizer,
            architecture=architecture,
            transform=transform_of(preprocessing(source)),
            template=chat_template(source),
        )

    @classmethod
    @abstractmethod
    def turns(cls, architecture: Architecture) -> str:
        """How a checkpoint without a chat template is asked: {} is the question."""

    @abstractmethod
    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        """The question over `frames` uint8 [n, H, W, 3] of `times` [n], seconds.

        Raises ValueError where it cannot be asked, or its frames do not become the vision
        tower's.
        """

    @abstractmethod
    def features(self, sample: NativeSample) -> Tensor:
        """The class's own video features [video tokens, d], some frames at a time."""

    def beside(
        self, samples: Sequence[NativeSample], video: Tensor, deeper: Sequence[Tensor]
    ) -> Mapping[str, Any]:
        """What the language model is given beside its inputs: `video` bool [B, S] says which are
        the video's, `deeper` [video tokens, d] each what `features` has beyond its width."""
        return {}

    @property
    def words(self) -> Words:
        """How a question is put to this checkpoint."""
        return Words(turns=self.turns(self.architecture), template=self.template, video=self.VIDEO)

    def sample(
        self, question: Question, pixels: Tensor, times: Tensor, pairs: Tensor, scoring: Scoring
    ) -> NativeSample:
        """The question over the kept `pairs` [k] of the candidates `pixels` uint8 [n, H, W, 3],
        shown at `times` [n], seconds. Raises ValueError as `ask` does."""
        frames = gather_pairs(pixels, pairs).flatten(0, 1)
        return self.ask(question, frames, gather_pairs(times, pairs).flatten(), scoring)

    @torch.no_grad()
    def logits(self, samples: Sequence[NativeSample]) -> Tensor:
        """Logits [B, vocabulary] in float32 of the token after each prompt.

        Padding is on the right, so causal attention needs no mask.
        """
        rows = [sample.token_ids(NOT_A_WORD) for sample in samples]
        answer_at = torch.tensor([row.numel() - 1 for row in rows])
        ids = pad_sequence(rows, batch_first=True).to(self.model.device)
        inputs = self.model.get_input_embeddings()(ids.clamp(min=0))
        features = torch.cat([self.features(sample) for sample in samples])
        video = ids == NOT_A_WORD
        first, *deeper = torch.split(features.to(inputs.dtype), inputs.shape[-1], dim=-1)
        inputs = inputs.masked_scatter(video.unsqueeze(-1), first)
        beside = self.beside(samples, video, deeper)
        states = self.model.get_decoder()(inputs_embeds=inputs, use_cache=False, **beside)[0]
        head = self.model.get_output_embeddings()
        logits: Tensor = head(states[torch.arange(len(rows)), answer_at]).float()
        return logits
