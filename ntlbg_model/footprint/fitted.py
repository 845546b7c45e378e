"""What moves during a step, read off traces: piecewise linear in the number of tokens. No torch.

`python -m ntlbg_model.tracing.fit_coefficients` writes the table. For each way of running a step
and each phase of it, the table holds the traced items at a few numbers of tokens, between and
beyond which memory is linear; vision goes with the patches, adapters add in proportion to their
rank.
"""

import json
from bisect import bisect_left
from functools import lru_cache
from importlib import resources
from typing import Any

from ntlbg_model.config import Config
from ntlbg_model.footprint.items import FRAGMENTATION, GIB
from ntlbg_model.footprint.load import load_of
from ntlbg_model.footprint.shapes import Shape
from ntlbg_model.geometry.step_shape import Step

ITEMS = ("activations", "temporaries", "logits", "vision")
RANK = 16
"""Rank of the adapters in the table."""
TABLE = "coefficients.json"
ALIKE = {"Qwen2.5-VL-7B": "Qwen2-VL-7B"}
"""Base models with the same language model and a tower of the same size."""
SCORE_BYTES = 12
"""Of each attention score where they are written out: half, fp32 for the softmax, half again, and
their gradients (traced at 256 to 1024 frames)."""


def regime_of(config: Config, step: Step, answers: bool = False) -> str:
    """The row of the table that describes a step, or the answers to `step.questions` questions."""
    tuning = "full" if config.model.tuning == "full" else "lora"
    if config.model.vision == "trained":
        tuning = "tower"
    half = "pure" if step.deepspeed or (tuning != "lora" and not step.master_weights) else "half"
    kind = "fp32" if step.precision == "fp32" else half
    if step.cpu and step.precision == "fp32":
        kernel = "cpu"
    else:
        flash = step.attention in ("sdpa", "flash_attention_2") and step.precision != "fp32"
        kernel = "flash" if flash else "efficient"
    if answers:
        if config.model.tuning == "none" and kind == "half":
            tuning = "none"
        return f"{tuning} {kind} {kernel} answers"
    return f"{tuning} {kind} {kernel} {'recomputed' if step.checkpointing else 'kept'}"


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """Shape to regime to phases."""
    text = resources.files("ntlbg_model.footprint").joinpath(TABLE).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def reserve_share(shape: Shape, config: Config, step: Step, answers: bool = False) -> float:
    """What the caching allocator holds beside what moves, as a share of it: simulated over the
    traces, from above; never less than `FRAGMENTATION` while no GPU has been measured."""
    rows = _rows(shape, config, step, answers)
    return max(FRAGMENTATION, rows["reserve"] if rows else 0.0)


def _rows(shape: Shape, config: Config, step: Step, answers: bool) -> dict[str, Any] | None:
    found: dict[str, Any] = table().get(ALIKE.get(shape.name, shape.name), {})
    return found.get(regime_of(config, step, answers))


def moving(
    shape: Shape, config: Config, step: Step, answers: bool = False
) -> dict[str, float] | None:
    """GiB of each of `ITEMS` in the phase where their sum is largest; None for a base model or a
    regime that was not traced. `answers`: while `step.questions` questions are answered. In a step
    of a single micro-batch, where gradients come one by one, they are an item too."""
    rows = _rows(shape, config, step, answers)
    if rows is None:
        return None
    load, batch = load_of(config), step.questions if answers else step.micro_batch
    tokens, patches = batch * load.tokens, batch * load.patches
    rank = config.model.lora_rank - RANK if config.model.tuning == "lora" else 0
    alone = step.gradients_pass and not answers
    phases = rows.get("alone", rows["phases"]) if alone else rows["phases"]
    found = [_at(phase, rows, tokens, patches, rank) for phase in phases]
    highest = max(found, key=lambda items: sum(items.values()))
    if step.attention == "eager":
        highest["temporaries"] += SCORE_BYTES * shape.heads * batch * load.tokens**2 / GIB
    return highest


def _at(
    phase: dict[str, Any], rows: dict[str, Any], tokens: float, patches: float, rank: int
) -> dict[str, float]:
    found = {}
    for item, values in phase["items"].items():
        knots, x = (rows["patches"], patches) if item == "vision" else (rows["tokens"], tokens)
        value = _line(knots, values, x)
        if rank:
            value += rank * phase["rank"][item]
        found[item] = max(0.0, value) / GIB
    return found


def _line(knots: list[float], values: list[float], x: float) -> float:
    place = min(max(bisect_left(knots, x), 1), len(knots) - 1)
    left, right = knots[place - 1], knots[place]
    share = (x - left) / (right - left)
    return values[place - 1] + share * (values[place] - values[place - 1])
