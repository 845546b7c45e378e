"""The peak memory of a training step or an answer, followed operation by operation, with no GPU."""

from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint.closed_form import (
    CONTEXT_GIB,
    answering_footprint,
    training_footprint,
    weights_of,
)
from ntlbg_model.footprint.fitted import reserve_share
from ntlbg_model.footprint.items import GIB, Footprint
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.footprint.states import States, answering_states, answering_step, states_of
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.tracing.answers import record_answers, record_generation
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.peaks import Peaks, peaks_of
from ntlbg_model.tracing.published import trace_published
from ntlbg_model.tracing.step import TRAINING, Recipe, record_step

SHALLOW = 2
"""Blocks that are followed in place of all: the first and the last differ, those between do not."""


CLOSE = 0.1
"""Of two closed forms closer than this share, neither is known to be the larger."""


def trace_run(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of a run on one device, of its training or its evaluation, whichever is the
    larger; both are followed where the closed form does not tell. Raises BackboneError for a
    published model whose config is not on this machine."""
    if config.model.architecture != "qwen2_vl":
        return trace_published(config, step, context)
    if config.training.max_steps == 0:
        return trace_answers(config, step, context)
    if step.questions <= step.micro_batch:
        return trace_step(config, step, context)
    answering = answering_footprint(config, step, context).total
    training = training_footprint(config, step, context).total
    found = []
    if training >= (1 - CLOSE) * answering:
        found.append(trace_step(config, step, context))
    if answering >= (1 - CLOSE) * training:
        found.append(trace_answers(config, step, context))
    return max(found, key=lambda footprint: footprint.total)


def trace_step(
    config: Config, step: Step, context: float = CONTEXT_GIB, recipe: Recipe = TRAINING
) -> Footprint:
    """Peak memory of one training step on one device; seconds of one core."""
    if step.zero_stage >= 2:
        # DeepSpeed hands gradients on by bucket as they appear, into shards that stand through the
        # step: as where gradients accumulate. A trace of one worker would see all of them grow.
        step = replace(step, accumulation=max(2, step.accumulation))
    states = states_of(config, step, weights_of(config))
    return _highest(config, step, context, trace_peaks(config, step, recipe), states)


def trace_answers(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of answering `step.questions` questions at once."""
    step = answering_step(config, step)
    states = answering_states(config, step, weights_of(config))
    return _highest(config, step, context, answer_peaks(config, step), states, answers=True)


def trace_generation(
    config: Config, step: Step, new_tokens: int, context: float = CONTEXT_GIB
) -> Footprint:
    """Peak memory of one answer of `new_tokens` tokens in words, with its key-value cache."""
    step = answering_step(config, step)
    shape = shape_of(config.model.base_model)
    whole = Depth(shape.layers, min(SHALLOW, shape.vision_layers))
    peaks = peaks_of(record_generation(config, step, whole, new_tokens))
    states = answering_states(config, step, weights_of(config))
    return _highest(config, step, context, peaks, states, answers=True)


def _highest(
    config: Config,
    step: Step,
    context: float,
    peaks: Peaks,
    states: States,
    answers: bool = False,
) -> Footprint:
    found = [_footprint(items, states, step) for items in peaks.phases.values()]
    highest = max(found, key=lambda footprint: footprint.allocated)
    shape = shape_of(config.model.base_model)
    share = reserve_share(shape, config, step, answers)
    return highest if step.cpu else highest.on_gpu(context, share, passing=step.gradients_pass)


def answer_peaks(config: Config, step: Step) -> Peaks:
    """The peak of each phase of answering, at the model's full depth."""
    shape = shape_of(config.model.base_model)
    whole = Depth(shape.layers, shape.vision_layers)
    if whole.language <= SHALLOW + 2:
        return peaks_of(record_answers(config, step, whole))
    # From three blocks on: the second is the first that has another one's output beside its own.
    vision = min(SHALLOW, whole.vision)
    base = peaks_of(record_answers(config, step, Depth(SHALLOW + 1, vision)))
    deeper = peaks_of(record_answers(config, step, Depth(SHALLOW + 2, vision)))
    return base.grown(deeper, whole.language - SHALLOW - 1)


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
