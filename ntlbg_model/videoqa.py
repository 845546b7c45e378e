"""Questions about videos of any length, answered from the frames worth looking at."""

import difflib
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ntlbg_model.backbone.checkpoint import Device, best_device, load_for_answers
from ntlbg_model.backbone.generation import generate
from ntlbg_model.backbone.model import Backbone, answer_logits
from ntlbg_model.backbone.prompt import Prompt, build_prompt, speaks_in_turns
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.built import unbuilt
from ntlbg_model.config import PAIR, Config, EvaluationConfig, SelectionConfig, VideoConfig
from ntlbg_model.data.collate import Sample, collate
from ntlbg_model.data.records import Question
from ntlbg_model.model import NTLBGModel
from ntlbg_model.selection.features import features_of
from ntlbg_model.selection.scoring import FrameScorer
from ntlbg_model.selection.select import (
    Selection,
    needs_features,
    needs_similarity,
    select_pairs,
)
from ntlbg_model.selection.video import LearnedChoice, video_seed
from ntlbg_model.stages import Stages
from ntlbg_model.watched import KEPT_BYTES, Progress, WatchedVideo, WatchedVideos

MAX_FRAMES = 8192
"""Candidate frames by default: temporal ids stay below 4096."""

TINY_MAX_FRAMES = 65536
"""The same for a model without chat turns: every frame of 36 minutes at 30 a second, since a flash
of one frame must not be sampled away."""

MOST_KEPT = 512
"""Frames kept by default at most: 16,384 tokens at 224 x 224 pixels."""

TINY_SIDE = 56
"""Pixels a side that a model without chat turns (the tiny one) was trained on."""


class QuestionError(ValueError):
    """A question that this model cannot be asked; one line that says why."""


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
        self._scorer = FrameScorer(config.selection, backbone)
        learned = config.selection.query == "learned"
        self._learned = LearnedChoice(backbone) if learned else None
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
        device: Device | None = None,
        cache: Path | None = None,
        seed: int = 0,
    ) -> Self:
        """'tiny', a hub name, a local Qwen2-VL folder, or a checkpoint folder of a run.

        `config` says how frames are chosen and options scored (default: `default_config`); `base`
        names the base model of a checkpoint whose files do not. Raises BackboneError where the
        model does not load, ValueError for an option that is not built.
        """
        backbone = load_for_answers(str(model), device or best_device(), base)
        config = config or default_config(backbone)
        missing = [o for o in unbuilt(config) if o.startswith(("video", "selection"))]
        if missing:
            raise ValueError(f"not built yet: {', '.join(missing)}")
        return cls(backbone, config, cache=cache, seed=seed)

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
        asked = self._question(Path(video), question, tuple(candidates or ()))
        prompt = self._prompt(asked)
        options = self._config.video
        key, watched = self._videos.get(
            asked.video_path, options.max_frames, options.frame_resolution, stages, progress
        )
        with stages.timed("selection"):
            chosen = self._choose(key, watched, asked.question, frames)
        seen = self._see(key, watched, chosen.pairs, stages)
        with stages.timed("language_model"):
            sample = Sample(prompt=prompt, pixels=seen.pixels, pairs=chosen.pairs, answer=None)
            batch = collate([sample], self._backbone.video_token).to(self._backbone.device)
            option, shares = self._pick(batch, seen, prompt) if asked.candidates else (None, [])
            text, confidence = (
                (asked.candidates[option], shares[option])
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
    def _choose(
        self, key: str, watched: WatchedVideo, question: str, frames: int | None
    ) -> Selection:
        """The pairs to look at: the one place where the selection is asked."""
        try:
            count = kept_frames(self._config.video, len(watched.candidates), frames) // PAIR
        except ValueError as error:
            raise QuestionError(str(error)) from None
        options = self._config.selection
        name, features, similarity = watched.path.stem, features_of(watched.statistics), None
        if watched.frames is not None and needs_frames(options):
            pixels = torch.from_numpy(watched.frames)
            if needs_features(options):
                features = self._scorer.features(key, pixels)
            if needs_similarity(options):
                similarity = self._scorer.similarity(key, pixels, question)
                features, name = features.to(similarity.device), f"{name}:{question}"
        if self._learned is not None and count < len(features):
            pairs, scores = self._learned.choose(key, features, question, count)
            return Selection(pairs=pairs, scores=scores)
        chosen = select_pairs(features, count, options, video_seed(self._seed, name), similarity)
        return Selection(pairs=chosen.pairs.cpu(), scores=chosen.scores.cpu())

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

    def _prompt(self, asked: Question) -> Prompt:
        scoring = self._config.evaluation.scoring if asked.candidates else "option_words"
        try:
            return build_prompt(asked, self._backbone.tokenizer, scoring)
        except ValueError as error:
            raise QuestionError(str(error)) from None

    def _question(self, video: Path, question: str, candidates: tuple[str, ...]) -> Question:
        """The question as a record, in words that the model knows. Raises QuestionError."""
        if not question.strip():
            raise QuestionError("the question is empty")
        if len(candidates) == 1:
            raise QuestionError("one option is no choice")
        return Question(
            question_id=question,
            video_id=video.stem,
            video_path=video,
            question=self._known(question),
            candidates=tuple(self._known(option) for option in candidates),
            answer=None,
            category="",
        )

    def _known(self, text: str) -> str:
        """`text` as the tokenizer knows it; a closed vocabulary is in lower case."""
        words = self._backbone.tokenizer
        if speaks_in_turns(words) or words.unk_token_id is None:
            return text
        lower = text.lower()
        vocabulary = words.get_vocab()
        for word in re.findall(r"\w+|[^\w\s]+", lower):
            if words.unk_token_id in words.encode(word, add_special_tokens=False):
                near = difflib.get_close_matches(word, vocabulary, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise QuestionError(f"this model does not know the word {word!r}{hint}")
        return lower


def default_config(backbone: Backbone) -> Config:
    """How a model is asked that comes without a config."""
    selection = SelectionConfig()
    if isinstance(backbone.model, NTLBGModel) and "selector" in backbone.model.options:
        selection = SelectionConfig(**backbone.model.options["selector"]["selection"])
    if speaks_in_turns(backbone.tokenizer):
        return Config(video=VideoConfig(max_frames=MAX_FRAMES), selection=selection)
    return Config(
        selection=selection,
        video=VideoConfig(max_frames=TINY_MAX_FRAMES, frame_resolution=(TINY_SIDE, TINY_SIDE)),
        evaluation=EvaluationConfig(scoring="option_words"),
    )


def needs_frames(selection: SelectionConfig) -> bool:
    """Whether a selection looks at more of the candidate frames than their thumbnails."""
    looks = needs_features(selection) and selection.features != "pixels"
    return looks or needs_similarity(selection)


def kept_frames(video: VideoConfig, candidates: int, wanted: int | None) -> int:
    """Frames kept of `candidates`: `wanted` by the rule of `VideoConfig` (down to a multiple of
    its alignment), or where neither says a number its coverage, at most `MOST_KEPT`."""
    if wanted is None and video.num_representatives is None:
        return min(video.representatives(candidates), MOST_KEPT)
    if wanted is not None:
        video = replace(video, num_representatives=wanted, max_representatives_ratio=1.0)
    return video.representatives(candidates)
