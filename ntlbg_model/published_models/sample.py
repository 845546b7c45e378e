"""One question and its frames, as a published video model is given them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ntlbg_model.backbone.prompt import Prompt


@dataclass(frozen=True, kw_only=True)
class NativeSample:
    """One question and the frames it is asked over."""

    prompt: Prompt
    frames: Tensor
    """uint8 [n, H, W, 3], or float32 [n, 3, h, w] where they are the vision tower's already."""
    runs: tuple[int, ...]
    """Video tokens of each unbroken run in the language model's input: one run for the whole
    video, or one for each frame."""
    between: tuple[tuple[int, ...], ...] = ()
    """Text tokens after each run but the last."""
    kept: Tensor | None = None
    """bool [video tokens before pruning]: which of them stay; None: all."""
    reading: tuple[int, ...] = ()
    """The question in the tokens of a Q-Former, where there is one."""

    @property
    def video_tokens(self) -> int:
        """Video tokens in the language model's input."""
        return sum(self.runs)

    def token_ids(self, video: int) -> Tensor:
        """The whole prompt [S], with `video` for each token of the video."""
        ids = list(self.prompt.before)
        for run, words in zip(self.runs, (*self.between, self.prompt.after), strict=True):
            ids += [video] * run
            ids += words
        return torch.tensor(ids)
