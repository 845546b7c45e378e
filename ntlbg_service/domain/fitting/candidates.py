"""The ways a variant could run on a kind of device, in the order in which they are tried."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ntlbg_model.config import Config
from ntlbg_model.footprint import Attention, Offload, Precision, Step, training_hours
from ntlbg_service.domain.hardware.profiles import DeviceOffer, NodeShape, Profile

LARGEST_MICRO_BATCH = 16
SHARDINGS: tuple[tuple[int, Offload], ...] = (
    (2, "none"),
    (3, "none"),
    (2, "optimizer"),
    (3, "optimizer"),
    (3, "all"),
)
"""DeepSpeed's stages and offloads, what costs least time first."""
CHUNK = 8
"""Frame pairs that go through a frozen vision tower together, where memory allows."""
GANGS = (1, 2, 4, 8, 16)
"""Devices of a node that are tried together where the config does not say how many."""
WHOLE_NODES = (2, 4, 8)
"""Nodes that are tried together, where one does not do."""

Gang = tuple[int, int]
"""Devices, and the nodes that they are spread over."""


def ways(config: Config, place: DeviceOffer) -> Iterator[Iterable[Step]]:
    """Plain steps; then those that DeepSpeed spreads or moves, on one node, then on several."""
    yield plain_steps(config, place)
    if place.profile.is_cpu or config.training.max_steps == 0:
        return
    found = gangs(config, place.node, place.nodes)
    for several in (False, True):
        steps = [
            step
            for gang in found
            if (gang[1] > 1) is several
            for step in sharded_steps(config, place.profile, gang)
        ]
        yield sorted(steps, key=lambda step: _device_hours(config, step, place))


def plain_steps(config: Config, place: DeviceOffer) -> Iterator[Step]:
    """Without DeepSpeed: the largest micro-batch first, recomputation when needed. Where nothing is
    trained, the most questions first."""
    gang = fixed_gang(config, place.node, place.nodes) or (1, 1)
    if config.training.max_steps == 0:
        for number in fewer_questions(config.evaluation.batch_size):
            yield replace(_step(config, place.profile, gang, 1, False), questions=number)
        return
    for checkpointing in (False, True) if config.model.gradient_checkpointing else (False,):
        for size in micro_batches(config, gang[0]):
            yield _step(config, place.profile, gang, size, checkpointing)


def least_step(config: Config, place: DeviceOffer) -> Step:
    """The plain step that takes the least memory."""
    *_, last = plain_steps(config, place)
    return last


def sharded_steps(config: Config, profile: Profile, gang: Gang) -> Iterator[Step]:
    """With DeepSpeed on a number of devices."""
    checkpointing = config.model.gradient_checkpointing
    for stage, offload in SHARDINGS:
        if gang[0] == 1 and offload == "none":
            continue
        for size in micro_batches(config, gang[0]):
            yield _step(config, profile, gang, size, checkpointing, stage, offload)


def gangs(config: Config, node: NodeShape, nodes: int) -> list[Gang]:
    """The gang that is asked for, else those of one node, then whole nodes; each divides the
    global batch."""
    fixed = fixed_gang(config, node, nodes)
    if fixed is not None:
        return [fixed]
    within = [(size, 1) for size in GANGS if size <= min(node.gpus, node.cores)]
    whole = [(node.gpus * number, number) for number in WHOLE_NODES if number <= nodes]
    batch = config.training.global_batch
    return [gang for gang in (*within, *whole) if batch % gang[0] == 0]


def fixed_gang(config: Config, node: NodeShape, nodes: int) -> Gang | None:
    """The gang that `hardware.num_gpus` asks for; None where it says nothing, or there is no such
    gang."""
    wanted = config.hardware.num_gpus
    spread = None if wanted is None else nodes_for(wanted, node, nodes)
    return None if wanted is None or spread is None else (wanted, spread)


def nodes_for(workers: int, node: NodeShape, nodes: int) -> int | None:
    """The fewest nodes that hold so many workers, as many on each; None where none do."""
    for number in range(-(-workers // node.gpus), nodes + 1):
        if workers % number == 0:
            return number
    return None


def micro_batches(config: Config, workers: int) -> list[int]:
    """Sizes whose multiples make up a worker's share of the global batch, largest first."""
    share = config.training.global_batch // workers
    return [size for size in range(min(share, LARGEST_MICRO_BATCH), 0, -1) if share % size == 0]


def fewer_questions(number: int) -> list[int]:
    """`number` and its halves, down to one."""
    halved = [number]
    while halved[-1] > 1:
        halved.append(halved[-1] // 2)
    return halved


def narrower(config: Config, step: Step) -> list[int]:
    """Smaller chunks for a frozen vision tower, largest first."""
    if config.model.vision != "frozen":
        return []
    halved, chunk = [], step.vision_chunk
    while chunk > 1:
        chunk //= 2
        halved.append(chunk)
    return halved


def _device_hours(config: Config, step: Step, place: DeviceOffer) -> tuple[float, int, int]:
    hours = training_hours(config, step, place.rates) * step.workers
    return round(hours, 6), step.workers, -step.micro_batch


def _step(
    config: Config,
    profile: Profile,
    gang: Gang,
    micro_batch: int,
    checkpointing: bool,
    stage: int = 0,
    offload: Offload = "none",
) -> Step:
    workers, nodes = gang
    return Step(
        precision=choose_precision(config, profile),
        attention=choose_attention(config, profile),
        micro_batch=micro_batch,
        accumulation=max(1, config.training.global_batch // (workers * micro_batch)),
        workers=workers,
        nodes=nodes,
        checkpointing=checkpointing,
        vision_chunk=CHUNK,
        zero_stage=stage,  # type: ignore[arg-type]
        offload=offload,
        cpu=profile.is_cpu,
    )


def choose_precision(config: Config, profile: Profile) -> Precision:
    """An explicit precision wins; auto is the best the card computes in natively."""
    if config.training.precision != "auto":
        return config.training.precision
    if profile.is_cpu:
        return "fp32"
    return "bf16" if profile.bf16 else "fp16"


def choose_attention(config: Config, profile: Profile) -> Attention:
    """Flash kernels are for 16 bit on cards that have them; without, heads are repeated to keep
    off the path with S x S scores."""
    if profile.is_cpu:
        return "sdpa"
    if not profile.flash_attention or choose_precision(config, profile) == "fp32":
        return "sdpa_repeated"
    return "flash_attention_2" if config.model.flash_attention else "sdpa"
