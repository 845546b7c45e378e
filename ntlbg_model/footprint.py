"""Memory, FLOPs and tokens of a training step in closed form. Standard library only.

The coefficients are fitted to traces of the real Qwen2-VL-7B step with a frozen vision tower run
in chunks, answer-only logits and a memory-efficient attention kernel; those of a trained tower to
what autograd keeps of it. Everything about CUDA is predicted, not measured. Other shapes are scaled
from them and say so.
"""

from dataclasses import dataclass

from ntlbg_model.base_shapes import QWEN2_VL_7B, Shape, shape_of
from ntlbg_model.config import PAIR, Config
from ntlbg_model.native.size import FRAME_TOKENS, activation_gib
from ntlbg_model.selector_size import selector_parameters
from ntlbg_model.tokens.connector_size import connector_bytes, connector_parameters
from ntlbg_model.tokens.visual_tokens import layout_of

GIB = 1024**3
MIB = 1024**2
PATCH = 14
MERGE = 2


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one sample puts through the model."""

    frames: int
    """Frames kept."""
    patches: int
    """Vision patches of 14 x 14 pixels and two frames."""
    visual_tokens: int
    """Language-model tokens of the video."""
    tokens: int
    """All tokens of the sequence."""


def load_of(config: Config) -> Load:
    """The load of the longest video the config admits."""
    frames = (
        config.video.candidates(config.video.max_frames)
        if config.selection.method == "all_frames"
        else config.video.representatives(config.video.max_frames)
    )
    height, width = config.video.frame_resolution
    pairs, side = frames // PAIR, PATCH * MERGE
    patches = pairs * (height // PATCH) * (width // PATCH)
    visual = layout_of(config.model).tokens(pairs, height // side, width // side)
    if config.model.architecture != "qwen2_vl":
        native = FRAME_TOKENS[config.model.architecture]
        visual, patches = native.tokens(frames), frames * native.side**2
    return Load(
        frames=frames,
        patches=patches,
        visual_tokens=visual,
        tokens=visual + shape_of(config.model.base_model).text_tokens,
    )


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Predicted peak of one worker, GiB, item by item."""

    parameters: float
    optimizer: float
    gradients: float
    activations: float
    reserve: float
    """Fragmentation of the allocator: 22 % of what is dynamic (simulated, not measured)."""
    context: float
    """Driver context, kernels and workspaces; on a CPU the interpreter with its libraries."""
    traced: bool
    vision_cache: float = 0.0
    """Features of pairs seen before, at their bound: on a CPU they share the memory."""

    @property
    def total(self) -> float:
        """The peak that must stay below the limit."""
        return (
            self.parameters
            + self.optimizer
            + self.gradients
            + self.activations
            + self.reserve
            + self.context
            + self.vision_cache
        )


def training_footprint(
    config: Config,
    *,
    micro_batch: int,
    bytes_per_weight: int,
    master_weights: bool,
    checkpointing: bool,
    cpu: bool,
) -> Footprint:
    """Peak memory of one training step on one device.

    `master_weights`: fp32 weights, gradients and moments and a 16-bit copy for the step (18 bytes
    a trained parameter) instead of pure 16-bit states (8 bytes), as fp16 full fine-tuning needs.
    """
    if config.model.architecture != "qwen2_vl":
        return _native_footprint(config, bytes_per_weight, cpu)
    shape = shape_of(config.model.base_model)
    load = load_of(config)
    all_parameters = shape.language_parameters + shape.vision_parameters
    stored = {"none": bytes_per_weight, "int8": 1.0, "nf4": 0.56}[config.model.quantisation]
    tokens = micro_batch * load.tokens / 1000
    patches = micro_batch * load.patches / 1000
    trained = _trained(shape, config)
    if config.model.tuning == "full":
        bytes_of_states = 12 if master_weights else 2 * bytes_per_weight
        bytes_of_gradients = 4 if master_weights else bytes_per_weight
    else:
        bytes_of_states, bytes_of_gradients = 8 + 4 - bytes_per_weight, 4
    gradients = trained * bytes_of_gradients / GIB
    dynamic = _activations(shape, tokens, patches, checkpointing) * bytes_per_weight / 2
    if config.model.tuning == "full" and checkpointing:
        dynamic = _activations_of_full(shape, tokens, gradients) * bytes_per_weight / 2
    if config.model.vision == "trained":
        dynamic += _activations_of_tower(shape, patches, checkpointing) * bytes_per_weight / 2
    added = connector_parameters(config.model, shape.hidden) / GIB
    added += selector_parameters(config, shape.hidden) / GIB
    dynamic += _connector_activations(config, shape, load, micro_batch) * bytes_per_weight / 2
    dynamic += added * bytes_per_weight
    return Footprint(
        parameters=all_parameters * stored / GIB + 4 * added,
        optimizer=trained * bytes_of_states / GIB + 8 * added,
        gradients=gradients + 4 * added,
        activations=dynamic,
        reserve=0.0 if cpu else 0.22 * dynamic,
        context=0.0 if cpu else 0.6,
        traced=shape.traced,
        vision_cache=config.model.vision_cache_mib * MIB / GIB if cpu else 0.0,
    )


def _native_footprint(config: Config, bytes_per_weight: int, cpu: bool) -> Footprint:
    """Peak of answering a batch with a published model, from the size that the config declares."""
    model, billions = config.model, config.model.billion_parameters or 0.0
    tokens = config.evaluation.batch_size * load_of(config).tokens
    dynamic = activation_gib(model.architecture, billions, tokens) * bytes_per_weight / 2
    return Footprint(
        parameters=billions * 1e9 * bytes_per_weight / GIB,
        optimizer=0.0,
        gradients=0.0,
        activations=dynamic,
        reserve=0.0 if cpu else 0.22 * dynamic,
        context=0.0 if cpu else 0.6,
        traced=False,
    )


def _trained(shape: Shape, config: Config) -> float:
    if config.model.tuning == "none":
        return 0.0
    if config.model.tuning == "full":
        tower = shape.vision_parameters if config.model.vision == "trained" else 0.0
        return shape.language_parameters + tower
    return shape.layers * config.model.lora_rank * shape.lora_targets_width


def _connector_activations(config: Config, shape: Shape, load: Load, micro_batch: int) -> float:
    """GiB that the connector keeps, in 16 bit."""
    pairs = load.frames // PAIR
    places = load.patches // pairs // MERGE**2
    return micro_batch * connector_bytes(config.model, shape.hidden, pairs, places) / GIB


def _activations_of_full(shape: Shape, tokens: float, gradients: float) -> float:
    """Full tuning peaks either in the loss or where the last gradients stand beside one layer:
    max(1.14 + 0.4948 N, gradients + 0.306 N), of which the gradients are counted by themselves."""
    width = shape.hidden / QWEN2_VL_7B.hidden
    return max(0.306 * width * tokens, width * (1.14 + 0.4948 * tokens) - gradients)


def _activations_of_tower(shape: Shape, patches: float, checkpointing: bool) -> float:
    """GiB of a trained tower in 16 bit, patches in thousands.

    Checkpointed, a trace keeps 0.0886 a thousand patches (the blocks' inputs) and peaks at 0.123;
    without, autograd keeps 2.274, to which one block's temporaries (0.071) are added.
    """
    reference = QWEN2_VL_7B
    size = shape.vision_width * shape.vision_layers
    scale = size / (reference.vision_width * reference.vision_layers)
    return (0.123 if checkpointing else 2.345) * scale * patches


def _activations(shape: Shape, tokens: float, patches: float, checkpointing: bool) -> float:
    """GiB of activations and temporaries in 16 bit; tokens and patches in thousands."""
    per_token = 0.6152 if checkpointing else 8.78
    reference = QWEN2_VL_7B
    width = shape.hidden / reference.hidden
    depth = 1.0 if checkpointing else shape.layers / reference.layers
    return per_token * width * depth * tokens + 0.0022 * patches


def training_flops(config: Config) -> float:
    """Floating-point operations of the whole training: forward, backward and recomputation."""
    shape = shape_of(config.model.base_model)
    load = load_of(config)
    attention = 2 * load.tokens**2 * shape.hidden * shape.layers
    language = 2 * shape.language_parameters * load.tokens + attention
    passes = 4 if config.model.vision == "trained" else 1
    vision = passes * shape.vision_flops_per_patch * load.patches
    samples = config.training.max_steps * config.training.global_batch
    return samples * (4 * language + vision)
