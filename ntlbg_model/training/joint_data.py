"""The samples of a training in which the selection is learned: questions with all pairs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import Prompt, build_prompt
from ntlbg_model.config import PAIR, Config
from ntlbg_model.data.video import Frames
from ntlbg_model.geometry.visual_tokens import layout_of
from ntlbg_model.inputs.candidates import Candidates
from ntlbg_model.inputs.collate import Sample, answer_token, gather_pairs
from ntlbg_model.inputs.points import PointReader
from ntlbg_model.modeling.video_selection import question_words
from ntlbg_model.records import Question
from ntlbg_model.selection.scoring import FrameScorer
from ntlbg_model.training.distillation import Teacher

OTHERS = 15
"""Other questions that a question is told apart from."""


class QuestionCandidates(Dataset[Candidates]):
    """Questions with the features of all pairs of their videos, which are kept in memory up to
    `scoring.CACHE_BYTES`."""

    def __init__(
        self,
        config: Config,
        backbone: Backbone,
        questions: Sequence[Question],
        frames: Callable[[Question], Frames],
        seed: int,
    ) -> None:
        self._config = config
        self._questions = questions
        self._frames = frames
        self._seed = seed
        self._scorer = FrameScorer(config.selection, backbone)
        self._teacher = Teacher(backbone)
        self._points = PointReader(config)
        self._layout = layout_of(config.model)
        self._tokens_per_second = backbone.tokens_per_second
        self._prompts = [
            build_prompt(question, backbone.tokenizer, config.evaluation.scoring)
            for question in questions
        ]
        self._words = [question_words(backbone, question.question) for question in questions]

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Candidates:
        """A batch holds no frames: they are read again for the pairs that are kept."""
        question, prompt = self._questions[index], self._prompts[index]
        pixels = self._pixels(question)

        return Candidates(
            question_id=question.question_id,
            words=self._words[index],
            features=self._scorer.features(question.video_id, pixels),
            count=self._config.video.representatives(len(pixels)) // PAIR,
            target=answer_token(prompt, question.answer),
            keep=lambda pairs: self._sample(question, prompt, pairs),
            teach=lambda: self._teacher.mass(question, prompt, self._pixels(question)),
            others=self._others(index),
        )

    def _pixels(self, question: Question) -> Tensor:
        return torch.from_numpy(self._frames(question).pixels.copy())

    def _sample(self, question: Question, prompt: Prompt, pairs: Tensor) -> Sample:
        pixels, times = self._pixels(question), self._frames(question).times
        return Sample(
            prompt=prompt,
            pixels=gather_pairs(pixels, pairs),
            pairs=pairs,
            answer=question.answer,
            points=self._points.points(question.video_id, pixels, pairs, times),
            layout=self._layout,
            tokens_per_second=self._tokens_per_second,
            video=str(question.video_path),
        )

    def _others(self, index: int) -> tuple[Tensor, ...]:
        """Questions about other things: the same ones each time, however a batch is split."""
        if self._config.training.loss.feature_alignment == 0:
            return ()
        own = self._questions[index].question
        texts = {row.question: at for at, row in enumerate(self._questions) if row.question != own}
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + index)
        order = torch.randperm(len(texts), generator=generator)[:OTHERS].tolist()
        places = list(texts.values())
        return tuple(self._words[places[at]] for at in order)
