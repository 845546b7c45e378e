"""A backbone with random weights, and frames to ask it about."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.data.video import Frames
from ntlbg_model.modeling.load import backbone_of
from ntlbg_model.records import Question
from ntlbg_model.tiny_base import architecture
from tests.support.small_qwen import random_model


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def backbone() -> Backbone:
    model = random_model()
    use_batched_attention(model.model.visual)
    model.model.visual.requires_grad_(False)
    return backbone_of(model, architecture.tokenizer())


@pytest.fixture
def frames() -> Callable[[Question], Frames]:
    def read(asked: Question) -> Frames:
        rng = np.random.default_rng(sum(asked.video_id.encode()))
        pixels = rng.integers(0, 256, (40, 28, 28, 3), np.uint8)
        return Frames(pixels=pixels, indices=3 * np.arange(40), times=np.arange(40) / 8)

    return read
