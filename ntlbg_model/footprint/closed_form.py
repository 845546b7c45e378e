"""Memory of a run in closed form. Standard library only.

What stands through a step is counted; what moves is read off traces (`fitted`). A base model that
was not traced is scaled from the 7B by its width, from above. Everything about CUDA is predicted,
not measured.
"""

from dataclasses import replace

from ntlbg_model.config import PAIR, Config
from ntlbg_model.footprint.fitted import moving, reserve_share
from ntlbg_model.footprint.items import FRAGMENTATION, GIB, MIB, Footprint
from ntlbg_model.footprint.load import MERGE, Load, load_of
from ntlbg_model.footprint.shapes import QWEN2_VL_7B, Shape, shape_of
from ntlbg_model.footprint.states import (
    States,
    Weights,
    answering_states,
    answering_step,
    states_of,
)
from ntlbg_model.footprint.tower import with_tower
from ntlbg_model.geometry.connector_size import connector_bytes, connector_parameters
from ntlbg_model.geometry.published_size import activation_gib
from ntlbg_model.geometry.selector_size import selector_parameters
from ntlbg_model.geometry.step_shape import Step

CONTEXT_GIB = 0.6
"""Driver context, kernels and workspaces of a GPU process, where its profile knows no better."""


def run_footprint(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of a run on one device: of its training steps or of its evaluation.

    A training step holds all that answering as many questions does.
    """
    if config.training.max_steps == 0:
        return answering_footprint(config, step, context)
    training = training_footprint(config, step, context)
    if step.questions <= step.micro_batch:
        return training
    answering = answering_footprint(config, step, context)
    return answering if answering.total > training.total else training


def training_footprint(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of one training step on one device."""
    return _footprint(config, step, context, states_of(config, step, weights_of(config)))


def answering_footprint(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of answering `step.questions` questions at once, with the optimizer gone."""
    if config.model.architecture != "qwen2_vl":
        return _placed(_native(config, step), step, context, FRAGMENTATION)
    step = answering_step(config, step)
    states = answering_states(config, step, weights_of(config))
    return _footprint(config, step, context, states, answers=True)


def _footprint(
    config: Config, step: Step, context: float, states: States, answers: bool = False
) -> Footprint:
    shape, load = shape_of(config.model.base_model), load_of(config)
    batch = step.questions if answers else step.micro_batch
    items = moving(shape, config, step, answers) or _scaled(shape, config, load, step, answers)
    pairs = load.frames // PAIR
    places = load.patches // pairs // MERGE**2
    kept = connector_bytes(config.model, shape.hidden, pairs, places)
    items["activations"] += step.bytes_per_value / 2 * batch * kept / GIB
    if config.model.vision == "frozen":
        items = with_tower(items, shape, load, step, batch)
    found = Footprint(
        parameters=states.parameters,
        gradients=items.get("gradients", states.gradients),
        optimizer=states.optimizer,
        activations=items["activations"],
        temporaries=items["temporaries"],
        logits=items["logits"],
        vision=items["vision"],
        communication=states.communication,
        vision_cache=config.model.vision_cache_mib * MIB / GIB if step.cpu else 0.0,
        host=states.host,
    )
    share = reserve_share(shape, config, step, answers)
    return _placed(found, step, context, share, passing="gradients" in items)


def _placed(
    found: Footprint, step: Step, context: float, share: float, *, passing: bool = False
) -> Footprint:
    return found if step.cpu else found.on_gpu(context, share, passing=passing)


def _scaled(
    shape: Shape, config: Config, load: Load, step: Step, answers: bool
) -> dict[str, float]:
    """What moves where no trace of the base model is at hand; an answer takes no more than a
    training step that recomputes."""
    size = step.bytes_per_value / 2
    if answers:
        step = replace(step, micro_batch=step.questions, checkpointing=True)
    return {
        "activations": size * _language(shape, config, load, step),
        "temporaries": 0.0,
        "logits": 0.0,
        "vision": size * _vision(shape, config, load, step),
    }


def weights_of(config: Config) -> Weights:
    """The parameters of a config's model, by what becomes of them."""
    model = config.model
    shape = shape_of(model.base_model)
    added = connector_parameters(model, shape.hidden) + selector_parameters(config, shape.hidden)
    largest, block = float(shape.vocabulary_parameters), float(shape.block_parameters)
    if model.tuning == "full":
        tower = shape.vision_parameters if model.vision == "trained" else 0
        return Weights(
            trained_base=shape.language_parameters + tower,
            trained_added=added,
            frozen=shape.vision_parameters - tower,
            beside=shape.vision_parameters - tower,
            largest=largest,
            block=block,
        )
    adapters = shape.layers * model.lora_rank * shape.lora_width if model.tuning == "lora" else 0
    linears = shape.layers * shape.linear_parameters if model.quantisation != "none" else 0
    return Weights(
        trained_base=0.0,
        trained_added=adapters + added,
        frozen=shape.language_parameters + shape.vision_parameters - linears,
        quantised=linears,
        beside=shape.vision_parameters,
        largest=largest,
        block=block,
    )


def _native(config: Config, step: Step) -> Footprint:
    """Peak of answering a batch with a published model, from the size that the config declares."""
    billions, load = config.model.billion_parameters or 0.0, load_of(config)
    tokens, patches = step.questions * load.tokens, load.patches // load.frames
    dynamic = activation_gib(billions, tokens, patches) * step.bytes_per_value / 2
    return Footprint(
        parameters=billions * 1e9 * step.bytes_per_value / GIB,
        optimizer=0.0,
        gradients=0.0,
        activations=dynamic,
    )


def _language(shape: Shape, config: Config, load: Load, step: Step) -> float:
    """GiB of activations and temporaries of the language model in 16 bit."""
    tokens = step.micro_batch * load.tokens / 1000
    width = shape.hidden / QWEN2_VL_7B.hidden
    if step.checkpointing and config.model.tuning == "full":
        return width * (1.14 + 0.4948 * tokens)
    depth = 1.0 if step.checkpointing else shape.layers / QWEN2_VL_7B.layers
    return (0.6152 if step.checkpointing else 8.78) * width * depth * tokens


def _vision(shape: Shape, config: Config, load: Load, step: Step) -> float:
    """GiB in 16 bit of a frozen tower's features, or of what a trained one keeps.

    Checkpointed, a trained tower peaks at 0.123 a thousand patches; without, autograd keeps 2.274,
    to which one block's temporaries (0.071) are added.
    """
    patches = step.micro_batch * load.patches / 1000
    if config.model.vision == "frozen":
        return 0.0022 * patches
    scale = float(shape.vision_width * shape.vision_layers)
    scale /= QWEN2_VL_7B.vision_width * QWEN2_VL_7B.vision_layers
    return (0.123 if step.checkpointing else 2.345) * scale * patches
