"""Questions about videos of any length, answered from the frames worth looking at."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import Prompt, speaks_in_turns
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.config import (
    PAIR,
    Config,
    EvaluationConfig,
    ModelConfig,
    SelectionConfig,
    VideoConfig,
)
from ntlbg_model.geometry.visual_tokens import layout_of
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.checkpoint import AnswerDevice, best_device, load_for_answers
from ntlbg_model.modeling.generation import generate
from ntlbg_model.modeling.model import NTLBGModel, model_of
from ntlbg_model.streaming_qa.frame_choice import Looker, needs_frames
from ntlbg_model.streaming_qa.question import QuestionError, asked, prompt_of
from ntlbg_model.streaming_qa.stages import Stages
from ntlbg_model.streaming_qa.streamed_video import (
    KEPT_BYTES,
    Progress,
    WatchedVideo,
    WatchedVideos,
)

__all__ = ["Answer", "NTLBGVideoQA", "QuestionError", "default_config"]

MAX_FRAMES = 8192
"""Candidate frames by default: temporal ids stay below 4096."""

TINY_MAX_FRAMES = 65536
"""The same for a model without chat turns: every frame of 36 minutes at 30 a second, since a flash
of one frame must not be sampled away."""

TINY_SIDE = 56
"""Pixels a side that a model without chat turns (the tiny one) was trained on."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer, and what it was given on."""

    text: str
    """The chosen option, or what the model said where there were no options."""
    option: int | None
    """Index of the chosen option; None without options."""
    confidence: float
    """Probability of the answer: among the options, or of the words said."""
    options: tuple[float, ...]
    """Probability of each option among them all; empty without options."""
    frames: tuple[int, ...]
    """Kept frame indices, ascending, in the video's own numbering."""
    times: tuple[float, ...]
    """Seconds from the first frame of the video, of each kept frame."""
    scores: tuple[float, ...]
    """The selection's preference for each kept frame; zeros for a method that has none."""
    total_frames: int
    """Frames of the video."""
    candidates: int
    """Frames that the selection chose from."""
    seconds: dict[str, float]
    """Wall time of each stage; zero for one that the cache spared."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the vision tower made of some pairs of a video."""

    pixels: Tensor
    features: Tensor


class NTLBGVideoQA:
    """A backbone with a selection in front. Keeps what it saw of the last videos."""

    def __init__(
        self,
        backbone: Backbone,
        config: Config,
        *,
        seed: int = 0,
        cache: Path | None = None,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """`cache`: folder for what is remembered of videos, beside what is held in memory.

        `kept_bytes`: all candidate frames of a video are kept where they are no more than this, or
        where the selection looks at more of them than thumbnails. Raises EncoderError where it asks
        for an encoder that cannot be loaded, ValueError where the selection is learned and the
        backbone has no selector.
        """
        self._backbone = backbone
        self._config = config
        self._seed = seed
        self._looker = Looker(config, backbone, seed)
        whole = needs_frames(config.selection)
        self._videos = WatchedVideos(cache, sys.maxsize if whole else kept_bytes)
        self._seen: tuple[object, _Seen] | None = None
        backbone.model.eval()

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        config: Config | None = None,
        base: str | None = None,
        device: AnswerDevice | None = None,
        cache: Path | None = None,
        seed: int = 0,
    ) -> Self:
        """'tiny', a hub name, a local Qwen2-VL folder, or a checkpoint folder of a run.

        `config` says how frames are chosen and options scored (default: `default_config`); `base`
        names the base model of a checkpoint whose files do not. Raises BackboneError where the
        model does not load, ValueError where a selection is learned and the model has no selector.
        """
        backbone = load_for_answers(str(model), device or best_device(), base)
        chosen = config or default_config(backbone)
        return cls(backbone, chosen, cache=cache, seed=seed)

    def answer(
        self,
        video: str | Path,
        question: str,
        candidates: Sequence[str] | None = None,
        *,
        frames: int | None = None,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        progress: Progress | None = None,
    ) -> Answer:
        """Answer `question` about a video file, by one of `candidates` or in the model's words.

        `frames` is the number kept, by default the config's. The file is read as a stream: what is
        held does not grow with it but for 800 bytes a frame pair (a selection that looks at more
        than thumbnails holds its candidate frames). Raises VideoError for a video that cannot be
        read, QuestionError for what this model cannot be asked.
        """
        stages = Stages()
        words = self._backbone.tokenizer
        query = asked(Path(video), question, tuple(candidates or ()), words)
        prompt = prompt_of(query, words, self._config.evaluation.scoring)
        options = self._config.video
        key, watched = self._videos.get(
            query.video_path, options.max_frames, options.frame_resolution, stages, progress
        )
        with stages.timed("selection"):
            chosen = self._looker.choose(key, watched, query.question, frames)
        seen = self._see(key, watched, chosen.pairs, stages)
        with stages.timed("language_model"):
            sample = Sample(
                prompt=prompt,
                pixels=seen.pixels,
                pairs=chosen.pairs,
                answer=None,
                points=self._looker.points(watched, chosen.pairs),
                layout=layout_of(self._config.model),
                tokens_per_second=self._backbone.tokens_per_second,
            )
            batch = collate([sample], self._backbone.video_token).to(self._backbone.device)
            option, shares = self._pick(batch, seen, prompt) if query.candidates else (None, [])
            text, confidence = (
                (query.candidates[option], shares[option])
                if option is not None
                else self._say(batch, seen, max_new_tokens, temperature)
            )
        places = (PAIR * chosen.pairs[:, None] + torch.arange(PAIR)).flatten().numpy()
        kept = watched.candidates[places]
        return Answer(
            text=text,
            option=option,
            confidence=confidence,
            options=tuple(shares),
            frames=tuple(kept.tolist()),
            times=tuple(watched.timeline.times(kept).tolist()),
            scores=tuple(chosen.scores[chosen.pairs].repeat_interleave(PAIR).tolist()),
            total_frames=len(watched.timeline.shown),
            candidates=len(watched.candidates),
            seconds=stages.seconds,
        )

    @torch.no_grad()
    def _see(self, key: str, watched: WatchedVideo, pairs: Tensor, stages: Stages) -> _Seen:
        """Vision features of `pairs`; those of the last question are still there."""
        wanted = (key, tuple(pairs.tolist()))
        if self._seen is None or self._seen[0] != wanted:
            self._seen = None
            with stages.timed("decoding"):
                pixels = watched.pixels(pairs)
            with stages.timed("vision_tower"):
                on_device = pixels.to(self._backbone.device)
                features = vision_features(self._backbone.visual, on_device)
            self._seen = (wanted, _Seen(pixels=pixels, features=features))
        return self._seen[1]

    @torch.no_grad()
    def _pick(self, batch: VideoPrompt, seen: _Seen, prompt: Prompt) -> tuple[int, list[float]]:
        """The likeliest option, and the probability of each among them."""
        logits = answer_logits(self._backbone, batch, features=seen.features)[
            0, list(prompt.options)
        ]
        return int(logits.argmax()), logits.softmax(0).tolist()

    def _say(
        self, batch: VideoPrompt, seen: _Seen, max_new_tokens: int, temperature: float
    ) -> tuple[str, float]:
        """What the model says, and its probability."""
        words = self._backbone.tokenizer
        said = generate(
            self._backbone,
            batch,
            seen.features,
            max_new_tokens=max_new_tokens if speaks_in_turns(words) else 1,
            temperature=temperature,
            seed=self._seed,
        )
        text = str(words.decode(said.tokens, skip_special_tokens=True)).strip()
        return text, math.exp(sum(said.logprobs))


def default_config(backbone: Backbone) -> Config:
    """How a model is asked that comes without a config."""
    added = backbone.model.options if isinstance(backbone.model, NTLBGModel) else {}
    model = model_of(added["connector"]) if "connector" in added else ModelConfig()
    selection = SelectionConfig()
    if "selector" in added:
        selection = SelectionConfig(**added["selector"]["selection"])
    if speaks_in_turns(backbone.tokenizer):
        video = VideoConfig(max_frames=MAX_FRAMES)
        return Config(model=model, selection=selection, video=video)
    return Config(
        model=model,
        selection=selection,
        video=VideoConfig(max_frames=TINY_MAX_FRAMES, frame_resolution=(TINY_SIDE, TINY_SIDE)),
        evaluation=EvaluationConfig(scoring="option_words"),
    )
