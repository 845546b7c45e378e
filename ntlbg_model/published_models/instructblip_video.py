"""InstructBLIP on video (arXiv:2305.06500): a Q-Former reads each frame with the question.

The video comes before the first word. The published checkpoints were taught with single images;
transformers reads a video with them frame by frame.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.geometry.published_size import FRAMES_AT_ONCE
from ntlbg_model.published_models.frames import check_fits, preprocessing, transform_of
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.prompt import chat_template, native_prompt, spoken
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question
from ntlbg_model.safe_loading import WITHOUT_CODE

QUESTIONS = "qformer_tokenizer"
"""The folder of the Q-Former's own tokenizer in a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class InstructBlipVideo(NativeModel):
    """InstructBLIP with a language model that only decodes (Vicuna)."""

    VIDEO = None
    questions: PreTrainedTokenizerBase
    """The Q-Former's tokenizer."""

    @classmethod
    def refusal(cls, config: PreTrainedConfig) -> str | None:
        if config.use_decoder_only_language_model:
            return None
        return (
            f"its language model {config.text_config.model_type!r} has an encoder; Vicuna has none"
        )

    @classmethod
    def build(
        cls,
        source: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        architecture: Architecture,
    ) -> Self:
        return cls(
            model=model,
            tokenizer=tokenizer,
            architecture=architecture,
            transform=transform_of(preprocessing(source)),
            template=chat_template(source),
            questions=AutoTokenizer.from_pretrained(source, subfolder=QUESTIONS, **WITHOUT_CODE),
        )

    @classmethod
    def turns(cls, architecture: Architecture) -> str:
        """The paper's words for questions about videos."""
        return "Question: {} Short answer:"

    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        check_fits(self.transform, frames, self.model.config.vision_config.image_size)
        prompt, _ = native_prompt(question, self.tokenizer, scoring, self.words)
        return NativeSample(
            prompt=prompt,
            frames=frames,
            runs=(len(frames) * self.model.config.num_query_tokens,),
            reading=self._reading(spoken(question, self.tokenizer, scoring, self.words)),
        )

    @torch.no_grad()
    def features(self, sample: NativeSample) -> Tensor:
        reading = torch.tensor([sample.reading], device=self.model.device)
        parts: list[Tensor] = []
        for chunk in torch.split(sample.frames, FRAMES_AT_ONCE):
            values = self.transform(chunk).to(self.model.device, self.model.dtype)
            found = self.model.get_video_features(values.unsqueeze(0), qformer_input_ids=reading)
            parts.append(found.pooler_output.flatten(0, -2))
        return torch.cat(parts)

    def _reading(self, text: str) -> tuple[int, ...]:
        """A question longer than the Q-Former's places loses the end that its tokenizer cuts."""
        places = self.model.config.qformer_config.max_position_embeddings
        return tuple(self.questions.encode(text, truncation=True, max_length=places))
