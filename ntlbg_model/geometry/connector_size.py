"""Widths and number of parameters of what lies between the vision tower and the language model.

Standard library only, so that memory can be predicted without building anything.
"""

from ntlbg_model.config import ModelConfig
from ntlbg_model.geometry.visual_tokens import QUERIES

ATTENTION_WIDTH = 512
"""Most channels of attention over points, of Q-Formers and of Valley's transformer."""
CONVOLUTION_WIDTH = 1024
"""Most channels of the spatial-temporal convolution: CLIP-L's."""
GROUP = 64
"""Channels of an attention head and of a convolution's group."""
CONVOLUTION_BLOCKS = 4
"""Blocks before the strided convolution, and as many after it."""
QFORMER_LAYERS = 2
TIME_WIDTH = 32
"""Width of an encoding of time."""
CONTEXT_WIDTH = 196
"""Width of the candidates' pixel features: colour and contrast of 7 x 7 cells."""
FACTS = 3
"""Numbers beside a point's pooled context: length of its cell, probability, distance."""


def connector_parameters(model: ModelConfig, hidden: int) -> int:
    """Parameters of the connector of a model's options for a language model `hidden` wide."""
    return _rich_points(model, hidden) + _temporal(model, hidden) + _reducer(model, hidden)


def groups(width: int) -> int:
    """Heads or groups of a layer with `width` channels."""
    return max(1, width // GROUP)


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _residual(inputs: int, width: int, outputs: int) -> int:
    return _linear(inputs, width) + _linear(width, outputs)


def _rich_points(model: ModelConfig, hidden: int) -> int:
    points = model.rich_points
    if not points.enabled:
        return 0
    inputs = CONTEXT_WIDTH + FACTS + TIME_WIDTH
    count = 2 * CONTEXT_WIDTH + _residual(inputs, points.feature_dim, hidden)
    if points.multi_scale == "added":
        count += _residual(2 * hidden, points.feature_dim, hidden)
    return count


def _attention_layer(width: int, attentions: int = 1) -> int:
    """Attention, a feed-forward four times as wide, and a norm before each."""
    return attentions * (4 * _linear(width, width) + 2 * width) + (
        2 * width + _residual(width, 4 * width, width)
    )


def _temporal(model: ModelConfig, hidden: int) -> int:
    if model.temporal.layers == 0:
        return 0
    width = min(ATTENTION_WIDTH, hidden)
    layers = model.temporal.layers * _attention_layer(width)
    return _linear(hidden + TIME_WIDTH, width) + layers + 2 * width + _linear(width, hidden)


def _reducer(model: ModelConfig, hidden: int) -> int:
    if model.reducer == "llava_video":
        return hidden
    if model.reducer == "videollama":
        return _qformers(hidden)
    if model.reducer == "video_llama2":
        return _convolution(hidden)
    if model.reducer == "valley" and model.valley_pooling == "weighted":
        return _linear(hidden, 1)
    if model.reducer == "valley" and model.valley_pooling == "transformer":
        width = min(ATTENTION_WIDTH, hidden)
        return _residual(hidden + TIME_WIDTH, width, hidden) + _attention_layer(width)
    return 0


def _qformers(hidden: int) -> int:
    width = min(ATTENTION_WIDTH, hidden)
    former = QUERIES * width + QFORMER_LAYERS * _attention_layer(width, attentions=2)
    ends = _linear(hidden, width) + 2 * width + _linear(width, hidden)
    return 2 * former + _linear(TIME_WIDTH, width) + ends


def _convolution(hidden: int) -> int:
    width = min(CONVOLUTION_WIDTH, hidden)
    spatial = width * (width // groups(width)) * 9 + width
    block = 2 * _linear(width, width) + spatial + 6 * width
    strided = 8 * width**2 + width
    readout = _residual(width, hidden, hidden)
    return _linear(hidden, width) + 2 * CONVOLUTION_BLOCKS * block + strided + readout


def connector_bytes(model: ModelConfig, hidden: int, pairs: int, places: int) -> float:
    """Bytes that the forward pass of one video of `pairs` x `places` merged tokens keeps, in 16
    bit: fitted to the saved tensors under autocast, plus the copies in float32 that come and go.
    """
    tokens = pairs * places
    points, kept = model.rich_points, 0.0
    if points.enabled:
        kept += 8 * hidden
        if points.multi_scale == "added":
            kept += 12 * hidden + 4 * points.feature_dim
    if model.temporal.layers > 0:
        kept += 4 * hidden
    attention, convolution = min(ATTENTION_WIDTH, hidden), min(CONVOLUTION_WIDTH, hidden)
    if model.reducer == "video_llama2":
        kept += 2 * hidden + 96 * convolution
    elif model.reducer == "videollama":
        kept += 2 * hidden + 144 * attention * QUERIES / places
    elif model.reducer == "valley" and model.valley_pooling == "transformer":
        kept += 2 * hidden + 32 * attention
    if kept == 0 and model.reducer == "qwen2_vl":
        return 0.0
    return tokens * (kept + 8 * hidden) + pairs * model.temporal.layers * 40 * attention
