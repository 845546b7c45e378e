"""Memory while a frozen vision tower looks at frame pairs, chunk by chunk. Standard library only.

A phase of its own, before the language model: the frames, the features found so far, and what one
chunk takes inside the tower. It is the highest where a reducer makes few tokens of many patches.
"""

from ntlbg_model.config import PAIR
from ntlbg_model.footprint.items import GIB
from ntlbg_model.footprint.load import MERGE, PATCH, Load
from ntlbg_model.footprint.shapes import QWEN2_VL_2B, QWEN2_VL_7B, TINY, Shape
from ntlbg_model.geometry.step_shape import Step

BYTES = {
    TINY.name: (9312, 12464),
    QWEN2_VL_2B.name: (48112, 80624),
    QWEN2_VL_7B.name: (47088, 78576),
    "Qwen2.5-VL-7B": (47088, 58176),
}
"""Of a patch of the chunk in the tower, in 16 bit and in fp32: the slope between traces of chunks
of 4, 8 and 16 pairs, the same at every resolution; a test traces them again."""
PIXELS = 3 * PAIR * PATCH * PATCH
"""Bytes of a patch of two uint8 frames."""


def tower_gib(shape: Shape, load: Load, step: Step, batch: int) -> float:
    """GiB when the last chunk of `batch` samples is in the tower.

    The frames stand twice, as they came and filled up to whole chunks. A tower that was not traced
    is scaled from the 7B's by its width.
    """
    pairs, each = batch * load.frames // PAIR, load.patches * PAIR // load.frames
    filled = -(-pairs // step.vision_chunk) * step.vision_chunk
    frames = PIXELS * each * (pairs + filled)
    features = step.bytes_per_value * shape.hidden / MERGE**2 * each * filled
    chunk = each * step.vision_chunk * _bytes(shape, step)
    return (frames + features + chunk) / GIB


def _bytes(shape: Shape, step: Step) -> float:
    known = BYTES.get(shape.name)
    width = 1.0 if known else shape.vision_width / QWEN2_VL_7B.vision_width
    return width * (known or BYTES[QWEN2_VL_7B.name])[step.precision == "fp32"]


def with_tower(
    items: dict[str, float], shape: Shape, load: Load, step: Step, batch: int
) -> dict[str, float]:
    """What moves at the higher of two moments: that of `items`, and in a frozen tower."""
    tower = tower_gib(shape, load, step, batch)
    if tower <= sum(items.values()):
        return items
    return dict.fromkeys(items, 0.0) | {"vision": tower}
