"""The peak memory of a whole training step, followed operation by operation without a GPU."""

from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint.closed_form import CONTEXT_GIB, weights_of
from ntlbg_model.footprint.items import GIB, Footprint
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.footprint.states import States, states_of
from ntlbg_model.footprint.step import Step
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.peaks import Peaks, peaks_of
from ntlbg_model.tracing.step import TRAINING, Recipe, record_step

SHALLOW = 2
"""Blocks that are followed in place of all: the first and the last differ, those between do not."""


def trace_step(
    config: Config, step: Step, context: float = CONTEXT_GIB, recipe: Recipe = TRAINING
) -> Footprint:
    """Peak memory of one training step on one device; seconds of one core."""
    if step.zero_stage >= 2:
        # DeepSpeed hands gradients on by bucket as they appear, into shards that stand through the
        # step: as where gradients accumulate. A trace of one worker would see all of them grow.
        step = replace(step, accumulation=max(2, step.accumulation))
    states = states_of(config, step, weights_of(config))
    peaks = trace_peaks(config, step, recipe)
    found = [_footprint(items, states, step) for items in peaks.phases.values()]
    highest = max(found, key=lambda footprint: footprint.allocated)
    return highest if step.cpu else highest.on_gpu(context)


def trace_peaks(config: Config, step: Step, recipe: Recipe = TRAINING) -> Peaks:
    """The peak of each phase at the model's full depth."""
    shape = shape_of(config.model.base_model)
    whole = Depth(shape.layers, shape.vision_layers)
    if whole.language <= SHALLOW + 1 and whole.vision <= SHALLOW + 1:
        return peaks_of(record_step(config, step, whole, recipe))
    shallow = Depth(SHALLOW, SHALLOW)
    base = peaks_of(record_step(config, step, shallow, recipe))
    deeper = peaks_of(record_step(config, step, Depth(SHALLOW + 1, SHALLOW), recipe))
    grown = base.grown(deeper, whole.language - SHALLOW)
    if config.model.vision == "frozen" and not recipe.vision_in_graph:
        return grown
    taller = peaks_of(record_step(config, step, Depth(SHALLOW, SHALLOW + 1), recipe))
    return grown.plus(base.grown(taller, whole.vision - SHALLOW), base)


def _footprint(items: dict[str, float], states: States, step: Step) -> Footprint:
    gradients = states.gradients if step.accumulation > 1 else items["gradients"] / GIB
    return Footprint(
        parameters=states.parameters,
        gradients=gradients,
        optimizer=states.optimizer,
        activations=items["activations"] / GIB,
        temporaries=items["temporaries"] / GIB,
        logits=items["logits"] / GIB,
        vision=items["vision"] / GIB,
        communication=states.communication,
        host=states.host,
        traced=True,
    )
