"""Reducers by name, and the places of their tokens."""

import torch
from torch import Tensor

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.config import ModelConfig
from ntlbg_model.config import Reducer as ReducerName
from ntlbg_model.geometry.visual_tokens import TokenLayout, halved
from ntlbg_model.reducers.llava_video import PooledRows
from ntlbg_model.reducers.pllava import AdaptivePooling
from ntlbg_model.reducers.qwen2_vl import IdentityReducer
from ntlbg_model.reducers.reducer import Reducer
from ntlbg_model.reducers.valley import Valley
from ntlbg_model.reducers.video_chatgpt import SpaceAndTimeMeans
from ntlbg_model.reducers.video_llama2 import SpatialTemporalConvolution
from ntlbg_model.reducers.videollama import TwoQFormers

REDUCERS: dict[ReducerName, type[Reducer]] = {
    "qwen2_vl": IdentityReducer,
    "llava_video": PooledRows,
    "video_chatgpt": SpaceAndTimeMeans,
    "videollama": TwoQFormers,
    "valley": Valley,
    "video_llama2": SpatialTemporalConvolution,
    "pllava": AdaptivePooling,
}


def build_reducer(model: ModelConfig, hidden: int) -> Reducer:
    """The reducer of `model.reducer` for tokens of width `hidden`; torch's own seed counts."""
    if model.reducer == "valley":
        return Valley(hidden, model.valley_pooling)
    if model.reducer == "llava_video":
        return PooledRows(hidden)
    if model.reducer == "videollama":
        return TwoQFormers(hidden)
    if model.reducer == "video_llama2":
        return SpatialTemporalConvolution(hidden)
    return REDUCERS[model.reducer]()


def token_positions(layout: TokenLayout, pairs: Tensor, grid: tuple[int, int]) -> Tensor:
    """M-RoPE ids [3, m], from zero, of all tokens of a video: see `Reducer.positions`."""
    if not layout.appended_scales:
        return REDUCERS[layout.reducer].positions(pairs, grid)
    height, width = grid
    half = grid_positions(pairs, halved(height), halved(width))
    half[1:] *= 2
    parts = (grid_positions(pairs, height, width), half, grid_positions(pairs, 1, 1))
    return torch.cat([part.view(3, pairs.numel(), -1) for part in parts], dim=2).flatten(1)
